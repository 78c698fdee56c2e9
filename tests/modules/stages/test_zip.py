from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from .harness import apply, refuse

EPOCH = 1_600_000_001
OLD = 1_500_000_000

ODD_NAMES = [" blank", "blank ", '"quote"', "[a]*?", "-dash", "back\\slash", "ümlaut", "new\nline"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    for name in ("c", "a", "b"):
        (path / name).mkdir(parents=True)
        (path / name / "file").write_text(name * 1000)
        os.utime(path / name / "file", (OLD, OLD))
    (path / "a/file").chmod(0o751)
    (path / "link").symlink_to("a/file")
    return path


def pack(tree: Path, source: Path, epoch: int | None = None, **options: object) -> zipfile.ZipFile:
    name = str(options.pop("filename", "out.zip"))
    apply("zip", tree, {"filename": name, **options}, inputs={"tree": source}, epoch=epoch)
    assert os.listdir(tree) == [name]
    archive = zipfile.ZipFile(tree / name)
    assert archive.testzip() is None
    return archive


def test_the_whole_tree_sorted(tree: Path, source: Path) -> None:
    archive = pack(tree, source)
    assert archive.namelist() == ["a/", "a/file", "b/", "b/file", "c/", "c/file", "link"]
    assert archive.read("a/file") == b"a" * 1000


def test_links_and_modes(tree: Path, source: Path) -> None:
    archive = pack(tree, source)
    modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert stat.S_ISLNK(modes["link"])
    assert archive.read("link") == b"a/file"
    assert stat.S_IMODE(modes["a/file"]) == 0o751


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (["c/file", "a"], ["c/file", "a/", "a/file"]),
        (["*file"], ["a/file", "b/file", "c/file"]),
        (["/[ab]/", "link"], ["a/", "a/file", "b/", "b/file", "link"]),
        (["b/file", "."], ["b/file", "a/", "a/file", "b/", "c/", "c/file", "link"]),
    ],
)
def test_only_some_paths_in_their_order(
    tree: Path, source: Path, include: list[str], expected: list[str]
) -> None:
    assert pack(tree, source, include=include).namelist() == expected


def test_an_expression_that_matches_nothing_is_an_error(tree: Path, source: Path) -> None:
    log = refuse("zip", tree, {"filename": "out.zip", "include": ["a", "*.vhd"]}, inputs={"tree": source})
    assert "include: nothing in the tree matches '*.vhd'" in log


def test_odd_names(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "odd"
    source.mkdir()
    for name in ODD_NAMES:
        (source / name).write_text(name)
    archive = pack(tree, source)
    assert sorted(archive.namelist()) == sorted(ODD_NAMES)
    Path(os.fsdecode(bytes(source) + b"/latin \xe9")).touch()
    assert "it is not UTF-8" in refuse("zip", tree, {"filename": "x.zip"}, inputs={"tree": source})


def test_what_an_archive_cannot_hold_is_left_out_and_named(tree: Path, source: Path) -> None:
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(source / "socket"))
    log = apply("zip", tree, {"filename": "out.zip"}, inputs={"tree": source})
    assert "left out, an archive cannot hold it: pipe" in log
    assert "left out, an archive cannot hold it: socket" in log
    assert "pipe" not in zipfile.ZipFile(tree / "out.zip").namelist()


@pytest.mark.parametrize(("level", "kind"), [(0, zipfile.ZIP_STORED), (9, zipfile.ZIP_DEFLATED)])
def test_levels(tree: Path, source: Path, level: int, kind: int) -> None:
    assert pack(tree, source, level=level).getinfo("a/file").compress_type == kind


def test_the_default_level_is_6(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "numbers"
    source.mkdir()
    (source / "file").write_text("".join(f"{n * n} and {n}\n" for n in range(20_000)))
    sizes = {}
    for level in (None, 1, 6, 9):
        options = {} if level is None else {"level": level}
        sizes[level] = pack(tree, source, **options).getinfo("file").compress_size
    assert sizes[None] == sizes[6] < sizes[1]


def test_other_programs_read_it(tree: Path, source: Path) -> None:
    pack(tree, source)
    shown = subprocess.run(["unzip", "-t", tree / "out.zip"], capture_output=True, text=True, check=False)
    assert (shown.returncode, "No errors detected" in shown.stdout) == (0, True), shown.stdout


@pytest.mark.parametrize("filename", ["archive", "archive.vhd.zip"])
def test_the_name_is_as_given_and_an_old_file_is_replaced(tree: Path, source: Path, filename: str) -> None:
    (tree / filename).write_text("old")
    assert "link" in pack(tree, source, filename=filename).namelist()


def test_an_empty_tree(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert pack(tree, empty).namelist() == []


def test_no_time_is_later_than_the_epoch(tree: Path, source: Path) -> None:
    archive = pack(tree, source, epoch=EPOCH)
    times = {info.filename: info.date_time for info in archive.infolist()}
    assert times["a/file"] == (2017, 7, 14, 2, 40, 0)
    # Two seconds are the resolution.
    assert times["a/"] == times["link"] == (2020, 9, 13, 12, 26, 40)


@pytest.mark.parametrize("epoch", [EPOCH, 0])
def test_the_same_tree_gives_the_same_bytes(tree: Path, source: Path, epoch: int) -> None:
    pack(tree, source, epoch=epoch)
    first = (tree / "out.zip").read_bytes()
    again = source.with_name("again")
    shutil.copytree(source, again, symlinks=True)
    os.utime(again / "a", (2_000_000_000, 2_000_000_000))
    (tree / "out.zip").unlink()
    pack(tree, again, epoch=epoch)
    assert (tree / "out.zip").read_bytes() == first
