import os
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An input with a file, a directory, links and a hole."""
    path = tmp_path / "source"
    (path / "dir/sub").mkdir(parents=True)
    (path / "file").write_text("content")
    (path / "file").chmod(0o640)
    os.utime(path / "file", ns=(1, 1_500_000_000_123_456_789))
    (path / "dir/a").write_text("a")
    os.link(path / "dir/a", path / "dir/b")
    (path / "dir/link").symlink_to("/nowhere")
    (path / "dir/sub/c").write_text("c")
    with (path / "hole").open("w") as file:
        file.truncate(1 << 20)
    return path


def copy(tree: Path, source: Path, *items: tuple[str, str], **more: object) -> str:
    options = {"paths": [{"from": start, "to": end} for start, end in items]}
    return apply("copy", tree, options, inputs={"in": source}, **more)


def test_a_file_keeps_mode_and_time(tree: Path, source: Path) -> None:
    copy(tree, source, ("input://in/file", "tree:///new"))
    assert (tree / "new").read_text() == "content"
    assert mode_of(tree / "new") == 0o640
    assert (tree / "new").stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_a_file_goes_into_a_directory_under_its_name(tree: Path, source: Path) -> None:
    (tree / "etc").mkdir()
    copy(tree, source, ("input://in/file", "tree:///etc"), ("input://in/dir/a", "tree:///etc/"))
    assert sorted(os.listdir(tree / "etc")) == ["a", "file"]


def test_a_directory_without_a_slash_is_copied_itself(tree: Path, source: Path) -> None:
    copy(tree, source, ("input://in/dir", "tree:///"), ("input://in/dir", "tree:///other"))
    for name in ("dir", "other"):
        copied = tree / name
        assert (copied / "sub/c").read_text() == "c"
        assert os.readlink(copied / "link") == "/nowhere"
        assert (copied / "a").stat().st_ino == (copied / "b").stat().st_ino


def test_a_directory_with_a_slash_is_merged(tree: Path, source: Path) -> None:
    (tree / "dir").mkdir()
    (tree / "dir/kept").touch()
    copy(tree, source, ("input://in/dir/", "tree:///dir"))
    assert sorted(os.listdir(tree / "dir")) == ["a", "b", "kept", "link", "sub"]
    copy(tree, source, ("input://in/", "tree:///"))
    assert (tree / "file").exists()


def test_holes_stay_holes(tree: Path, source: Path) -> None:
    copy(tree, source, ("input://in/hole", "tree:///hole"))
    assert (tree / "hole").stat().st_size == 1 << 20
    assert (tree / "hole").stat().st_blocks == 0


def test_to_and_from_a_mount(tree: Path, source: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    items = (("input://in/file", "mount://root/file"), ("mount://root/file", "tree:///back"))
    copy(tree, source, *items, mounts={"root": mount})
    assert (mount / "file").read_text() == "content"
    assert (tree / "back").read_text() == "content"


def test_a_link_in_the_way_is_followed_inside_of_the_tree(tree: Path, source: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    inside = tree / outside.relative_to("/")
    inside.parent.mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    copy(tree, source, ("input://in/file", "tree:///link"))
    assert outside.read_text() == "safe"
    assert inside.read_text() == "content"
    assert (tree / "link").is_symlink()


def test_a_link_to_a_directory_is_followed_inside_of_the_tree(tree: Path, source: Path) -> None:
    (tree / "run").mkdir()
    (tree / "var").mkdir()
    (tree / "var/run").symlink_to("/run")
    copy(tree, source, ("input://in/file", "tree:///var/run"), ("input://in/dir/a", "tree:///var/run/b"))
    assert sorted(os.listdir(tree / "run")) == ["b", "file"]


def test_remove_destination_replaces_a_link(tree: Path, source: Path) -> None:
    (tree / "target").write_text("old")
    (tree / "link").symlink_to("target")
    item = {"from": "input://in/file", "to": "tree:///link", "remove_destination": True}
    apply("copy", tree, {"paths": [item]}, inputs={"in": source})
    assert not (tree / "link").is_symlink()
    assert (tree / "link").read_text() == "content"
    assert (tree / "target").read_text() == "old"


def test_a_link_is_copied_as_a_link(tree: Path, source: Path) -> None:
    (tree / "link").symlink_to("elsewhere")
    copy(tree, source, ("input://in/dir/link", "tree:///link"))
    assert os.readlink(tree / "link") == "/nowhere"


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("input://in/missing", "tree:///x", "there is no input://in/missing"),
        ("input://other/file", "tree:///x", "unknown input 'other'"),
        ("input://in/file", "mount://root/x", "unknown mount 'root'"),
        ("input://in/file", "tree:///missing/", "tree:///missing/ is not a directory"),
    ],
)
def test_what_is_not_there_is_named(tree: Path, source: Path, start: str, end: str, said: str) -> None:
    log = refuse("copy", tree, {"paths": [{"from": start, "to": end}]}, inputs={"in": source})
    assert said in log


def test_dots_do_not_leave_the_tree(tree: Path, source: Path) -> None:
    copy(tree, source, ("input://in/../../file", "tree:///../../up"))
    assert (tree / "up").read_text() == "content"
