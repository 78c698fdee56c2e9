from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def options(*commands: dict[str, str]) -> dict[str, object]:
    return {"filename": "blacklist-x.conf", "commands": list(commands)}


def test_the_file(tree: Path) -> None:
    commands = [
        {"command": "blacklist", "modulename": "nouveau"},
        {"command": "install", "modulename": "sctp", "cmdline": "/bin/sh -c 'exit 1'"},
    ]
    apply("modprobe", tree, options(*commands))
    path = tree / "usr/lib/modprobe.d/blacklist-x.conf"
    assert path.read_text() == "blacklist nouveau\ninstall sctp /bin/sh -c 'exit 1'\n"
    assert mode_of(path) == 0o644


@pytest.mark.parametrize(
    "command",
    [
        {"command": "blacklist", "modulename": "a\ninstall b /evil"},
        {"command": "blacklist", "modulename": "a b"},
        {"command": "blacklist", "modulename": "a\\"},
        {"command": "install", "modulename": "a", "cmdline": "/bin/true\ninstall b /evil"},
        {"command": "install", "modulename": "a", "cmdline": "/bin/true \\"},
    ],
)
def test_a_command_cannot_be_two(tree: Path, command: dict[str, str]) -> None:
    refuse("modprobe", tree, options(command, {"command": "blacklist", "modulename": "c"}))
    assert list(tree.iterdir()) == []
