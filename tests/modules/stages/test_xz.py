from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .raw import run_raw

# More than a block of the compressor, and of both kinds: what can be compressed and what cannot.
CONTENT = b"text " * 2_000_000 + os.urandom(1 << 20) + bytes(20 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, as the files input gives it: a hard link named by its checksum."""
    path = tmp_path / "folder"
    path.mkdir()
    (tmp_path / "source").write_bytes(CONTENT)
    os.link(tmp_path / "source", path / "sha256:1")
    return path


def compress(tree: Path, folder: Path, name: str = "out.xz") -> bytes:
    ended = run_raw("xz", tree, {"filename": name}, files={"file": folder})
    assert ended.status == 0, ended.log
    return (tree / name).read_bytes()


def test_it_is_smaller_and_comes_back(tree: Path, folder: Path) -> None:
    compressed = compress(tree, folder)
    assert len(compressed) < len(CONTENT) / 4
    command = ["xz", "--decompress", "--stdout", str(tree / "out.xz")]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == CONTENT


def test_the_number_of_processors_does_not_show(tree: Path, folder: Path) -> None:
    written = compress(tree, folder)
    for threads in (2, 3, 7):
        command = ["xz", f"--threads={threads}", "--stdout", str(folder / "sha256:1")]
        assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == written


def test_the_name_stays_in_the_tree(tree: Path, folder: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to(tmp_path / "outside")
    ended = run_raw("xz", tree, {"filename": "link"}, files={"file": folder})
    assert ended.status != 0
    assert not (tmp_path / "outside").exists()


def test_the_input_has_to_be_one_file(tree: Path, folder: Path) -> None:
    (folder / "other").touch()
    ended = run_raw("xz", tree, {"filename": "x"}, files={"file": folder})
    assert ended.status != 0
    assert "the input 'file' has to be one file, it has 2" in ended.log
