"""Keeps hard links together across layers.

A layer below cannot be changed, so when a stage touches one name of a hard-linked file, overlayfs copies the
file up under that name only and remembers the group in its index, which lives as long as the work directory.
Before the unmount all other names are brought into the layer as well; then the group is whole in there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from osbuild_core.store import mountapi

# An index entry is named by the hexadecimal file handle of the file below: version, magic, length, flags,
# type, 16 bytes of file system id, then the handle.
_TYPE = 4
_HANDLE = 21


def close_groups(tree: Path, work: Path) -> int:
    """Bring every name of every hard-linked file that changed into the layer; returns how many there were.

    ``tree`` is the mount, ``work`` its work directory. Costs nothing where no such file was touched, else one
    pass over the tree.
    """
    try:
        names = [name for name in os.listdir(work / "index") if not name.startswith("#")]
    except FileNotFoundError:
        return 0
    wanted = _inodes(work / "index", names)
    if not wanted:
        return 0
    found = 0
    pending = [str(tree)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.inode() in wanted:
                    found += 1
                    _copy_up(entry.path)
    return found


def _copy_up(path: str) -> None:
    # Setting its own times is the one change without a side effect: a chown would drop set-uid bits and
    # capabilities.
    status = os.lstat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _inodes(index: Path, names: list[str]) -> set[int]:
    wanted = set()
    fd = os.open(index, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            if stat.S_ISCHR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                continue
            handle = bytes.fromhex(name)
            wanted.add(mountapi.inode_of_handle(fd, handle[_TYPE], handle[_HANDLE:]))
    finally:
        os.close(fd)
    return wanted
