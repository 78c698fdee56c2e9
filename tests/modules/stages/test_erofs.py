from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .blkid import probe
from .harness import apply, refuse
from .images import EPOCH, expect_content, fill, mounted, names

pytestmark = pytest.mark.root

COMPRESSORS = subprocess.run(
    ["mkfs.erofs", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
).stdout.rpartition("compressors are:")[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source")


def make(tree: Path, source: Path, *, epoch: int | None = None, **options: object) -> Path:
    filename = str(options.pop("filename", "image.erofs"))
    apply("erofs", tree, {"filename": filename, **options}, inputs={"tree": source}, epoch=epoch)
    return tree / filename


def test_it_has_the_whole_tree(tree: Path, source: Path, tmp_path: Path) -> None:
    with mounted("erofs", make(tree, source), tmp_path / "seen") as seen:
        expect_content(seen)
        assert names(seen) == names(source)


@pytest.mark.parametrize("method", ["lz4", "lz4hc", "lzma", "zstd"])
def test_compression(tree: Path, source: Path, tmp_path: Path, method: str) -> None:
    compression: dict[str, object] = {"method": method, "level": 9}
    if method == "lz4":
        del compression["level"]
    if method not in COMPRESSORS:
        log = refuse("erofs", tree, {"filename": "x", "compression": compression}, inputs={"tree": source})
        assert f"Cannot find a valid compressor {method}" in log
        return
    plain = make(tree, source, filename="plain").stat().st_size
    image = make(tree, source, compression=compression, **{"cluster-size": 65536})
    assert image.stat().st_size < plain / 2
    with mounted("erofs", image, tmp_path / "seen") as seen:
        expect_content(seen)


def test_extended_options(tree: Path, source: Path) -> None:
    for number in range(50):
        (source / f"small{number}").write_text("content")
    # Without it, small files are kept with their inodes; otherwise each takes a block.
    options = ["force-inode-extended", "noinline_data"]
    sizes = [make(tree, source).stat().st_size, make(tree, source, options=options).stat().st_size]
    assert sizes[1] - sizes[0] > 40 * 4096


def test_what_is_left_out(tree: Path, source: Path, tmp_path: Path) -> None:
    image = make(tree, source, exclude_paths=["^boot/efi/.*", "/boot/initramfs-.*"])
    with mounted("erofs", image, tmp_path / "seen") as seen:
        assert names(seen) == ["boot/vmlinuz-1", "etc/file", "etc/hard", "etc/link", "usr/boot/efi/b"]
        assert (seen / "boot/efi").is_dir()


@pytest.mark.parametrize("location", ["mount://root/etc", "input://tree/etc/"])
def test_another_source(tree: Path, source: Path, tmp_path: Path, location: str) -> None:
    options = {"filename": "image", "source": location}
    apply("erofs", tree, options, inputs={"tree": source}, mounts={"root": source})
    with mounted("erofs", tree / "image", tmp_path / "seen") as seen:
        assert names(seen) == ["file", "hard", "link"]


def test_the_same_tree_gives_the_same_bytes(tree: Path, source: Path, tmp_path: Path) -> None:
    first = make(tree, source, epoch=EPOCH).read_bytes()
    assert make(tree, fill(tmp_path / "again"), epoch=EPOCH).read_bytes() == first


def test_the_uuid_is_that_of_the_stage(tree: Path, source: Path) -> None:
    # The stage of a test has an id of zeros; the other digits say that it is a random UUID.
    assert probe(make(tree, source))["UUID"] == "00000000-0000-4000-8000-000000000000"


def test_no_time_is_later_than_the_epoch(tree: Path, source: Path, tmp_path: Path) -> None:
    with mounted("erofs", make(tree, source, epoch=EPOCH), tmp_path / "seen") as seen:
        assert (seen / "etc").stat().st_mtime == EPOCH
        expect_content(seen)
