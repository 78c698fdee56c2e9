import shutil
from pathlib import Path

import pytest

from .harness import apply, as_root, mode_of, refuse

ENTRIES = [
    {
        "type": "u",
        "name": "web",
        "id": "970",
        "gecos": 'The "web" \\ x',
        "home": "/srv/web",
        "shell": "/bin/sh",
    },
    {"type": "g", "name": "logs", "id": "971"},
    {"type": "m", "name": "web", "id": "logs"},
    {"type": "r", "name": "-", "id": "500-600"},
]


def options(*entries: dict[str, str]) -> dict[str, object]:
    return {"config": {"filename": "x.conf", "entries": list(entries)}}


def test_the_file(tree: Path) -> None:
    apply("systemd-sysusers.d", tree, options(*ENTRIES))
    path = tree / "usr/lib/sysusers.d/x.conf"
    assert path.read_text() == (
        'u web 970 "The \\"web\\" \\\\ x" /srv/web /bin/sh\n'
        "g logs 971 - - -\n"
        "m web logs - - -\n"
        "r - 500-600 - - -\n"
    )
    assert mode_of(path) == 0o644


@pytest.mark.parametrize("number", ["-", "100", "100:200", "100:web", "-:web", "/usr/bin/web"])
def test_ids_of_users(tree: Path, number: str) -> None:
    config = {
        "filename": "x.conf",
        "path-prefix": "etc",
        "entries": [{"type": "u", "name": "a", "id": number}],
    }
    apply("systemd-sysusers.d", tree, {"config": config})
    assert (tree / "etc/sysusers.d/x.conf").read_text() == f"u a {number} - - -\n"


def test_no_entries(tree: Path) -> None:
    apply("systemd-sysusers.d", tree, options())
    assert list(tree.iterdir()) == []


@as_root
@pytest.mark.root
@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_systemd_does_what_it_says(tree: Path) -> None:
    (tree / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tree / "etc" / name).touch()
    apply("systemd-sysusers.d", tree, options(*ENTRIES))
    apply("systemd-sysusers", tree, {})
    assert (tree / "etc/passwd").read_text() == 'web:x:970:970:The "web" \\ x:/srv/web:/bin/sh\n'
    assert "logs:x:971:web\n" in (tree / "etc/group").read_text()


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "u", "name": "a", "id": "blubb"},
        {"type": "u", "name": "a", "id": "100-200"},
        {"type": "u", "name": "-"},
        {"type": "g", "name": "a", "id": "100:200"},
        {"type": "m", "name": "a", "id": "101"},
        {"type": "m", "name": "a"},
        {"type": "r", "name": "a", "id": "100-200"},
        {"type": "r", "name": "-", "id": "100:200"},
        {"type": "r", "name": "-"},
        {"type": "u", "name": "a", "gecos": "x\nu root2 0"},
        {"type": "u", "name": "a\n"},
    ],
)
def test_entries_that_cannot_be(tree: Path, entry: dict[str, str]) -> None:
    refuse("systemd-sysusers.d", tree, options(entry))
    assert list(tree.iterdir()) == []


def test_a_name_that_is_none(tree: Path) -> None:
    config = {"filename": "../x.conf", "entries": [{"type": "u", "name": "a"}]}
    assert "not the name of a file" in refuse("systemd-sysusers.d", tree, {"config": config})
