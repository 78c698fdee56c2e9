"""LVM's metadata, of a volume group that LVM itself has made, and that it reads again."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("pvcreate") is None, reason="the package lvm2 is not installed"),
]
MAGIC = b" LVM2 x[5A%r0N*>"


@pytest.fixture
def lvm2(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.lvm2")


@contextmanager
def attached(image: Path) -> Iterator[str]:
    made = subprocess.run(
        ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True
    )
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def lvm(*command: str) -> str:
    """Run a program of LVM that looks at no other device than its last argument."""
    config = f'devices {{ global_filter=["a|^{command[-1]}$|", "r|.*|"] use_devicesfile=0 }}'
    environment = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1"}
    done = subprocess.run(
        [*command[:-1], "--config", config, command[-1]], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "pv.img"
    image.touch()
    os.truncate(image, 8 << 20)
    with attached(image) as device:
        lvm("pvcreate", "--yes", device)
        lvm("vgcreate", f"first{os.getpid()}", device)
    return image


def test_a_group_is_renamed(image: Path, lvm2: Any) -> None:
    with lvm2.Disk.open(image) as disk:
        assert disk.metadata.vg_name == f"first{os.getpid()}"
        disk.rename_vg("second")
        disk.set_description('by "us" \\ them')
        disk.set_creation_host("osbuild")
        disk.set_creation_time(1234567890)
        disk.flush_metadata()
    with attached(image) as device:
        assert lvm("pvs", "--noheadings", "-o", "vg_name", device).strip() == "second"
        lvm("pvck", device)
    with lvm2.Disk.open(image, read_only=True) as disk:
        assert next(iter(disk.metadata.data)) == disk.metadata.vg_name == "second"
        assert disk.metadata.data["description"] == 'by "us" \\ them'
        assert disk.metadata.data["creation_time"] == 1234567890
        assert disk.metadata.data["second"]["status"] == ["RESIZEABLE", "READ", "WRITE"]
        assert disk.metadata.data["second"]["flags"] == []


def test_metadata_goes_round_the_end_of_its_area(image: Path, lvm2: Any) -> None:
    with lvm2.Disk.open(image) as disk:
        data = disk.metadata.encode()
    raw = bytearray(image.read_bytes())
    place = raw.index(MAGIC) - 4
    size = struct.unpack_from("<Q", raw, place + 32)[0]
    offset = size - 100
    raw[place + offset : place + size] = data[:100]
    raw[place + 512 : place + 512 + len(data) - 100] = data[100:]
    struct.pack_into("<QQI", raw, place + 40, offset, len(data), lvm2._checksum(data))
    struct.pack_into("<I", raw, place, lvm2._checksum(bytes(raw[place + 4 : place + 512])))
    image.write_bytes(raw)
    with lvm2.Disk.open(image) as disk:
        disk.rename_vg("round")
        disk.flush_metadata()
    with attached(image) as device:
        assert lvm("pvs", "--noheadings", "-o", "vg_name", device).strip() == "round"


def test_what_does_not_fit_is_not_written(image: Path, lvm2: Any) -> None:
    before = image.read_bytes()
    with lvm2.Disk.open(image) as disk:
        disk.set_description("x" * (2 << 20))
        with pytest.raises(ValueError, match="does not fit"):
            disk.flush_metadata()
    assert image.read_bytes() == before


@pytest.mark.parametrize(("place", "problem"), [(30, "header"), (512 + 20, "metadata")])
def test_broken_metadata_is_refused(place: int, problem: str, image: Path, lvm2: Any) -> None:
    raw = bytearray(image.read_bytes())
    area = raw.index(MAGIC) - 4
    raw[area + place] ^= 1
    image.write_bytes(raw)
    with pytest.raises(ValueError, match=problem):
        lvm2.Disk.open(image)


def test_what_is_no_volume_is_refused(tmp_path: Path, image: Path, lvm2: Any) -> None:
    for content, problem in (
        (b"", RuntimeError),
        (bytes(4096), RuntimeError),
        (image.read_bytes()[:900], ValueError),
    ):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(problem):
            lvm2.Disk.open(tmp_path / "other")
    with attached(image) as device:
        lvm("pvcreate", "-ff", "--yes", device)
    with pytest.raises(RuntimeError, match="no volume group"):
        lvm2.Disk.open(image)


@pytest.mark.parametrize(
    "text", ["", "a", "a = 1", "vg {", "vg { x }", "vg { x = [1, }", 'vg { x = "open }', "vg { = }"]
)
def test_text_that_is_none_of_lvms_is_refused(text: str, lvm2: Any) -> None:
    with pytest.raises(ValueError):
        lvm2.Metadata.decode(text.encode())
