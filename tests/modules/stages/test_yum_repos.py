import configparser
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

FULL = {
    "id": "base:x",
    "name": "The base",
    "baseurl": ["https://a.example.com/$basearch/", "https://b.example.com/"],
    "cost": 100,
    "enabled": True,
    "gpgcheck": False,
    "gpgkey": ["file:///etc/pki/a", "file:///etc/pki/b"],
    "priority": 10,
}


def test_the_file(tree: Path) -> None:
    repos = [FULL, {"id": "more", "metalink": "https://example.com/metalink?repo=x&arch=%"}]
    apply("yum.repos", tree, {"filename": "x.repo", "repos": repos})
    path = tree / "etc/yum.repos.d/x.repo"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text())
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "base:x": {
            "name": "The base",
            "baseurl": "https://a.example.com/$basearch/ https://b.example.com/",
            "cost": "100",
            "enabled": "1",
            "gpgcheck": "0",
            "gpgkey": "file:///etc/pki/a file:///etc/pki/b",
            "priority": "10",
        },
        "more": {"name": "more", "metalink": "https://example.com/metalink?repo=x&arch=%"},
    }
    assert mode_of(path) == 0o644


@pytest.mark.parametrize("missing", ["filename", "repos"])
def test_both_options_are_needed(tree: Path, missing: str) -> None:
    options = {"filename": "x.repo", "repos": [FULL]}
    del options[missing]
    assert f"options are missing: {missing}" in refuse("yum.repos", tree, options)


@pytest.mark.parametrize(
    "change", [{"name": "x\ngpgcheck=0"}, {"id": "x]\n[y"}, {"gpgkey": ["file:///a\ngpgcheck=0"]}]
)
def test_a_value_cannot_bring_another_line(tree: Path, change: dict[str, object]) -> None:
    refuse("yum.repos", tree, {"filename": "x.repo", "repos": [{**FULL, **change}]})
    assert list(tree.iterdir()) == []
