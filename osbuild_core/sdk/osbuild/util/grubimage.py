"""The GRUB boot loader on disk images: its core image, and the boot sector that loads it."""

import os
import struct

from osbuild.util.program import run

MODULES = "/usr/lib/grub"
BIOS = "i386-pc"
OPEN_FIRMWARE = "powerpc-ieee1275"

_CORE = "/var/tmp/grub-core.img"

# Offsets into GRUB's boot.img: where the core image starts, in sectors, and a jump over the check of the
# drive number. The partition table begins at the last one.
_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_BPB_START, _BPB_END = 0x03, 0x5A
_TABLE = 0x1B8
_NO_OPERATION = b"\x90\x90"

# Offset into the core's first sector: where the rest of it starts.
_BLOCK_LIST = 0x1F4

_TABLE_NAMES = {"dos": "msdos", "gpt": "gpt"}
_FILESYSTEM_MODULES = {"btrfs": "btrfs", "ext4": "ext2", "iso9660": "iso9660", "vfat": "fat", "xfs": "xfs"}
_PLATFORM_MODULES = {BIOS: ["biosdisk"], OPEN_FIRMWARE: ["ofdisk"]}


def partition_prefix(label, number, path):
    """Return ``path`` on the partition ``number``, from 1, as GRUB writes it; ``label`` is "gpt" or "dos"."""
    return "(,{}{}){}".format(_TABLE_NAMES[label], number, path)


def make_core(platform, prefix, label, filesystem, program="grub2-mkimage"):
    """Return the core image: what it takes to find the rest of GRUB, at ``prefix``, in a file system.

    ``label`` ("gpt" or "dos") and ``filesystem`` are what it has to read, ``program`` is the name of grub-mkimage
    in the build root. Raises ProgramError.
    """
    modules = list(_PLATFORM_MODULES.get(platform, []))
    modules += ["part_" + _TABLE_NAMES[label], _FILESYSTEM_MODULES[filesystem]]
    command = [program, "--directory", os.path.join(MODULES, platform)]
    command += ["--format", platform, "--prefix", prefix, "--output", _CORE]
    os.makedirs(os.path.dirname(_CORE), exist_ok=True)
    try:
        run(command + modules)
        with open(_CORE, "rb") as file:
            return bytearray(file.read())
    finally:
        if os.path.exists(_CORE):
            os.unlink(_CORE)


def write(image, platform, core, location, sector_size=512):
    """Write ``core`` to the open file ``image``, at the sector ``location``, with what makes firmware find it.

    On a PC that is the boot sector, of which the partition table stays; others look for a partition of its own.
    """
    if platform == BIOS:
        # The firmware reads sectors of 512 bytes, whatever the table counts in.
        start = location * sector_size // 512
        _write_boot_sector(image, start)
        struct.pack_into("<Q", core, _BLOCK_LIST, start + 1)
    image.seek(location * sector_size)
    image.write(core)


def _write_boot_sector(image, start):
    with open(os.path.join(MODULES, BIOS, "boot.img"), "rb") as file:
        boot = bytearray(file.read(512))
    image.seek(0)
    old = image.read(512).ljust(512, b"\0")
    boot[_BPB_START:_BPB_END] = old[_BPB_START:_BPB_END]
    boot[_TABLE:] = old[_TABLE:]
    struct.pack_into("<Q", boot, _KERNEL_SECTOR, start)
    boot[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _NO_OPERATION
    boot[510:] = b"\x55\xaa"
    image.seek(0)
    image.write(boot)
