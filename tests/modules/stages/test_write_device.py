from __future__ import annotations

import os
from pathlib import Path

import pytest

from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, as the files input gives it, with a file that has zeros in the middle."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "boot.img").write_bytes(b"start" * MIB + bytes(3 * MIB) + b"end")
    return path


def test_the_beginning_is_written_and_the_rest_stays(tree: Path, folder: Path) -> None:
    disk = tree / "disk.img"
    old = os.urandom(12 * MIB)
    disk.write_bytes(old)
    with loop(disk, offset=MIB) as device:
        ended = run_raw(
            "write-device", tree, {"from": "input://f/boot.img"}, files={"f": folder}, device=device
        )
    assert ended.status == 0, ended.log
    new = (folder / "boot.img").read_bytes()
    assert disk.read_bytes() == old[:MIB] + new + old[MIB + len(new) :]


def test_holes_stay_holes(tree: Path, folder: Path) -> None:
    disk = sparse(tree / "disk.img", 64 * MIB)
    sparse(folder / "boot.img", 64 * MIB)
    with (folder / "boot.img").open("rb+") as file:
        file.seek(40 * MIB)
        file.write(b"data")
    with loop(disk) as device:
        ended = run_raw(
            "write-device", tree, {"from": "input://f/boot.img"}, files={"f": folder}, device=device
        )
    assert ended.status == 0, ended.log
    assert disk.read_bytes() == (folder / "boot.img").read_bytes()
    assert disk.stat().st_blocks * 512 < 8 * MIB


def test_what_is_too_large_is_refused_before_anything_is_written(tree: Path, folder: Path) -> None:
    disk = sparse(tree / "disk.img", MIB)
    with loop(disk) as device:
        ended = run_raw(
            "write-device", tree, {"from": "input://f/boot.img"}, files={"f": folder}, device=device
        )
    assert ended.status != 0
    assert f"input://f/boot.img has {8 * MIB + 3} bytes, too many for a device of {MIB}" in ended.log
    assert disk.read_bytes() == bytes(MIB)
