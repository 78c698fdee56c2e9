"""Looks into disk images: partitions as files, file systems mounted for a moment."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.modules.stages.raw import loop

SECTOR = 512


def table(image: Path) -> dict[str, Any]:
    """Return the partition table as sfdisk tells it."""
    shown = subprocess.run(["sfdisk", "--json", str(image)], capture_output=True, check=True).stdout
    found: dict[str, Any] = json.loads(shown)["partitiontable"]
    return found


def partition(image: Path, number: int) -> Path:
    """Copy a partition into a file of its own, which has holes."""
    found = table(image)["partitions"][number - 1]
    target = image.with_name(f"{image.name}.{number}")
    with image.open("rb") as source, target.open("wb") as file:
        file.truncate(found["size"] * SECTOR)
        source.seek(found["start"] * SECTOR)
        for at in range(0, found["size"] * SECTOR, 1 << 20):
            data = source.read(min(1 << 20, found["size"] * SECTOR - at))
            if data.strip(b"\0"):
                file.seek(at)
                file.write(data)
    return target


def tags(image: Path) -> dict[str, str]:
    """Return what blkid knows of a file system."""
    command = ["blkid", "--probe", "--output", "export", str(image)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """Mount a file system, read-only, at the new directory ``at``."""
    at.mkdir()
    with loop(image) as device:
        # The log of XFS is clean, so nothing is lost without it, and another test's copy may be mounted.
        kind = tags(image)["TYPE"]
        options = "ro,nouuid" if kind == "xfs" else "ro"
        subprocess.run(["mount", "-t", kind, "-o", options, device, str(at)], check=True)
        try:
            yield at
        finally:
            subprocess.run(["umount", str(at)], check=True)


def content(tree: Path) -> dict[str, tuple[object, ...]]:
    """Return, for each path in ``tree``, what a copy has to keep of it."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(tree):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if path.name == "lost+found":
                continue
            info = path.lstat()
            data: object = None
            if path.is_symlink():
                data = str(path.readlink())
            elif path.is_file():
                data = path.read_bytes(), info.st_nlink
            attributes = (
                {key: os.getxattr(path, key) for key in os.listxattr(path)} if not path.is_symlink() else {}
            )
            kept = info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns
            found[str(path.relative_to(tree))] = (*kept, data, attributes)
    return found
