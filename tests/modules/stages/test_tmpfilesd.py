import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, as_root, mode_of, refuse


def options(*config: dict[str, str]) -> dict[str, object]:
    return {"filename": "x.conf", "config": list(config)}


CONFIG = [
    {"type": "d", "path": "/srv/with blanks", "mode": "0700", "user": "0", "group": "0", "age": "10d"},
    {"type": "f", "path": "/srv/file", "argument": "two  words"},
    {"type": "L+", "path": '/srv/say "hi" there', "argument": "../target"},
    {"type": "f", "path": "/srv/as-it-is\\x20", "mode": "0600"},
]


def test_the_file(tree: Path) -> None:
    apply("tmpfilesd", tree, options(*CONFIG))
    path = tree / "usr/lib/tmpfiles.d/x.conf"
    assert path.read_text() == (
        'd "/srv/with blanks" 0700 0 0 10d -\n'
        "f /srv/file - - - - two  words\n"
        'L+ "/srv/say \\"hi\\" there" - - - - ../target\n'
        "f /srv/as-it-is\\x20 0600 - - - -\n"
    )
    assert mode_of(path) == 0o644


@as_root
@pytest.mark.root
@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed")
def test_systemd_does_what_it_says(tree: Path) -> None:
    apply("tmpfilesd", tree, options(*CONFIG))
    command = ["systemd-tmpfiles", f"--root={tree}", "--create", "x.conf"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
    assert mode_of(tree / "srv/with blanks") == 0o700
    assert (tree / "srv/file").read_text() == "two  words"
    assert os.readlink(tree / 'srv/say "hi" there') == "../target"


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "d", "path": ""},
        {"type": "d", "path": "/a\nf+ /etc/passwd - - - - x"},
        {"type": "f", "path": "/a", "argument": "x\nf+ /etc/passwd - - - - x"},
        {"type": "d\n", "path": "/a"},
        {"type": "d", "path": "/a", "user": "root\rf /b"},
    ],
)
def test_an_entry_cannot_be_two(tree: Path, entry: dict[str, str]) -> None:
    refuse("tmpfilesd", tree, options(entry))
    assert list(tree.iterdir()) == []
