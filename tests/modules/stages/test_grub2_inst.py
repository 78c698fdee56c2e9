from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .harness import apply, refuse
from .raw import sparse

MODULES = Path("/usr/lib/grub/i386-pc")

pytestmark = pytest.mark.skipif(not MODULES.is_dir(), reason="grub-pc-bin is not installed")

CORE = {"type": "mkimage", "partlabel": "gpt", "filesystem": "ext4", "binary": "grub-mkimage"}
PREFIX = {"type": "partition", "partlabel": "gpt", "number": 1, "path": "/boot/grub"}


def options(**more: object) -> dict[str, object]:
    return {
        "filename": "disk.img",
        "platform": "i386-pc",
        "location": 2048,
        "core": CORE,
        "prefix": PREFIX,
        **more,
    }


def partitioned(tree: Path, label: str = "gpt") -> Path:
    image = sparse(tree / "disk.img", 16 << 20)
    script = {
        "gpt": b"label: gpt\nstart=2048, size=2048\nstart=4096\n",
        "dos": b"label: dos\nstart=2048, type=83\n",
    }
    subprocess.run(["sfdisk", "--quiet", str(image)], input=script[label], check=True)
    return image


def table(image: Path) -> Any:
    return subprocess.run(["sfdisk", "--dump", str(image)], capture_output=True, check=True).stdout


def test_boot_sector_and_core(tree: Path) -> None:
    image = partitioned(tree)
    before = table(image)
    apply("grub2.inst", tree, options())
    data = image.read_bytes()
    boot = (MODULES / "boot.img").read_bytes()
    assert data[:3] == boot[:3]
    assert struct.unpack_from("<Q", data, 0x5C) == (2048,)
    assert data[0x66:0x68] == b"\x90\x90"
    assert data[510:512] == b"\x55\xaa"
    assert table(image) == before
    core = data[2048 * 512 :]
    assert core[:16] == (MODULES / "diskboot.img").read_bytes()[:16]
    start, length = struct.unpack_from("<QH", core, 0x1F4)
    assert start == 2049
    # The last sector of the core has something in it, what follows is empty.
    end = (1 + length) * 512
    assert core[end - 512 : end].strip(b"\0")
    assert not core[end : end + 4096].strip(b"\0")


def test_the_prefix_is_in_the_core(tree: Path) -> None:
    # The core is compressed, so two that differ in nothing else are compared.
    image = partitioned(tree)
    apply("grub2.inst", tree, options())
    first = image.read_bytes()
    apply("grub2.inst", tree, options())
    assert image.read_bytes() == first
    apply("grub2.inst", tree, options(prefix={**PREFIX, "number": 0}))
    assert image.read_bytes() != first


def test_without_a_location_the_core_follows_the_boot_record(tree: Path) -> None:
    image = partitioned(tree, "dos")
    before = table(image)
    core = {**CORE, "partlabel": "dos"}
    chosen = options(core=core, prefix={"path": "/boot/grub"})
    del chosen["location"]
    apply("grub2.inst", tree, chosen)
    data = image.read_bytes()
    assert struct.unpack_from("<Q", data, 0x5C) == (1,)
    assert data[512:528] == (MODULES / "diskboot.img").read_bytes()[:16]
    assert table(image) == before


def test_on_gpt_a_location_is_needed(tree: Path) -> None:
    partitioned(tree)
    chosen = options()
    del chosen["location"]
    assert "'location' is needed" in refuse("grub2.inst", tree, chosen)


def test_sectors_of_another_size(tree: Path) -> None:
    image = sparse(tree / "disk.img", 16 << 20)
    apply("grub2.inst", tree, options(**{"location": 256, "sector-size": 4096}))
    data = image.read_bytes()
    assert struct.unpack_from("<Q", data, 0x5C) == (2048,)
    assert data[2048 * 512 :][:16] == (MODULES / "diskboot.img").read_bytes()[:16]
