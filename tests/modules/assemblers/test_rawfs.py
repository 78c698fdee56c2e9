from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .harness import Assembly
from .images import content, mounted, tags

pytestmark = pytest.mark.root

UUID = "76a22bf4-f153-4541-b6c7-0332c0dfaeac"


def options(**more: object) -> dict[str, object]:
    return {"filename": "root.img", "root_fs_uuid": UUID, "size": 64 << 20, **more}


def fill(assembly: Assembly) -> None:
    """Put one of everything into the tree."""
    file = assembly.add("etc/motd", "hello\n", 0o640)
    os.chown(file, 7, 8)
    os.link(file, assembly.tree / "etc/motd.link")
    os.setxattr(file, "user.note", b"x")
    assembly.add("usr/bin/sudo", "#!", 0o4755)
    (assembly.tree / "bin").symlink_to("usr/bin")
    (assembly.tree / "empty").mkdir(mode=0o1777)
    (assembly.tree / "empty").chmod(0o1777)
    os.mkfifo(assembly.tree / "pipe")
    os.utime(assembly.tree / "usr", (1, 1_000_000_000))
    os.utime(assembly.tree, (1, 1_100_000_000))
    assembly.tree.chmod(0o751)


@pytest.mark.parametrize(("kind", "size"), [("ext4", 64), ("xfs", 384), ("btrfs", 256)])
def test_the_file_system_has_the_tree(assembly: Assembly, tmp_path: Path, kind: str, size: int) -> None:
    fill(assembly)
    assembly.make("rawfs", options(fs_type=kind, size=size << 20))
    image = assembly.output / "root.img"
    assert image.stat().st_size == size << 20
    found = tags(image)
    assert (found["TYPE"], found["UUID"]) == (kind, UUID)
    with mounted(image, tmp_path / "mounted") as root:
        assert content(root) == content(assembly.tree)
        info = root.stat()
        assert (info.st_mode & 0o7777, info.st_mtime) == (0o751, 1_100_000_000)


def test_ext4_is_the_default_and_left_clean(assembly: Assembly) -> None:
    fill(assembly)
    assembly.make("rawfs", options())
    image = assembly.output / "root.img"
    assert tags(image)["TYPE"] == "ext4"
    subprocess.run(["e2fsck", "-f", "-n", str(image)], check=True, capture_output=True)
    assert [path.name for path in assembly.output.iterdir()] == ["root.img"]


def test_a_size_that_is_no_number_of_sectors(assembly: Assembly) -> None:
    assert "multiple of 512" in assembly.refuse("rawfs", options(size=(64 << 20) + 1))


def test_a_tree_that_does_not_fit(assembly: Assembly) -> None:
    (assembly.tree / "big").write_bytes(os.urandom(8 << 20))
    before = loops()
    assert "cp failed" in assembly.refuse("rawfs", options(size=4 << 20))
    assert loops() - before == set()


def loops() -> set[str]:
    """Return the loop devices of this test."""
    shown = subprocess.run(
        ["losetup", "--noheadings", "-O", "NAME,BACK-FILE"], capture_output=True, text=True
    )
    return {line for line in shown.stdout.splitlines() if "root.img" in line}


def test_the_name_stays_in_the_output(assembly: Assembly, tmp_path: Path) -> None:
    (assembly.output / "root.img").symlink_to("/etc/other.img")
    (assembly.output / "etc").mkdir()
    assembly.make("rawfs", options())
    assert (assembly.output / "etc/other.img").stat().st_size == 64 << 20
