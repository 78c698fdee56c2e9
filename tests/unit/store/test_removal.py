"""Deleting whatever a stage may have left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from osbuild_core.store.removal import remove_tree


def test_trees_files_and_nothing(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "missing"))
    (tmp_path / "file").touch()
    remove_tree(str(tmp_path / "file"))
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/sub/file").touch()
    os.symlink("/", tmp_path / "dir/link")
    os.symlink("dir", tmp_path / "to-dir")
    remove_tree(str(tmp_path / "to-dir"))
    assert (tmp_path / "dir").is_dir()
    remove_tree(str(tmp_path / "dir"))
    assert os.listdir(tmp_path) == []


def test_deeper_than_any_path(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("deep", dir_fd=top)
    here = os.open("deep", os.O_RDONLY, dir_fd=top)
    for _ in range(300):
        for name in ("d" * 50, "beside"):
            os.mkdir(name, dir_fd=here)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.close(top)
    remove_tree(str(tmp_path / "deep"))
    assert os.listdir(tmp_path) == []


def test_directories_without_permissions(tmp_path: Path) -> None:
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/sub/file").touch()
    (tmp_path / "dir/sub").chmod(0)
    (tmp_path / "dir").chmod(0o500)
    remove_tree(str(tmp_path / "dir"))
    assert os.listdir(tmp_path) == []


@pytest.mark.root
def test_immutable_files(tmp_path: Path) -> None:
    for name in ("dir/sub/file", "dir/file", "dir/empty/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["chattr", "-R", "+i", tmp_path / "dir"], check=True)
    subprocess.run(["chattr", "-i", "+a", tmp_path / "dir/sub"], check=True)
    remove_tree(str(tmp_path / "dir"))
    assert os.listdir(tmp_path) == []
