import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20


@pytest.fixture
def blocks(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.blocks")


def copy(blocks: Any, source: Path, target: Path, count: int, start: int = 0) -> bytes:
    with source.open("rb") as read, target.open("rb+") as written:
        blocks.copy(read.fileno(), written.fileno(), count, start)
    return target.read_bytes()


def test_zeros_replace_what_is_there(blocks: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(2 * MIB) + b"end")
    target.write_bytes(b"x" * (3 * MIB))
    copied = copy(blocks, source, target, 2 * MIB + 3)
    assert copied == source.read_bytes() + b"x" * (MIB - 3)


def test_holes_stay_holes(blocks: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(8 * MIB) + b"data" + bytes(8 * MIB))
    target.touch()
    os.truncate(target, 16 * MIB + 4)
    assert copy(blocks, source, target, 16 * MIB + 4) == source.read_bytes()
    assert target.stat().st_blocks * 512 <= 2 * MIB


def test_a_hole_takes_the_place_of_data(blocks: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.touch()
    os.truncate(source, 4 * MIB)
    target.write_bytes(bytes(MIB) + b"x" * (4 * MIB))
    assert copy(blocks, source, target, 4 * MIB) == bytes(4 * MIB) + b"x" * MIB


def test_a_part(blocks: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    data = os.urandom(3 * MIB)
    source.write_bytes(data)
    target.write_bytes(bytes(MIB + 9))
    assert copy(blocks, source, target, MIB + 9, MIB - 5) == data[MIB - 5 : 2 * MIB + 4]


def test_too_few_bytes_are_told(blocks: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"four")
    target.touch()
    with pytest.raises(ValueError, match="there are 4 bytes to copy, not 5"):
        copy(blocks, source, target, 5)


def test_sizes(blocks: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(12345))
    with (tmp_path / "file").open("rb") as file:
        assert blocks.size(file.fileno()) == 12345
