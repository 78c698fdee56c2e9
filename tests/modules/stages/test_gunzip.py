from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from .raw import run_raw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, as the files input gives it."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "sha256:1").write_bytes(gzip.compress(b"content"))
    return path


def test_it_is_uncompressed(tree: Path, folder: Path) -> None:
    (tree / "dir").mkdir()
    ended = run_raw("gunzip", tree, {"path": "/dir/file"}, files={"file": folder})
    assert ended.status == 0, ended.log
    assert (tree / "dir/file").read_bytes() == b"content"


def test_what_is_not_compressed_is_refused(tree: Path, folder: Path) -> None:
    (folder / "sha256:1").write_bytes(b"content")
    ended = run_raw("gunzip", tree, {"path": "file"}, files={"file": folder})
    assert ended.status != 0
    assert "not in gzip format" in ended.log
