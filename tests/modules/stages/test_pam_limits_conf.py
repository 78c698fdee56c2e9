from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def options(**change: object) -> dict[str, object]:
    limit = {"domain": "@sapsys", "type": "hard", "item": "nofile", "value": 1048576, **change}
    return {"filename": "99-x.conf", "config": [limit]}


def test_the_file(tree: Path) -> None:
    (tree / "etc/security/limits.d").mkdir(parents=True)
    config = [
        {"domain": "@sapsys", "type": "hard", "item": "nofile", "value": 1048576},
        {"domain": "*", "type": "-", "item": "nproc", "value": "unlimited"},
    ]
    apply("pam.limits.conf", tree, {"filename": "99-x.conf", "config": config})
    path = tree / "etc/security/limits.d/99-x.conf"
    assert path.read_text() == "@sapsys hard nofile 1048576\n* - nproc unlimited\n"
    assert mode_of(path) == 0o644


@pytest.mark.parametrize("domain", ["a\n* - nofile 1", "a b", "#a", "a#", ""])
def test_domains_that_cannot_be(tree: Path, domain: str) -> None:
    refuse("pam.limits.conf", tree, options(domain=domain))
    assert list(tree.iterdir()) == []
