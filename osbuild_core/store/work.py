"""A tree in the making: begun on another, changed by a stage, committed under its key or thrown away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from osbuild_core.model.errors import StoreError
from osbuild_core.store import locks
from osbuild_core.store import object as objects
from osbuild_core.store.entry import Entry
from osbuild_core.store.failure import reported
from osbuild_core.store.lease import Lease, Surroundings, acquire, note_child
from osbuild_core.store.object import ObjectInfo


class Kind(NamedTuple):
    """How a tree is made: by which backend, and whether nothing may ever be stacked on it."""

    backend: str
    plain: bool


class Work:
    """A context manager; leaving it without :meth:`commit` throws everything away.

    ``tree`` is the writable tree, or with ``bare`` the overlay layer without what it lies on;
    ``directory / "scratch"`` is a name that is free for whatever goes with the stage, ``log`` where its output is to
    be written. All of it is used by one thread: the one that began it, in its mount namespace.
    """

    def __init__(self, surroundings: Surroundings, key: str, kind: Kind, base: Lease | None) -> None:
        self._surroundings = surroundings
        self._entry = Entry(surroundings.tmp, "work")
        self._base = base
        self._kind = kind
        self._mounted = False
        self._watch: int | None = None
        self._direct = False
        self._done = False
        self.bare = False
        self.on_commit: Callable[[ObjectInfo, bool], None] = lambda _info, _ours: None
        self.key = key
        self.directory = self._entry.path
        self.log = self._object / "log"
        self.tree = self.directory / "tree"
        try:
            for path in (self._object, self.tree):
                path.mkdir()
        except BaseException:
            self.abort()
            raise

    @property
    def _object(self) -> Path:
        return self.directory / "object"

    @property
    def _layer(self) -> Path:
        return self._object / objects.LAYER

    @property
    def _work(self) -> Path:
        return self.directory / "work"

    def stack(self, *, bare: bool = False, direct: bool = False) -> None:
        """Start from a new layer on the base; a ``bare`` one is the tree itself, for whoever writes layers.

        So is a ``direct`` one where there is no base, for whoever writes trees.
        """
        self._layer.mkdir()
        if self._base is None:
            self._layer.chmod(0o755)
        else:
            from osbuild_core.store.overlay import seed_root

            note_child(self._base)
            seed_root(str(self._layer), str(self._base.info.layer))
        self.bare = bare
        self._direct = direct and not bare and self._base is None
        if bare:
            self.tree = self._layer
        elif self._direct:
            self._bind_layer()
        else:
            self._mount_layer()

    def copy(self, cancelled: Callable[[], bool]) -> None:
        """Start from a whole copy of the base. Raises Cancelled when ``cancelled()`` turns true."""
        self._layer.mkdir()
        self._layer.chmod(0o755)
        if self._base is not None:
            self.fill(self._base, self._layer, cancelled)
            # The copy stands alone: from here on its origin may go.
            self._base.close()
            self._base = None
        self._bind_layer()

    def fill(self, source: Lease, target: Path, cancelled: Callable[[], bool]) -> None:
        """Copy the tree of ``source`` to ``target``. Raises Cancelled when ``cancelled()`` turns true."""
        from osbuild_core.store.copying import copy_tree

        chain = self._surroundings.table.chain(source.info) or []
        flags = any(info.flagged for info in chain)
        with source.mount() as tree:
            copy_tree(str(tree), str(target), flags=flags, lock=self._entry.fd, cancelled=cancelled)

    def take(self, taken: Lease) -> None:
        """Start from the layer of ``taken`` itself, which the caller holds exclusively: that object ends here.

        What it lies on is the base of this work.
        """
        self._surroundings.table.forget(taken.key)
        # One rename takes the object out of the store; whatever happens next, nobody sees half of it.
        aside = self.directory / "taken"
        taken.info.path.rename(aside)
        taken.close()
        (aside / objects.LAYER).rename(self._layer)
        if self._kind.backend == "overlay":
            self._mount_layer()
        else:
            self._bind_layer()

    def _mount_layer(self) -> None:
        from osbuild_core.store import mountapi, overlay

        self._work.mkdir()
        lowers = [] if self._base is None else self._base.layers()
        overlay.mount_writable(self.tree, self._layer, self._work, lowers, self._surroundings.empty)
        self._mounted = True
        self._watch = mountapi.watch_unmount(self.tree)

    def _bind_layer(self) -> None:
        if not self._surroundings.can_mount():
            self.tree = self._layer
            return
        from osbuild_core.store import mountapi

        mountapi.bind(self._layer, self.tree)
        self._mounted = True
        with suppress(PermissionError):
            mountapi.lift_restrictions(self.tree)

    def commit(
        self, document: Mapping[str, Any], *, source_epoch: int | None = None, flags: bool = True
    ) -> ObjectInfo:
        """Make the tree an object under the key, with ``document`` beside it.

        ``source_epoch`` (seconds since 1970): files changed later than that get that time. ``flags`` says that
        whoever changed the tree may have made files immutable or append-only, for which an overlay's layer has to be
        searched. Where the key has an object already, that one stays and is returned.

        Raises StoreError; with ``store.busy`` (something still uses the tree) nothing is lost and commit may
        be called again.
        """
        with self.commit_held(document, source_epoch=source_epoch, flags=flags) as lease:
            return lease.info

    def commit_held(
        self,
        document: Mapping[str, Any],
        *,
        source_epoch: int | None = None,
        flags: bool = True,
        tree: str | None = None,
        stands_for: str | None = None,
        flagged: bool = False,
    ) -> Lease:
        """Commit, and go on holding the object, so that nobody evicts it before it is used.

        ``flags`` is as in :meth:`commit`, ``tree`` and ``stands_for`` as in :class:`ObjectInfo`; ``flagged`` says
        that a bare layer has immutable or append-only files.
        """
        with reported("committing a tree"):
            # Nobody waits for what is in the scratch directory, but a mount in it would hold the tree.
            self._unmount()
            info = self._finish(document, source_epoch, flags)
            info = replace(info, tree=tree, stands_for=stands_for, flagged=info.flagged or flagged)
            # A commit that failed may have left one.
            with suppress(FileNotFoundError):
                os.unlink(self._object / objects.FILE)
            objects.write(self._object, info)
            lease = self._publish(info)
        self._done = True
        self._close()
        self.on_commit(lease.info, lease.info.serial == info.serial)
        return lease

    def _unmount(self) -> None:
        if not self._mounted:
            return
        from osbuild_core.store import hardlinks, overlay

        if self._watch is not None and os.path.ismount(self.tree):
            hardlinks.close_groups(self.tree, self._work)
        if not overlay.unmount(self.tree, self._watch):
            raise StoreError(
                f"the tree of {self.key[:12]} is still in use after the stage",
                code="store.busy",
                hint="a process or a mount was left behind in it",
                retryable=True,
            )
        self._mounted = False

    def _finish(self, document: Mapping[str, Any], source_epoch: int | None, flags: bool) -> ObjectInfo:
        parent = None if self._base is None else self._base.info
        backend, layer = self._kind.backend, str(self._layer)
        foreign = flagged = False
        if backend != "overlay" or (self._direct and flags):
            from osbuild_core.store.layer import examine

            foreign, flagged = examine(layer, source_epoch)
        else:
            from osbuild_core.store.layer import nests, settle
            from osbuild_core.store.removal import remove_tree

            # It says that the layer may be incomplete, and its index would add one to link counts.
            remove_tree(str(self._work))
            foreign = self._direct and nests(layer)
            flagged = settle(layer, source_epoch, flags=flags)
        if foreign and backend == "overlay":
            # None can show it.
            backend = "copy"
        now = time.time()
        return ObjectInfo(
            key=self.key,
            parent=None if parent is None else parent.key,
            parent_serial=None if parent is None else parent.serial,
            depth=1 if parent is None else parent.depth + 1,
            backend=backend,
            created=now,
            last_used=now,
            document=document,
            path=self._object,
            serial=objects.new_serial(),
            plain=self._kind.plain,
            stackable=not foreign,
            flagged=flagged,
            marked=objects.mark(self._object),
        )

    def _publish(self, info: ObjectInfo) -> Lease:
        table = self._surroundings.table
        # Held before anybody can see it.
        fd = os.open(self._object / objects.FILE, os.O_RDWR | os.O_CLOEXEC)
        try:
            locks.try_shared(fd)
            for _ in range(3):
                with suppress(FileExistsError, NotADirectoryError):
                    _rename_new(self._object, table.directory / self.key)
                table.forget(self.key)
                # Ours, or that of somebody who was first; one that cannot be used has been removed by now.
                there = table.usable(self.key)
                if there is not None and there.serial == info.serial:
                    lease = Lease(self._surroundings, there, fd)
                    fd = -1
                    return lease
                held = acquire(self._surroundings, self.key)
                if held is not None:
                    return held
        finally:
            if fd >= 0:
                os.close(fd)
        raise StoreError(
            f"an unusable object is in the way of {info.key}",
            code="store.busy",
            hint="another process holds it; end that one",
            retryable=True,
        )

    def abort(self) -> None:
        """Throw everything away except the log, which goes to ``logs/``. Does nothing after a commit."""
        if self._done:
            return
        self._done = True
        with suppress(OSError):
            if self.log.stat().st_size:
                self.log.replace(self._surroundings.logs / f"{self.key}.log")
        if self._mounted:
            from osbuild_core.store import overlay

            with suppress(OSError):
                overlay.unmount(self.tree, self._watch)
        self._close()

    def _close(self) -> None:
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None
        self._entry.remove()
        if self._base is not None:
            self._base.close()
            self._base = None

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()


def _rename_new(source: Path, target: Path) -> None:
    """Rename a directory to a name that is not taken; FileExistsError where it is."""
    try:
        source.rename(target)
    except OSError as error:
        if target.exists():
            raise FileExistsError(str(target)) from error
        raise


def begin_taking_over(surroundings: Surroundings, key: str, kind: Kind, base: Lease) -> Work | None:
    """Begin on the layer of ``base`` itself; None where somebody else uses it, or was promised it.

    The caller made sure that it was committed by this process and is not on the disk for good.
    """
    info = base.info
    parent = None
    if info.parent is not None:
        parent = acquire(surroundings, info.parent)
        if parent is None:
            return None
    # Turns our shared lock into an exclusive one, if nobody else has one.
    held = locks.try_exclusive(base.fd)
    if not held or info.pinned or info.durable or (info.path / objects.CHILD).exists():
        if held:
            locks.try_shared(base.fd)
        if parent is not None:
            parent.close()
        return None
    work = None
    try:
        work = Work(surroundings, key, kind, parent)
        work.take(base)
    except BaseException:
        if work is not None:
            work.abort()
        elif parent is not None:
            parent.close()
        raise
    return work
