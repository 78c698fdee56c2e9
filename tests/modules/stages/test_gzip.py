from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from .raw import run_raw

CONTENT = "".join(f"{n} bottles, {n * n} glasses\n" for n in range(20_000)).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, as the files input gives it."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "sha256:1").write_bytes(CONTENT)
    return path


def compress(tree: Path, folder: Path, **options: object) -> bytes:
    ended = run_raw("gzip", tree, {"filename": "out.gz", **options}, files={"file": folder})
    assert ended.status == 0, ended.log
    return (tree / "out.gz").read_bytes()


@pytest.mark.parametrize("level", [1, 5, 9])
def test_it_comes_back(tree: Path, folder: Path, level: int) -> None:
    assert gzip.decompress(compress(tree, folder, level=level)) == CONTENT


def test_levels(tree: Path, folder: Path) -> None:
    first, last = (compress(tree, folder, level=level) for level in (1, 9))
    assert len(last) < len(first)
    assert compress(tree, folder) == first


def test_neither_name_nor_time_show(tree: Path, folder: Path) -> None:
    before = compress(tree, folder)
    os.utime(folder / "sha256:1", (1, 1))
    (folder / "sha256:1").rename(folder / "other")
    assert compress(tree, folder) == before


def test_the_input_has_to_be_one_file(tree: Path, folder: Path) -> None:
    (folder / "sha256:1").unlink()
    ended = run_raw("gzip", tree, {"filename": "x"}, files={"file": folder})
    assert ended.status != 0
    assert "the input 'file' has to be one file, it has 0" in ended.log
