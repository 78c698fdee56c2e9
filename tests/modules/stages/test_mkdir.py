from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_directories_in_order(tree: Path) -> None:
    apply("mkdir", tree, {"paths": [{"path": "/a"}, {"path": "a/b"}, {"path": "tree:///a/c"}]})
    assert sorted(path.name for path in (tree / "a").iterdir()) == ["b", "c"]
    assert mode_of(tree / "a/b") == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o700, 0o2775])
def test_the_mode_is_set_as_given(tree: Path, mode: int) -> None:
    apply("mkdir", tree, {"paths": [{"path": "/a/b", "mode": mode, "parents": True}]})
    assert mode_of(tree / "a/b") == mode
    assert mode_of(tree / "a") == 0o755


def test_in_a_mount(tree: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    paths = [{"path": "mount://data/x/y", "parents": True}, {"path": "mount:///data/z"}]
    apply("mkdir", tree, {"paths": paths}, mounts={"data": mount})
    assert (mount / "x/y").is_dir()
    assert (mount / "z").is_dir()


def test_one_that_exists(tree: Path) -> None:
    (tree / "a").mkdir(mode=0o700)
    said = refuse("mkdir", tree, {"paths": [{"path": "/a"}]})
    assert "FileExistsError: there is a /a already; with 'exist_ok': true a directory may be" in said
    assert "FileExistsError" in refuse("mkdir", tree, {"paths": [{"path": "/a", "parents": True}]})
    apply("mkdir", tree, {"paths": [{"path": "/a", "mode": 0o777, "exist_ok": True}]})
    assert mode_of(tree / "a") == 0o700


def test_a_file_in_the_way_is_no_directory(tree: Path) -> None:
    (tree / "a").touch()
    assert "FileExistsError" in refuse("mkdir", tree, {"paths": [{"path": "/a", "exist_ok": True}]})


def test_a_missing_parent_is_an_error(tree: Path) -> None:
    said = refuse("mkdir", tree, {"paths": [{"path": "/a/b"}]})
    assert "FileNotFoundError: there is no directory to make /a/b in; 'parents': true makes it" in said


def test_links_do_not_lead_out(tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to(tmp_path)
    apply("mkdir", tree, {"paths": [{"path": "/link/new", "parents": True}]})
    assert not (tmp_path / "new").exists()
    assert (tree / tmp_path.relative_to("/") / "new").is_dir()


def test_nothing_asked_for(tree: Path) -> None:
    apply("mkdir", tree, {})
    assert list(tree.iterdir()) == []
