"""The mount namespace of a thread, and what is mounted in it."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

_entered = threading.local()


def enter_private_namespace() -> None:
    """Give the calling thread its own mount namespace, once; its mounts are seen by nobody else.

    The namespace goes with the thread, and with a killed process: no mount is left behind. Programs that
    the thread starts inherit it. It starts with a copy of what the thread that started this one sees, so that
    one must have no trees mounted: a copy would keep them busy. Raises OSError (EPERM) without CAP_SYS_ADMIN.
    """
    from osbuild_core.store import mountapi

    if getattr(_entered, "done", False):
        return
    mountapi.unshare_mounts()
    mountapi.mount(None, "/", None, mountapi.MS_REC | mountapi.MS_PRIVATE)
    _entered.done = True


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _table() -> str:
    # Of the thread, not of the process: each pipeline's thread has its own namespace.
    fd = os.open("/proc/thread-self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8", errors="surrogateescape") as table:
        return table.read()


def mounts_below(directory: Path) -> list[str]:
    """Return the mount points below ``directory`` (or on it), in the order to unmount them."""
    prefix = str(directory)
    found = []
    for line in _table().splitlines():
        point = _unescaped(line.split(" ", 5)[4])
        if point == prefix or point.startswith(prefix + "/"):
            found.append(point)
    return found[::-1]


def mount_options(directory: Path) -> frozenset[str]:
    """Return the file system's own options of the mount on ``directory``; empty where there is none."""
    wanted = str(directory)
    options: frozenset[str] = frozenset()
    for line in _table().splitlines():
        fields, _, rest = line.partition(" - ")
        if _unescaped(fields.split(" ", 5)[4]) == wanted:
            options = frozenset(rest.split(" ")[-1].split(","))
    return options


def release_mounts(directory: Path) -> None:
    """Unmount all that this thread sees below ``directory``: what follows will delete it.

    Lazily where it is in use: a deletion must never walk into a mount.
    """
    below = mounts_below(directory)
    if not below:
        return
    from osbuild_core.store import mountapi

    for point in below:
        try:
            mountapi.umount(point)
        except OSError:
            mountapi.umount(point, lazy=True)
