from __future__ import annotations

import json
import lzma
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .harness import Assembly
from .images import content, mounted, partition, table, tags

pytestmark = pytest.mark.root

DISK = "0x14fc63d2"
GUID = "D209C89E-EA5E-4FBD-B161-B461CCE297E0"
ROOT = "76a22bf4-f153-4541-b6c7-0332c0dfaeac"
BOOT = "156f0420-627b-4151-ae6f-fda298097515"
ESP = "7B77-95E7"
SIZE = 96 << 20
EXT4 = {"type": "ext4", "uuid": ROOT, "mountpoint": "/"}


def options(**more: Any) -> dict[str, Any]:
    return {"format": "raw", "filename": "disk.img", "ptuuid": DISK, "size": SIZE, **more}


def with_table(kind: str, *partitions: dict[str, Any], **more: Any) -> dict[str, Any]:
    ptuuid = GUID if kind == "gpt" else DISK
    return options(pttype=kind, ptuuid=ptuuid, partitions=list(partitions), **more)


def fill(assembly: Assembly) -> None:
    assembly.add("etc/motd", "hello\n", 0o640)
    assembly.add("boot/vmlinuz", "not really")
    (assembly.tree / "boot/grub").mkdir()


def test_one_partition(assembly: Assembly, tmp_path: Path) -> None:
    fill(assembly)
    log = assembly.make("qemu", options(root_fs_uuid=ROOT))
    disk = assembly.output / "disk.img"
    found = table(disk)
    assert (found["label"], found["id"], disk.stat().st_size) == ("dos", DISK, SIZE)
    (only,) = found["partitions"]
    assert only["bootable"]
    assert "grub2 for i386-pc" in log
    with disk.open("rb") as file:
        sector = file.read(512)
        assert sector[510:] == b"\x55\xaa" and any(sector[:400])
        assert any(file.read(512))
    image = partition(disk, 1)
    assert tags(image)["UUID"] == ROOT
    with mounted(image, tmp_path / "root") as root:
        assert content(root) == content(assembly.tree)


def test_several_partitions(assembly: Assembly, tmp_path: Path) -> None:
    """A BIOS boot partition for the boot loader, one for /boot, which is mounted in the one for /."""
    fill(assembly)
    assembly.make(
        "qemu",
        with_table(
            "gpt",
            {"start": 2048, "size": 2048, "type": "21686148-6449-6E6F-744E-656564454649", "name": "bios"},
            {
                "size": 65536,
                "filesystem": {"type": "ext4", "uuid": BOOT, "label": "b", "mountpoint": "/boot"},
            },
            {"filesystem": EXT4, "name": "root"},
        ),
    )
    disk = assembly.output / "disk.img"
    found = table(disk)
    assert (found["label"], found["id"]) == ("gpt", GUID)
    assert [one.get("name") for one in found["partitions"]] == ["bios", None, "root"]
    assert any(partition(disk, 1).read_bytes()[:512])
    boot, root = partition(disk, 2), partition(disk, 3)
    assert (tags(boot)["UUID"], tags(boot)["LABEL"], tags(root)["UUID"]) == (BOOT, "b", ROOT)
    with mounted(boot, tmp_path / "boot") as place:
        assert (place / "vmlinuz").read_text() == "not really"
    with mounted(root, tmp_path / "root") as place:
        assert (place / "etc/motd").stat().st_mode & 0o777 == 0o640
        assert list((place / "boot").iterdir()) == []


def test_an_efi_system_partition(assembly: Assembly) -> None:
    fill(assembly)
    assembly.add("boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ")
    assembly.make(
        "qemu",
        with_table(
            "gpt",
            {
                "size": 65536,
                "type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
                "filesystem": {"type": "vfat", "uuid": ESP, "mountpoint": "/boot/efi"},
            },
            {"filesystem": EXT4},
        ),
    )
    image = partition(assembly.output / "disk.img", 1)
    assert tags(image)["UUID"] == ESP
    shown = subprocess.run(
        ["mtype", "-i", str(image), "::EFI/BOOT/BOOTX64.EFI"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "MZ"


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vpc", "vhdx", "raw.xz"])
def test_formats(assembly: Assembly, kind: str) -> None:
    more = {"vmdk": {"vmdk_subformat": "streamOptimized"}, "qcow2": {"qcow2_compat": "0.10"}}
    assembly.make("qemu", options(format=kind, root_fs_uuid=ROOT, **more.get(kind, {})))
    disk = assembly.output / "disk.img"
    raw = assembly.base / "raw.img"
    if kind == "raw.xz":
        raw.write_bytes(lzma.decompress(disk.read_bytes()))
    else:
        shown = subprocess.run(
            ["qemu-img", "info", "-f", kind, "--output=json", str(disk)], capture_output=True, check=True
        )
        info = json.loads(shown.stdout)
        assert info["virtual-size"] == SIZE
        details = info.get("format-specific", {}).get("data", {})
        if kind == "vmdk":
            assert details["create-type"] == "streamOptimized"
        if kind == "qcow2":
            assert details["compat"] == "0.10"
        subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", str(disk), str(raw)], check=True)
    assert raw.stat().st_size == SIZE
    assert len(table(raw)["partitions"]) == 1
    assert [path.name for path in assembly.output.iterdir()] == ["disk.img"]


REFUSED = {
    "a size that is no number of sectors": (options(root_fs_uuid=ROOT, size=SIZE + 1), "multiple of 512"),
    "no root": (with_table("mbr", {"filesystem": {**EXT4, "mountpoint": "/boot"}}), "mountpoint /"),
    "two for one place": (
        with_table("mbr", {"size": 4096, "filesystem": EXT4}, {"filesystem": {**EXT4, "uuid": BOOT}}),
        "same mountpoint",
    ),
    "no place for the boot loader": (
        with_table("gpt", {"filesystem": EXT4}, bootloader={"type": "grub2"}),
        "BIOS boot partition",
    ),
    "a boot loader that the build root lacks": (
        options(root_fs_uuid=ROOT, bootloader={"type": "grub2", "platform": "sparc64-ieee1275"}),
        "no GRUB for sparc64-ieee1275",
    ),
    "zipl without an entry": (
        options(root_fs_uuid=ROOT, bootloader={"type": "zipl"}),
        "no boot entry for zipl",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(assembly: Assembly, row: str) -> None:
    fill(assembly)
    asked, said = REFUSED[row]
    assert said in assembly.refuse("qemu", asked)


def test_a_tree_that_does_not_fit(assembly: Assembly) -> None:
    fill(assembly)
    with (assembly.tree / "big").open("wb") as file:
        file.write(b"x" * (SIZE + 1))
    ended = assembly.run("qemu", options(root_fs_uuid=ROOT))
    assert ended.status != 0
    assert "No space left" in ended.log
