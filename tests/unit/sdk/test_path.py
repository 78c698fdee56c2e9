import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def path(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.path")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/file").touch()
    (tree / "lib").symlink_to("usr/lib")
    (tree / "absolute").symlink_to("/usr/lib")
    (tree / "up").symlink_to("../../../../usr")
    (tree / "out").symlink_to(tmp_path)
    (tree / "loop").symlink_to("loop")
    (tree / "dangling").symlink_to("/no/where")
    (tmp_path / "tree-too").mkdir()
    return tree


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", True),
        ("usr/lib/file", True),
        ("lib/file", True),
        ("missing", True),
        ("out", False),
        ("out/tree/usr", True),
        ("../tree-too", False),
        ("usr/../..", False),
        ("dangling", False),
    ],
)
def test_links_do_not_hide_where_a_path_leads(inside: str, expected: bool, tree: Path, path: Any) -> None:
    assert path.in_tree(f"{tree}/{inside}", str(tree)) is expected


def test_existence_can_be_asked_for(tree: Path, path: Any) -> None:
    assert path.in_tree(f"{tree}/lib/file", str(tree), must_exist=True)
    assert not path.in_tree(f"{tree}/missing", str(tree), must_exist=True)
    assert path.in_tree("/etc", "/")


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("/tree",), "/tree"),
        (("/tree", "/etc", "fstab"), "/tree/etc/fstab"),
        (("/tree/", "//etc//", "./x"), "/tree/etc/x"),
        (("/", "/etc"), "/etc"),
        (("//", "/"), "/"),
        (("tree", "a"), "/tree/a"),
        (("/tree", "../x"), "/x"),
    ],
)
def test_absolute_parts_are_taken_as_relative(parts: tuple[str, ...], joined: str, path: Any) -> None:
    assert path.join_abs(*parts) == joined


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        ("/", ""),
        ("/usr/lib/file", "usr/lib/file"),
        ("lib/file", "usr/lib/file"),
        ("absolute/file", "usr/lib/file"),
        ("up/lib/../lib", "usr/lib"),
        ("../../etc/passwd", "etc/passwd"),
        ("out/x", "{out}/x"),
        ("dangling/x", "no/where/x"),
        ("missing/../x", "x"),
    ],
)
def test_resolving_stays_in_the_tree(inside: str, place: str, tree: Path, path: Any) -> None:
    expected = os.path.normpath(f"{tree}/{place.format(out=str(tree.parent).lstrip('/'))}")
    assert os.path.normpath(path.resolve(str(tree), inside)) == expected


def test_the_last_link_need_not_be_followed(tree: Path, path: Any) -> None:
    assert path.resolve(str(tree), "absolute", follow=False) == str(tree / "absolute")
    assert path.resolve(str(tree), "lib/file", follow=False) == str(tree / "usr/lib/file")


def test_endless_links_are_an_error(tree: Path, path: Any) -> None:
    with pytest.raises(OSError, match="loop"):
        path.resolve(str(tree), "loop/x")


def test_resolving_agrees_with_chroot(tree: Path, path: Any) -> None:
    (tree / "usr/a").symlink_to("../lib/../../usr/./lib")
    (tree / "usr/b").symlink_to("/usr/a/../../absolute")
    for name in ("usr/a/file", "usr/b/file", "up/a/file"):
        assert os.path.samefile(path.resolve(str(tree), name), tree / "usr/lib/file")


def test_late_times_are_clamped(tree: Path, path: Any) -> None:
    old, new = 1_000_000_000, 1_500_000_000
    for name in ("usr", "usr/lib", "usr/lib/file", "lib", "out"):
        os.utime(tree / name, (new, new), follow_symlinks=False)
    os.utime(tree / "dangling", (old, old), follow_symlinks=False)
    outside = tree.parent.stat().st_mtime_ns
    path.clamp_mtime(str(tree), 1_200_000_000, 1_100_000_000)
    for name in ("", "usr", "usr/lib", "usr/lib/file", "lib", "out"):
        assert (tree / name).lstat().st_mtime == 1_100_000_000
    assert (tree / "dangling").lstat().st_mtime == old
    assert tree.parent.stat().st_mtime_ns == outside


def test_files_that_have_to_be_there(tree: Path, path: Any) -> None:
    (tree / "usr/other").touch()
    assert sorted(path.ensure_glob(f"{tree}/usr/*")) == [f"{tree}/usr/lib", f"{tree}/usr/other"]
    assert path.ensure_glob(f"{tree}/usr/**/file", n="1", recursive=True) == [f"{tree}/usr/lib/file"]
    for pattern, number in ((f"{tree}/none*", ""), (f"{tree}/usr/*", 1)):
        with pytest.raises(ValueError, match="match"):
            path.ensure_glob(pattern, n=number)
