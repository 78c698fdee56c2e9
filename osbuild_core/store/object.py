"""What the store knows about one object: ``objects/<key>/object.json`` and the small files beside it.

``object.json`` is written once, before the object appears, since locks are held on it; its modification
time says when the object was last used. ``durable``, ``pinned``, ``child`` and ``size`` come later.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FILE = "object.json"
MARK = "trusted.osbuild-core.object"
"""An attribute of an object's directory. A copy that lost it has lost those of the layers, too, without which a
changed mode is a file of zeros, and what a stage deleted is there again."""
LAYER = "layer"
DURABLE = "durable"
PINNED = "pinned"
CHILD = "child"
_SIZE = "size"
_FORMAT = 1
_LATER = ("tree", "stands_for")


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A finished tree. ``document`` is what the engine wrote at commit; times are seconds since 1970.

    ``parent`` is the object that this layer lies on, and must exist for it to be read; None for a whole
    tree (the first layer, every copy). ``depth`` counts the layers down from here. ``plain`` trees are
    never stacked on. ``stackable`` is False for a copied tree that has things in it which an overlay would
    take for its own. ``flagged`` says that the layer has immutable or append-only files, ``marked`` that the
    directory has the attribute :data:`MARK`. ``tree`` is the identity of a tree that came from elsewhere, where
    it was committed first; ``stands_for`` the key of the object that this one is a flattened copy of.
    """

    key: str
    parent: str | None
    depth: int
    backend: str
    created: float
    last_used: float
    document: Mapping[str, Any]
    path: Path
    serial: str
    parent_serial: str | None = None
    boot: str = field(default_factory=boot_id)
    plain: bool = False
    stackable: bool = True
    flagged: bool = False
    marked: bool = False
    tree: str | None = None
    stands_for: str | None = None

    @property
    def identity(self) -> str:
        """What tells this tree from others that are made for the same key, on whichever machine."""
        return self.tree or self.serial

    @property
    def log(self) -> Path:
        """The stage's log; the file may be missing."""
        return self.path / "log"

    @property
    def layer(self) -> Path:
        """What the stage changed, for the store's own eyes."""
        return self.path / LAYER

    @property
    def durable(self) -> bool:
        """Whether it is known to be on the disk, so that it outlives a crash of the machine."""
        return (self.path / DURABLE).exists()

    @property
    def pinned(self) -> bool:
        return (self.path / PINNED).exists()

    def size(self) -> int:
        """Return the bytes that the object takes on the disk. The layer is walked once, then it is known."""
        beside = self.path / _SIZE
        with suppress(OSError, ValueError):
            return int(beside.read_text())
        total = allocated(str(self.path))
        with suppress(OSError):
            new = self.path / f"{_SIZE}.{os.urandom(4).hex()}"
            new.write_text(str(total))
            new.replace(beside)
        return total


def allocated(directory: str) -> int:
    """Return the bytes allocated for ``directory`` and all in it, hard links counted once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [directory]
    while pending:
        here = pending.pop()
        try:
            entries = list(os.scandir(here))
            total += os.lstat(here).st_blocks * 512
        except (FileNotFoundError, PermissionError):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def write(directory: Path, info: ObjectInfo) -> None:
    """Write ``object.json`` of a new object into ``directory``, where it is being made."""
    names = [name for name in ObjectInfo.__slots__ if name not in ("path", "last_used")]
    content = {name: getattr(info, name) for name in names} | {"format": _FORMAT}
    # Left out, so that programs from before there was a remote cache read the others.
    content = {name: value for name, value in content.items() if value is not None or name not in _LATER}
    with open(directory / FILE, "x", encoding="utf-8") as file:
        file.write(json.dumps(content, separators=(",", ":")))


def read(fd: int, directory: Path) -> ObjectInfo | None:
    """Read the open ``object.json`` of the object in ``directory``; None where it is not what we write."""
    status = os.fstat(fd)
    try:
        content = json.loads(os.pread(fd, status.st_size + 1, 0))
        if content.pop("format") != _FORMAT or content["key"] != directory.name:
            return None
        info = ObjectInfo(**content, path=directory, last_used=status.st_mtime)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    typed = isinstance(info.document, dict) and isinstance(info.depth, int) and isinstance(info.backend, str)
    linked = info.parent is None or isinstance(info.parent, str)
    return info if typed and linked and isinstance(info.serial, str) else None


def mark(directory: Path) -> bool:
    """Put :data:`MARK` on an object in the making; tells whether that is possible here."""
    try:
        os.setxattr(directory, MARK, b"1")
    except OSError:
        return False
    return True


def is_incomplete_copy(info: ObjectInfo) -> bool:
    """Tell whether somebody copied the object without its attributes, as ``tar`` and ``rsync`` do unasked."""
    if not info.marked:
        return False
    try:
        os.getxattr(info.path, MARK)
    except OSError:
        from osbuild_core.store.privilege import sees_trusted

        return sees_trusted()
    return False


def new_serial() -> str:
    """Return a number that tells an object from a later one of the same key."""
    return f"{time.time_ns():x}-{os.urandom(4).hex()}"
