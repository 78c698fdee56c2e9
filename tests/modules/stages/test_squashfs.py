from __future__ import annotations

import struct
from pathlib import Path

import pytest

from .harness import apply, refuse
from .images import EPOCH, expect_content, fill, mounted, names

pytestmark = pytest.mark.root

METHODS = {"gzip": 1, "xz": 4, "lz4": 5, "zstd": 6}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source")


def make(tree: Path, source: Path, *, epoch: int | None = None, **options: object) -> Path:
    filename = str(options.pop("filename", "image.squashfs"))
    apply("squashfs", tree, {"filename": filename, **options}, inputs={"tree": source}, epoch=epoch)
    return tree / filename.lstrip("/")


def test_it_has_the_whole_tree(tree: Path, source: Path, tmp_path: Path) -> None:
    (tree / "LiveOS").mkdir()
    with mounted("squashfs", make(tree, source, filename="/LiveOS/squashfs.img"), tmp_path / "seen") as seen:
        expect_content(seen)
        assert names(seen) == names(source)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_compression(tree: Path, source: Path, method: str) -> None:
    image = make(tree, source, compression={"method": method})
    assert struct.unpack_from("<H", image.read_bytes(), 20) == (METHODS[method],)


def test_without_a_method_it_is_gzip(tree: Path, source: Path) -> None:
    assert struct.unpack_from("<H", make(tree, source).read_bytes(), 20) == (METHODS["gzip"],)


def test_a_filter_for_a_processor(tree: Path, source: Path) -> None:
    image = make(tree, source, compression={"method": "xz", "options": {"bcj": "arm"}})
    # The settings of the compressor follow the superblock then: size of its dictionary and the filters, arm is 8.
    assert struct.unpack_from("<I", image.read_bytes(), 96 + 2 + 4) == (8,)


def test_what_is_left_out(tree: Path, source: Path, tmp_path: Path) -> None:
    image = make(tree, source, exclude_paths=["boot/efi/.*", "/boot/initramfs-.*"])
    with mounted("squashfs", image, tmp_path / "seen") as seen:
        assert names(seen) == ["boot/vmlinuz-1", "etc/file", "etc/hard", "etc/link", "usr/boot/efi/b"]
        assert (seen / "boot/efi").is_dir()


@pytest.mark.parametrize(("location", "expected"), [("mount://root/etc", 3), ("input://tree/boot", 3)])
def test_another_source(tree: Path, source: Path, tmp_path: Path, location: str, expected: int) -> None:
    options = {"filename": "image", "source": location}
    apply("squashfs", tree, options, inputs={"tree": source}, mounts={"root": source})
    with mounted("squashfs", tree / "image", tmp_path / "seen") as seen:
        assert len(names(seen)) == expected


@pytest.mark.parametrize("location", ["mount://other", "input://tree/missing"])
def test_a_source_that_is_not_there_is_named(tree: Path, source: Path, location: str) -> None:
    options = {"filename": "image", "source": location}
    assert location in refuse("squashfs", tree, options, inputs={"tree": source})


def test_the_same_tree_gives_the_same_bytes(tree: Path, source: Path, tmp_path: Path) -> None:
    first = make(tree, source, epoch=EPOCH).read_bytes()
    # Another directory order, other times.
    assert make(tree, fill(tmp_path / "again"), epoch=EPOCH).read_bytes() == first


def test_no_time_is_later_than_the_epoch(tree: Path, source: Path, tmp_path: Path) -> None:
    with mounted("squashfs", make(tree, source, epoch=EPOCH), tmp_path / "seen") as seen:
        assert (seen / "etc").stat().st_mtime == EPOCH
        expect_content(seen)
