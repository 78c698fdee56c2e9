"""Image files: digests, holes, formats, changes while they are read."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest

from osbuild_core.exports.ami.ebs import BLOCK
from osbuild_core.exports.ami.source import Source
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.aws.file import ZERO, known_blocks
from osbuild_core.exports.aws.state import State
from osbuild_core.exports.s3.parts import PART, PARTS, composite_checksum, part_digests, part_size


def image(path, *, size: int, data: dict[int, bytes]):
    with path.open("wb") as file:
        for offset, content in data.items():
            file.seek(offset)
            file.write(content)
        file.truncate(size)
    return path


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.mark.parametrize(
    ("size", "data", "blocks"),
    [
        (10 * BLOCK, {0: b"a", 5 * BLOCK + 7: b"b" * BLOCK}, [0, 5, 6]),
        (3 * BLOCK + 100, {3 * BLOCK + 99: b"z"}, [3]),
        (2 * BLOCK, {}, []),
        (5, {0: b"hello"}, [0]),
        # Written, but zeros.
        (2 * BLOCK, {0: bytes(BLOCK), BLOCK: b"x"}, [1]),
    ],
)
def test_the_digest_is_that_of_the_file_and_holes_are_no_data(tmp_path, state, size, data, blocks):
    path = image(tmp_path / "disk", size=size, data=data)
    source = Source(path, state)
    scan = source.scan(BLOCK)
    content = path.read_bytes()
    assert scan.sha256 == hashlib.sha256(content).hexdigest()
    assert scan.data_blocks() == blocks
    for index in blocks:
        part = content[index * BLOCK : (index + 1) * BLOCK]
        assert scan.blocks[index] == hashlib.sha256(part).digest()
        assert source.block(scan, index) == part
    assert known_blocks(state, scan.sha256, BLOCK) == scan.blocks


def test_an_old_file_is_read_once(tmp_path, state):
    path = image(tmp_path / "disk", size=3 * BLOCK, data={0: b"a"})
    # Only what was not changed a moment ago is remembered, so wait for a later clock tick of the file system.
    before = path.stat().st_ctime_ns
    while True:
        probe = tmp_path / "probe"
        probe.touch()
        if probe.stat().st_ctime_ns - before > 300_000_000:
            break
    first = Source(path, state).scan(BLOCK)
    again = Source(path, state).scan(BLOCK)
    assert (first.cached, again.cached) == (False, True)
    assert again._replace(cached=False) == first
    path.write_bytes(b"b" * BLOCK * 3)
    assert not Source(path, state).scan(BLOCK).cached


def test_a_change_is_noticed(tmp_path, state):
    path = image(tmp_path / "disk", size=3 * BLOCK, data={0: b"a", BLOCK: b"b"})
    source = Source(path, state)
    scan = source.scan(BLOCK)
    source.check()
    with path.open("r+b") as file:
        file.seek(BLOCK)
        file.write(b"c")
    assert source.block(scan, 0)
    for look in (lambda: source.block(scan, 1), source.check):
        with pytest.raises(AwsError) as caught:
            look()
        assert caught.value.code == "aws.source-changed"


def test_a_file_that_is_replaced_is_noticed(tmp_path, state):
    path = image(tmp_path / "disk", size=BLOCK, data={0: b"a"})
    source = Source(path, state)
    os.replace(image(tmp_path / "other", size=BLOCK, data={0: b"a"}), path)
    with pytest.raises(AwsError) as caught:
        source.check()
    assert caught.value.code == "aws.source-changed"


VHD = b"conectix" + bytes(40) + struct.pack(">Q", 7 << 30) + bytes(456)


@pytest.mark.parametrize(
    ("content", "kind", "virtual"),
    [
        (b"KDMV" + struct.pack("<IIQ", 3, 0, 4 << 21) + bytes(1000), "vmdk", 4 << 30),
        (bytes(4096) + VHD, "vhd", 7 << 30),
        (b"any" * 1000, "raw", 3000),
    ],
)
def test_formats(tmp_path, state, content, kind, virtual):
    path = tmp_path / "disk"
    path.write_bytes(content)
    source = Source(path, state)
    assert (source.format, source.virtual_size) == (kind, virtual)


@pytest.mark.parametrize(
    "content", [b"QFI\xfb" + bytes(100), b"# Disk DescriptorFile", b"vhdxfile", b"", None]
)
def test_what_is_no_image(tmp_path, state, content):
    path = tmp_path / "disk"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AwsError) as caught:
        Source(path, state)
    assert (caught.value.code, caught.value.place) == ("aws.source", ("awspub", "source", "path"))


def test_parts_of_objects(tmp_path, state):
    assert part_size(1) == part_size(PART * PARTS) == PART
    assert part_size(PART * PARTS + 1) == 2 * PART
    path = image(tmp_path / "disk", size=2 * PART + 5, data={0: b"a", 2 * PART: b"b"})
    scan = Source(path, state).scan(PART)
    assert scan.blocks[1] == ZERO
    content = path.read_bytes()
    expected = [hashlib.sha256(content[n * PART : (n + 1) * PART]).digest() for n in range(3)]
    assert part_digests(scan, len(content)) == expected
    assert composite_checksum(expected).endswith("=-3")
