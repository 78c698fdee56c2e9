"""A held object: it stays as it is for as long as the lease is open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osbuild_core.model.errors import StoreError
from osbuild_core.store import object as objects
from osbuild_core.store.entry import Entry
from osbuild_core.store.failure import reported
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.table import ObjectTable


class Surroundings:
    """What leases and works need from their store: its table, its scratch space, what it can do."""

    def __init__(self, table: ObjectTable, tmp: Path, logs: Path, can_mount: Callable[[], bool]) -> None:
        self.table = table
        self.tmp = tmp
        self.logs = logs
        self.can_mount = can_mount

    @property
    def empty(self) -> Path:
        """The directory that every stack of layers ends with; nothing is ever put into it."""
        return self.tmp / "empty-layer"


class Lease:
    """A shared lock on an object. Close it, or use it as a context manager."""

    def __init__(self, surroundings: Surroundings, info: ObjectInfo, fd: int) -> None:
        self._surroundings = surroundings
        self._fd = fd
        self.key = info.key
        self.info = info

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock; -1 when closed."""
        return self._fd

    def close(self) -> None:
        """Give the object up. What was mounted from it must be unmounted before."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def layers(self) -> list[Path]:
        """Return the layers that make the tree, newest first. Raises StoreError where one is missing."""
        return [info.layer for info in self._chain()]

    def _chain(self) -> list[ObjectInfo]:
        chain = self._surroundings.table.chain(self.info)
        if chain is None:
            raise StoreError(
                f"object {self.key} has lost what it lies on", code="store.missing", hint="build again"
            )
        return chain

    def parent(self) -> ObjectInfo | None:
        """Return the object that this layer lies on; None where it is a whole tree. Raises StoreError."""
        if self.info.parent is None:
            return None
        return self._chain()[1]

    def flagged(self) -> bool:
        """Tell whether the tree may have immutable or append-only files. Raises StoreError."""
        return any(info.flagged for info in self._chain())

    @contextmanager
    def mount(self, target: Path | None = None) -> Iterator[Path]:
        """Mount the tree read-only at ``target`` (made if missing), or at a place of its own; yields where.

        In the calling thread's namespace, so it has to be left by the same thread. A store that may not mount
        yields the tree itself, wherever it is. Raises StoreError.
        """
        if not self._surroundings.can_mount():
            yield self._bare()
            return
        entry = None
        try:
            with reported("mounting an object"):
                if target is None:
                    entry = Entry(self._surroundings.tmp, "read")
                    target = entry.path / "tree"
                self._mount(target)
            try:
                yield target
            finally:
                with reported("unmounting an object"):
                    _unmount(target)
        finally:
            if entry is not None:
                entry.remove()

    def _mount(self, target: Path) -> None:
        target.mkdir(exist_ok=True)
        if self.info.backend == "overlay":
            from osbuild_core.store import overlay

            overlay.mount_readable(target, self.layers(), self._surroundings.empty)
        else:
            from osbuild_core.store import mountapi

            mountapi.bind(self.info.layer, target, read_only=True)

    def _bare(self) -> Path:
        if self.info.backend == "overlay":
            raise StoreError(
                f"object {self.key} is made of layers, which only root can mount",
                code="store.backend",
                hint="use another store directory",
            )
        return self.info.layer


def _unmount(target: Path) -> None:
    from osbuild_core.store import mountapi, overlay

    if not overlay.unmount(target):
        # Nobody can write through it, so whoever is still there does no harm.
        mountapi.umount(target, lazy=True)


def acquire(surroundings: Surroundings, key: str) -> Lease | None:
    """Hold the object if it can be used, and note that it was used just now."""
    with reported("taking an object"):
        held = surroundings.table.open_shared(key)
        if held is None:
            return None
        fd, info = held
        try:
            if surroundings.table.chain(info) is None:
                os.close(fd)
                surroundings.table.forget(key)
                surroundings.table.drop(key)
                return None
            surroundings.table.touch(fd, info)
        except BaseException:
            os.close(fd)
            raise
    return Lease(surroundings, info, fd)


def note_child(lease: Lease) -> None:
    """Note on the object that something lies on it (or did), so that its layer is not taken over."""
    path = lease.info.path / objects.CHILD
    if not path.exists():
        path.touch()
