import os
from pathlib import Path

import pytest

from .harness import apply, refuse


def test_symbolic_links_hold_any_text(tree: Path) -> None:
    paths = [
        {"target": "/etc/anything", "link_name": "tree:///one", "symbolic": True},
        {"target": "../up", "link_name": "tree:///two", "symbolic": True},
    ]
    apply("ln", tree, {"paths": paths})
    assert os.readlink(tree / "one") == "/etc/anything"
    assert os.readlink(tree / "two") == "../up"


@pytest.mark.parametrize(
    "target", ["dir/file", "/dir/file", "tree:///dir/file", "/run/osbuild/tree/dir/file"]
)
def test_hard_links(tree: Path, target: str) -> None:
    (tree / "dir").mkdir()
    (tree / "dir/file").write_text("content")
    apply("ln", tree, {"paths": [{"target": target, "link_name": "tree:///dir/again"}]})
    assert (tree / "dir/again").stat().st_ino == (tree / "dir/file").stat().st_ino


def test_in_a_mount(tree: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "file").touch()
    apply(
        "ln", tree, {"paths": [{"target": "file", "link_name": "mount://data/again"}]}, mounts={"data": mount}
    )
    assert (mount / "again").stat().st_nlink == 2


def test_a_name_that_exists_is_an_error(tree: Path) -> None:
    (tree / "name").touch()
    paths = [{"target": "x", "link_name": "tree:///name", "symbolic": True}]
    assert "FileExistsError" in refuse("ln", tree, {"paths": paths})


def test_links_do_not_lead_out(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    (tree / "away").symlink_to(tmp_path)
    refuse("ln", tree, {"paths": [{"target": "x", "link_name": "tree:///away/new", "symbolic": True}]})
    refuse("ln", tree, {"paths": [{"target": "away/outside", "link_name": "tree:///again"}]})
    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "outside").stat().st_nlink == 1
