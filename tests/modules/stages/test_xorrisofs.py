"""ISO images, read back by xorriso: not every kernel mounts them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from .harness import apply, refuse
from .images import EPOCH, OLD, fill, names

pytestmark = pytest.mark.root

ISOLINUX = bytes(range(256)) * 20
EFI = b"EFI boot image".ljust(64 << 10, b"\xf6")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = fill(tmp_path / "source")
    (tree / "images").mkdir()
    (tree / "images/boot.img").write_bytes(ISOLINUX)
    (tree / "images/efi.img").write_bytes(EFI)
    (tree / 'a "b" \\c').write_text("odd")
    return tree


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A boot record, as one of ISOLINUX begins."""
    path = tmp_path / "record.bin"
    path.write_bytes(b"\x33\xed" + b"\x90" * 30 + b"code".ljust(400, b"\0"))
    return path


def make(tree: Path, source: Path, *, epoch: int | None = None, **options: object) -> Path:
    given = {"filename": "/image.iso", "volid": "TEST", **options}
    apply("xorrisofs", tree, given, inputs={"tree": source}, epoch=epoch)
    return tree / "image.iso"


def ask(image: Path, *command: str) -> str:
    return subprocess.run(
        ["xorriso", "-no_rc", "-indev", image, *command], capture_output=True, text=True, check=True
    ).stdout


def unpacked(image: Path, place: Path) -> Path:
    ask(image, "-osirrox", "on", "-extract", "/", str(place))
    return place


def descriptor(image: Path, start: int, size: int) -> str:
    """Return a field of the primary volume descriptor (ECMA-119, 8.4)."""
    with image.open("rb") as file:
        file.seek(16 * 2048 + start)
        return file.read(size).decode().rstrip()


def iso_names(image: Path) -> set[str]:
    """Return the names of ISO 9660 in the directory at the top (ECMA-119, 9.1)."""
    data = image.read_bytes()
    root = data[16 * 2048 + 156 : 16 * 2048 + 190]
    here = int.from_bytes(root[2:6], "little") * 2048
    end, found = here + int.from_bytes(root[10:14], "little"), set()
    while here < end and data[here]:
        found.add(data[here + 33 : here + 33 + data[here + 32]].decode("latin-1"))
        here += data[here]
    return found


def test_it_has_the_whole_tree(tree: Path, source: Path, tmp_path: Path) -> None:
    image = make(tree, source)
    seen = unpacked(image, tmp_path / "seen")
    assert names(seen) == names(source)
    assert (seen / "boot/vmlinuz-1").read_text() == "boot/vmlinuz-1" * 5000
    assert os.readlink(seen / "etc/link") == "file"
    status = (seen / "etc/file").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o4711, OLD)
    # Joliet.
    assert image.read_bytes()[17 * 2048 + 88 : 17 * 2048 + 91] == b"%/E"


def test_what_it_is_called(tree: Path, source: Path) -> None:
    words = {
        "sysid": "LINUX",
        "volset": "A SET",
        "pub": "WHO PUBLISHES",
        "prep": "WHO PREPARED",
        "appid": "IT",
    }
    image = make(tree, source, volid="A-VOLUME_1", **words)
    places = {
        "sysid": (8, 32),
        "volset": (190, 128),
        "pub": (318, 128),
        "prep": (446, 128),
        "appid": (574, 128),
    }
    assert {name: descriptor(image, *place) for name, place in places.items()} == words
    assert descriptor(image, 40, 32) == "A-VOLUME_1"


def test_names_of_iso_9660(tree: Path, source: Path) -> None:
    (source / "a-name-that-is-rather-long.text").touch()
    assert "A_NAME_T.TEX;1" in iso_names(make(tree, source, isolevel=1))
    assert "A_NAME_THAT_IS_RATHER_LONG.TEXT;1" in iso_names(make(tree, source, full_filenames=True))
    assert "a-name-that-is-rather-long.text" in iso_names(make(tree, source, untranslated_filenames=True))


def test_owners_and_modes_for_everybody(tree: Path, source: Path, tmp_path: Path) -> None:
    os.chown(source / "etc/file", 5, 5)
    (source / "etc/file").chmod(0o4711)
    for options, expected in (({}, (0o4711, 5)), ({"rational_rock": True}, (0o555, 0))):
        seen = unpacked(make(tree, source, **options), tmp_path / f"seen{len(options)}")
        status = (seen / "etc/file").stat()
        assert (status.st_mode & 0o7777, status.st_uid) == expected


def test_what_is_left_out(tree: Path, source: Path, tmp_path: Path) -> None:
    patterns = ["*.img", "/run/osbuild/inputs/tree/usr/boot"]
    # With and without times to be set: those of what is left out are not there.
    for epoch in (None, EPOCH):
        seen = unpacked(make(tree, source, exclude=patterns, epoch=epoch), tmp_path / f"seen{epoch}")
        left = [name for name in names(source) if not name.endswith(".img") and not name.startswith("usr/")]
        assert names(seen) == left


