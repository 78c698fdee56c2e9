"""Removing trees."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def rmtree(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.rmrf").rmtree


def test_a_tree_goes_with_all_that_is_in_it(tmp_path: Path, rmtree: Any) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/link").symlink_to("../../outside")
    (tmp_path / "tree/a/b/file").touch(mode=0)
    (tmp_path / "tree/a/b").chmod(0)
    rmtree(str(tmp_path / "tree"))
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]


@pytest.mark.root
def test_immutable_files_go_too(tmp_path: Path, rmtree: Any, sdk: Callable[[str], Any]) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").touch()
    (tree / "a/b/link").symlink_to("file")
    locked = [str(tree / "a/b/file"), str(tree / "a/b"), str(tree / "a"), str(tree)]
    assert subprocess.run(["chattr", "+i", *locked]).returncode == 0
    fd = (tree / "a/b/file").open()
    linux = sdk("util.linux")
    assert linux.ioctl_get_immutable(fd.fileno())
    fd.close()
    rmtree(str(tree))
    assert not tree.exists()


def test_what_is_not_there_is_fine(tmp_path: Path, rmtree: Any) -> None:
    rmtree(str(tmp_path / "none"))


@pytest.mark.root
def test_the_immutable_flag(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    linux = sdk("util.linux")
    with (tmp_path / "file").open("w") as file:
        assert not linux.ioctl_get_immutable(file.fileno())
        linux.ioctl_toggle_immutable(file.fileno(), True)
        with pytest.raises(PermissionError):
            (tmp_path / "file").unlink()
        shown = subprocess.run(["lsattr", str(tmp_path / "file")], capture_output=True, text=True).stdout
        assert "i" in shown.split()[0]
        linux.ioctl_toggle_immutable(file.fileno(), False)
        assert not linux.ioctl_get_immutable(file.fileno())
    with pytest.raises(OSError), Path("/proc/self/status").open() as status:
        linux.ioctl_get_immutable(status.fileno())
