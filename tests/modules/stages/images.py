"""What is common to the tests of read-only images: a tree to make them of, and a look into them by a mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

EPOCH = 1_600_000_000
OLD = 1_500_000_000


def fill(path: Path) -> Path:
    """Make a tree with a link, hard links, an attribute, times, and what a kernel has in /boot."""
    for name in ("boot/efi/EFI", "usr/boot/efi", "etc"):
        (path / name).mkdir(parents=True)
    for name in ("boot/efi/EFI/a", "boot/initramfs-1", "boot/vmlinuz-1", "usr/boot/efi/b", "etc/file"):
        (path / name).write_text(name * 5000)
    (path / "etc/link").symlink_to("file")
    os.link(path / "etc/file", path / "etc/hard")
    os.setxattr(path / "etc/file", "user.note", b"kept")
    (path / "etc/file").chmod(0o4711)
    os.utime(path / "etc/file", (OLD, OLD))
    return path


def names(path: Path) -> list[str]:
    """Return the paths of all files and links below ``path``."""
    return sorted(
        str(name.relative_to(path)) for name in path.rglob("*") if name.is_symlink() or name.is_file()
    )


@contextlib.contextmanager
def mounted(kind: str, image: Path, place: Path) -> Iterator[Path]:
    """Mount ``image`` at the new directory ``place``, read-only."""
    place.mkdir()
    subprocess.run(["mount", "-t", kind, "-o", "ro,loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def expect_content(path: Path) -> None:
    """Check that ``path`` has all that :func:`fill` makes."""
    assert (path / "boot/vmlinuz-1").read_text() == "boot/vmlinuz-1" * 5000
    assert os.readlink(path / "etc/link") == "file"
    found = (path / "etc/file").stat()
    assert (found.st_nlink, found.st_mode & 0o7777, found.st_mtime) == (2, 0o4711, OLD)
    assert os.getxattr(path / "etc/file", "user.note") == b"kept"