def test_a_pc_and_efi_start_from_it(tree: Path, source: Path, record: Path, tmp_path: Path) -> None:
    boot = {"image": "images/boot.img", "catalog": "images/boot.cat"}
    image = make(tree, source, boot=boot, efi="images/efi.img", isohybridmbr=str(record))
    report = ask(image, "-report_el_torito", "plain", "-report_system_area", "plain")
    assert re.search(r"El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 ", report)
    assert re.search(r"El Torito boot img :   2  UEFI  y   none ", report)
    assert re.findall(r"El Torito img path :   .  (.*)", report) == ["/images/boot.img", "/images/efi.img"]
    assert re.search(r"MBR partition      :   2   0x00  0xef ", report)
    assert image.read_bytes()[:36] == record.read_bytes()[:36]
    seen = unpacked(image, tmp_path / "seen")
    assert not (seen / "images/boot.cat").exists()
    # Where the image lies is written into it (bytes 8 to 63).
    patched = (seen / "images/boot.img").read_bytes()
    assert (patched[:8], patched[64:]) == (ISOLINUX[:8], ISOLINUX[64:])
    assert int.from_bytes(patched[16:20], "little") == len(ISOLINUX)


def test_a_boot_image_is_left_as_it_is(tree: Path, source: Path, tmp_path: Path) -> None:
    boot = {"image": "images/boot.img", "catalog": "boot.cat", "nobootinfo": True}
    seen = unpacked(make(tree, source, boot=boot), tmp_path / "seen")
    assert (seen / "images/boot.img").read_bytes() == ISOLINUX


def test_grub_starts_it_from_a_disk(tree: Path, source: Path, record: Path) -> None:
    boot = {"image": "images/boot.img", "catalog": "boot.cat"}
    image = make(
        tree, source, boot=boot, efi="images/efi.img", grub2mbr=str(record), exclude=["efi.img"], epoch=EPOCH
    )
    report = ask(image, "-report_el_torito", "plain", "-report_system_area", "plain")
    table = json.loads(subprocess.run(["sfdisk", "--json", image], stdout=subprocess.PIPE, check=True).stdout)
    first, second = table["partitiontable"]["partitions"][:2]
    assert (first["start"], first["type"]) == (64, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
    assert second["type"] == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    data = image.read_bytes()
    assert data[second["start"] * 512 :].startswith(EFI)
    assert data.count(b"EFI boot image") == 1
    assert "grub2-mbr" in report
    match = re.search(r"El Torito boot img :   2  UEFI  y   none .* ([0-9]+)\n", report)
    assert match is not None and int(match[1]) * 4 == second["start"]


def test_a_partition_for_power(tree: Path, source: Path) -> None:
    report = ask(make(tree, source, chrp_boot=True), "-report_system_area", "plain")
    assert re.search(r"MBR partition      :   1   0x80  0x96 ", report)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"boot": {"image": "no.img", "catalog": "c"}}, "the tree has no file no.img, the boot image"),
        ({"efi": "images"}, "the tree has no file images, the EFI boot image"),
        ({"grub2mbr": "/none"}, "the build root has no file /none, the boot record"),
        ({"isohybridmbr": "/none", "grub2mbr": "/none"}, "exclude each other"),
        ({"chrp_boot": True, "efi": "images/efi.img"}, "chrp_boot and efi exclude each other"),
        ({"isohybridmbr": "/none"}, "starts the image of the option boot"),
    ],
)
def test_what_cannot_be(tree: Path, source: Path, options: dict[str, object], said: str) -> None:
    given = {"filename": "image", "volid": "TEST", **options}
    assert said in refuse("xorrisofs", tree, given, inputs={"tree": source})
    assert not (tree / "image").exists()


def test_a_volume_id_that_is_too_long(tree: Path, source: Path) -> None:
    log = refuse("xorrisofs", tree, {"filename": "image", "volid": "A" * 33}, inputs={"tree": source})
    assert "-volid" in log


def test_the_same_tree_gives_the_same_bytes(tree: Path, source: Path, tmp_path: Path, record: Path) -> None:
    options = {
        "boot": {"image": "images/boot.img", "catalog": "boot.cat"},
        "efi": "images/efi.img",
        "grub2mbr": str(record),
    }
    first = make(tree, source, epoch=EPOCH, **options).read_bytes()
    # Another order in directories and on the disk, other times; what the clock shows is in none of them.
    again = tmp_path / "again"
    again.mkdir()
    for path in sorted(source.iterdir(), reverse=True):
        subprocess.run(["cp", "-a", path, again], check=True)
    os.utime(again / "images/efi.img", (time.time() + 1000,) * 2)
    assert make(tree, again, epoch=EPOCH, **options).read_bytes() == first


def test_no_time_is_later_than_the_epoch(tree: Path, source: Path, tmp_path: Path) -> None:
    seen = unpacked(make(tree, source, epoch=EPOCH), tmp_path / "seen")
    times = {name: (seen / name).stat().st_mtime for name in names(seen)}
    assert {name for name, at in times.items() if at != EPOCH} == {"etc/file", "etc/hard", "etc/link"}
    assert times["etc/file"] == OLD
    assert (seen / "boot").stat().st_mtime == EPOCH
