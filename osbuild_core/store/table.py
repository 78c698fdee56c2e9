"""The objects of a store: which can be used, which are dropped, who holds them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from osbuild_core.store import locks
from osbuild_core.store import object as objects
from osbuild_core.store.entry import Entry
from osbuild_core.store.object import ObjectInfo

_Mark = tuple[int, int]


def _mark(status: os.stat_result) -> _Mark:
    # The inode alone may be used again for a later object of the same key.
    return status.st_ino, status.st_mtime_ns


class ObjectTable:
    """``directory`` is ``objects/``, ``tmp`` where objects go to be deleted. May be used from any thread."""

    def __init__(self, directory: Path, tmp: Path) -> None:
        self.directory = directory
        self.tmp = tmp
        self._text = str(directory)
        # key -> (mark of object.json, what was read): one stat tells that it is the same object still.
        self._known: dict[str, tuple[_Mark, ObjectInfo]] = {}

    def all_keys(self) -> list[str]:
        """Return the keys of all objects, usable or not."""
        return [name for name in os.listdir(self.directory) if not name.startswith(".")]

    def usable(self, key: str) -> ObjectInfo | None:
        """Return the object if all it stands on is there and to be trusted; else drop it, if it is there.

        To be trusted is what is on the disk for certain, or was made since the machine was started; and no copy
        that lost its attributes.
        """
        try:
            mark = _mark(os.stat(f"{self._text}/{key}/{objects.FILE}"))
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(key, None)
            if os.path.lexists(f"{self._text}/{key}"):
                self.drop(key)
            return None
        known = self._known.get(key)
        if known is not None and known[0] == mark:
            return known[1]
        info = self._examine(key)
        if info is None:
            self._known.pop(key, None)
            self.drop(key)
            return None
        self._known[key] = (mark, info)
        return info

    def touch(self, fd: int, info: ObjectInfo) -> None:
        """Note that the object was used now; ``fd`` is its open object.json."""
        os.utime(fd)
        status = os.fstat(fd)
        self._known[info.key] = (_mark(status), replace(info, last_used=status.st_mtime))

    def _examine(self, key: str) -> ObjectInfo | None:
        directory = self.directory / key
        try:
            fd = os.open(directory / objects.FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            info = objects.read(fd, directory)
        finally:
            os.close(fd)
        if info is None or not os.path.isdir(info.layer):
            return None
        if info.boot != objects.boot_id() and not info.durable:
            return None
        if objects.is_incomplete_copy(info):
            return None
        if info.parent is not None:
            parent = self.usable(info.parent)
            if parent is None or parent.serial != info.parent_serial:
                return None
        return info

    def chain(self, info: ObjectInfo) -> list[ObjectInfo] | None:
        """Return ``info`` and what it lies on, newest first; None where something is missing."""
        found = [info]
        while info.parent is not None:
            parent = self.usable(info.parent)
            if parent is None or parent.serial != info.parent_serial:
                return None
            found.append(parent)
            info = parent
        return found

    def open_shared(self, key: str) -> tuple[int, ObjectInfo] | None:
        """Take a shared lock on a usable object: (descriptor of the lock, object); None where there is none."""
        while (info := self.usable(key)) is not None:
            path = f"{self._text}/{key}/{objects.FILE}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                # Exclusive locks are held for moments only: to move an object away.
                if locks.try_shared(fd) and locks.is_still(fd, path):
                    now = self.usable(key)
                    if now is not None and now.serial == info.serial:
                        return fd, now
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            time.sleep(0.001)
        return None

    def forget(self, key: str) -> None:
        """Drop what is remembered of ``key``: it was moved away."""
        self._known.pop(key, None)

    def children(self, key: str) -> list[str]:
        """Return the keys of the objects that lie on ``key``, whatever their state."""
        return [child for child, info in self.all_infos() if info.parent == key]

    def all_infos(self) -> Iterator[tuple[str, ObjectInfo]]:
        """Yield (key, object) for all whose object.json can be read, usable or not."""
        for key in self.all_keys():
            known = self._known.get(key)
            with suppress(OSError):
                path = f"{self._text}/{key}/{objects.FILE}"
                if known is not None and _mark(os.stat(path)) == known[0]:
                    yield key, known[1]
                    continue
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    info = objects.read(fd, self.directory / key)
                finally:
                    os.close(fd)
                if info is not None:
                    yield key, info

    def drop(self, key: str) -> bool:
        """Delete an object that cannot be used, after those that lie on it; False where one is in use."""
        for child in self.children(key):
            if child != key and not self.drop(child):
                return False
        return self._drop_one(key)

    def _drop_one(self, key: str) -> bool:
        path = f"{self._text}/{key}"
        try:
            fd = os.open(f"{path}/{objects.FILE}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            fd = -1
        try:
            if fd >= 0:
                if not (locks.try_exclusive(fd) and locks.is_still(fd, f"{path}/{objects.FILE}")):
                    return False
                if self._examine(key) is not None:
                    # It was replaced by a good one meanwhile.
                    return True
            self.take_out(key, broken=fd < 0)
            return True
        finally:
            if fd >= 0:
                os.close(fd)

    def take_out(self, key: str, *, broken: bool = False) -> None:
        """Move the object out of the store in one step, then delete it. The caller has it locked.

        ``broken``: it had no object.json to lock.
        """
        path = f"{self._text}/{key}"
        entry = Entry(self.tmp, "gone")
        try:
            self.forget(key)
            with suppress(FileNotFoundError):
                os.rename(path, entry.path / key)
            if broken and (entry.path / key / objects.FILE).exists():
                # Between our look and the rename somebody put a good one in its place.
                os.rename(entry.path / key, path)
        finally:
            entry.remove()
