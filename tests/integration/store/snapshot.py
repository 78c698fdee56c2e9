"""What a tree is, path by path, so that two can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from osbuild_core.store import inodeflags

# Times before this were set by a test; later ones are those of the test itself.
_SET_BY_TEST = 10**9 * 10**9


def snapshot(tree: Path) -> dict[str, dict[str, Any]]:
    """Return {path: everything that a build may depend on} of a tree, its root included."""
    found: dict[str, dict[str, Any]] = {}
    groups: dict[tuple[int, int], list[str]] = {}
    pending = ["."]
    while pending:
        path = pending.pop()
        full = f"{tree}/{path}"
        status = os.lstat(full)
        found[path] = _entry(full, status)
        if stat.S_ISDIR(status.st_mode):
            pending.extend(f"{path}/{name}" for name in os.listdir(full))
        else:
            groups.setdefault((status.st_dev, status.st_ino), []).append(path)
    for names in groups.values():
        for name in names:
            found[name]["same as"] = sorted(names)
    return found


def _entry(path: str, status: os.stat_result) -> dict[str, Any]:
    kind = stat.S_IFMT(status.st_mode)
    entry: dict[str, Any] = {
        "kind": kind,
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": (status.st_uid, status.st_gid),
        "attributes": {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        },
    }
    if status.st_mtime_ns < _SET_BY_TEST:
        entry["time"] = status.st_mtime_ns
    if kind != stat.S_IFDIR:
        entry["links"] = status.st_nlink
    if kind == stat.S_IFREG:
        entry["size"] = status.st_size
        entry["content"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        entry["sparse"] = status.st_size > 1 << 20 and status.st_blocks * 512 < status.st_size
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        entry["flags"] = inodeflags.read(path)
    if kind == stat.S_IFLNK:
        entry["target"] = os.readlink(path)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry["device"] = status.st_rdev
    return entry
