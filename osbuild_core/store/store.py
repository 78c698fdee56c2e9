"""The store: a directory with finished trees, found by key, and source files, found by checksum."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.model.errors import StoreError
from osbuild_core.store import locks
from osbuild_core.store import object as objects
from osbuild_core.store.entry import Entry, lock_path, remove_stale
from osbuild_core.store.failure import reported
from osbuild_core.store.lease import Lease, Surroundings, acquire
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.sources import SourceCache
from osbuild_core.store.table import ObjectTable

if TYPE_CHECKING:
    from osbuild_core.store.collection import Collection
    from osbuild_core.store.probe import Abilities
    from osbuild_core.store.verify import Verification
    from osbuild_core.store.work import Kind, Work

FORMAT = 1
MAX_DEPTH = 50
"""Reading slows down with the number of layers; from here on a tree is made one layer again."""


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """What is in a store; sizes are bytes allocated on the disk."""

    path: Path
    format: int
    backend: str
    objects: int
    object_bytes: int
    sources: int
    source_bytes: int


class Store:
    """Open one with :meth:`open`. Methods may be called from any thread."""

    def __init__(self, path: Path, names: dict[str, str], backend: str | None) -> None:
        self.path = path
        self.tmp = path / names["tmp"]
        self.sources = SourceCache(path / "sources", path / "sources.lock")
        self._wanted = backend
        self._table = ObjectTable(path / names["objects"], self.tmp)
        self._surroundings = Surroundings(self._table, self.tmp, path / "logs", lambda: self._probed().mounts)
        self._abilities: Abilities | None = None
        self._lock = threading.Lock()
        # key -> serial: what this Store committed, what it found, both not known to be on the disk.
        self._committed: dict[str, str] = {}
        self._found: set[str] = set()

    @classmethod
    def open(
        cls, path: Path, *, backend: str | None = None, create: bool = True, clean: bool = True
    ) -> Store:
        """Open the store at ``path``, made if missing; what killed processes left in it is removed.

        ``backend`` is overlay, reflink or copy; None takes the best that works. Whether it works is tried when
        it is first needed. Without ``create`` none is made (StoreError ``store.none``), without ``clean`` what
        was left behind stays. Raises StoreError: ``store.not-a-directory``, ``store.read-only``,
        ``store.format`` (of a newer program), ``store.backend``, ``store.full``.
        """
        from osbuild_core.store.layout import lay_out

        if backend is not None and backend not in ("overlay", "reflink", "copy"):
            raise StoreError(
                f"there is no store backend {backend!r}",
                code="store.backend",
                hint="overlay, reflink and copy are there",
            )
        path = Path(os.path.abspath(path))
        with reported(f"opening the store {path}"):
            store = cls(path, lay_out(path, FORMAT, create=create), backend)
            if clean:
                remove_stale(store.tmp)
        return store

    def close(self) -> None:
        """Nothing is held open between calls, so there is nothing to lose either."""
        self._committed.clear()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _probed(self) -> Abilities:
        with self._lock:
            if self._abilities is None:
                from osbuild_core.store.probe import probe

                with reported("trying the store's file system"):
                    self._abilities = probe(self.tmp)
            return self._abilities

    @property
    def backend(self) -> str:
        """How new trees are made; StoreError where the one asked for does not work here."""
        from osbuild_core.store.probe import choose

        return choose(self._probed(), self._wanted)

    def has(self, key: str) -> bool:
        """Tell whether there is an object that can be used. One that cannot be trusted is removed."""
        with reported("looking for an object"):
            return self._table.usable(key) is not None

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known about the object, or None."""
        with reported("looking for an object"):
            return self._table.usable(key)

    def objects(self) -> Iterator[ObjectInfo]:
        """Yield every object that can be used."""
        for key in self._table.all_keys():
            info = self.info(key)
            if info is not None:
                yield info

    def acquire(self, key: str) -> Lease | None:
        """Hold an object, so that it is there until the lease is closed; None where there is none."""
        lease = acquire(self._surroundings, key)
        if lease is not None and not lease.info.durable:
            with self._lock:
                self._found.add(key)
        return lease

    def building(
        self, key: str, cancelled: Callable[[], bool] = lambda: False
    ) -> AbstractContextManager[None]:
        """Be the only one, of all threads and processes, that builds ``key``. Waits for another to end.

        Then look again whether the object is there now. Raises Cancelled when ``cancelled()`` turns true.
        """
        return locks.waiting_lock(lock_path(self.tmp, f"build-{key}"), cancelled)

    def begin(
        self,
        key: str,
        base: Lease | None,
        *,
        take_over: bool = False,
        plain: bool = False,
        bare: bool = False,
        direct: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Work:
        """Start a tree on that of ``base`` (None: an empty one). The lease is the work's from here on.

        ``take_over`` goes on in the base's own layer instead of stacking one on it, if that is possible: it was
        committed by this Store and not yet synced, nobody pinned or holds it, nothing lies on it. The base is
        no object any more then, not even when the work is aborted. ``plain`` makes a whole copy, on which an
        overlay file system may put its own upper directories; what follows on a plain tree is plain as well.
        ``bare``: where the tree is to be an overlay layer, the caller writes that, see :attr:`Work.bare`.
        ``direct``: where the tree begins empty, its files are written to where they stay, without an overlay, whose
        end takes longer the more files there are. fsync(2) is not free then, and a process that the caller left
        behind in another mount namespace is not noticed.
        Raises StoreError, and Cancelled when ``cancelled()`` turns true while something is copied.
        """
        from osbuild_core.store.work import Work, begin_taking_over

        try:
            kind = self._kind(base, plain)
            with reported("beginning a tree"):
                if take_over and base is not None and self._may_take_over(base, kind):
                    work = begin_taking_over(self._surroundings, key, kind, base)
                    if work is not None:
                        with self._lock:
                            self._committed.pop(base.key, None)
                        work.on_commit = self._remember
                        return work
                if kind.backend == "overlay" and base is not None and base.info.depth >= MAX_DEPTH:
                    base = self._flattened(base, cancelled)
                work = Work(self._surroundings, key, kind, base)
        except BaseException:
            if base is not None:
                base.close()
            raise
        work.on_commit = self._remember
        try:
            with reported("beginning a tree"):
                if kind.backend == "overlay":
                    work.stack(bare=bare, direct=direct)
                else:
                    work.copy(cancelled)
        except BaseException:
            work.abort()
            raise
        return work

    def _kind(self, base: Lease | None, plain: bool) -> Kind:
        from osbuild_core.store.work import Kind

        backend = self.backend
        if base is not None:
            plain = plain or base.info.plain
            if backend == "overlay" and not base.info.stackable:
                return Kind("copy", plain)
        if backend == "overlay" and plain:
            return Kind("copy", True)
        return Kind(backend, plain)

    def _may_take_over(self, base: Lease, kind: Kind) -> bool:
        with self._lock:
            ours = self._committed.get(base.key) == base.info.serial
        return ours and base.info.backend == kind.backend and not base.info.flagged

    def _remember(self, info: ObjectInfo, ours: bool) -> None:
        with self._lock:
            if ours:
                self._committed[info.key] = info.serial
            elif not info.durable:
                self._found.add(info.key)

    def _flattened(self, base: Lease, cancelled: Callable[[], bool]) -> Lease:
        """Return a lease on an object of one layer with the same tree; ``base`` is closed."""
        name = hashlib.sha256(f"flattened {base.key} {base.info.serial}".encode()).hexdigest()
        with base, self.building(name, cancelled):
            flat = self.acquire(name)
            if flat is None:
                with self.begin(name, None) as work:
                    # Through a mount on both sides: what the layers keep escaped is escaped again.
                    work.fill(base, work.tree, cancelled)
                    flat = work.commit_held(base.info.document, tree=base.info.identity, stands_for=base.key)
        return flat

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """Yield an empty directory on the store's file system that is gone at the end, or after a kill."""
        with reported("making a scratch directory"):
            entry = Entry(self.tmp, prefix)
        try:
            yield entry.path
        finally:
            entry.remove()

    def pin(self, key: str) -> None:
        """Keep the object as it is: it is evicted last and never taken over. StoreError where there is none."""
        with reported("pinning an object"):
            lease = self.acquire(key)
            if lease is None:
                raise StoreError(f"there is no object {key}", code="store.missing")
            with lease:
                (lease.info.path / objects.PINNED).touch()

    def sync(self, *, sources: bool = False) -> None:
        """Bring all that was committed so far to the disk, then mark it as durable.

        So are objects that an earlier process did not come to sync. Does nothing where there are none, unless
        ``sources`` tells that source files were fetched.
        """
        from osbuild_core.store import mountapi

        with self._lock:
            committed, found = dict(self._committed), set(self._found)
        if not (committed or found or sources):
            return
        with reported("bringing the store to the disk"):
            infos = [info for key in {*committed, *found} if (info := self._table.usable(key))]
            chains = [self._table.chain(info) or [] for info in infos]
            started = time.time()
            mountapi.syncfs(self.path)
            self.sources.mark_synced(started)
            for chain in chains:
                # From the bottom up: an object with the mark never lies on one without.
                for info in reversed(chain):
                    self._mark(info)
        with self._lock:
            self._found -= found
            for key, serial in committed.items():
                if self._committed.get(key) == serial:
                    del self._committed[key]

    def _mark(self, info: ObjectInfo) -> None:
        lease = None if info.durable else acquire(self._surroundings, info.key)
        if lease is None:
            return
        with lease:
            if lease.info.serial == info.serial:
                (info.path / objects.DURABLE).write_text(objects.boot_id())

    def usage(self) -> StoreUsage:
        """Count what is there; the first time this reads through the layers."""
        with reported("measuring the store"):
            sizes = [info.size() for info in self.objects()]
            files = list(self.sources.files())
            return StoreUsage(
                path=self.path,
                format=FORMAT,
                backend=self.backend,
                objects=len(sizes),
                object_bytes=sum(sizes),
                sources=len(files),
                source_bytes=sum(file.size for file in files),
            )

    def evict(self, max_size: int) -> int:
        """Delete what was not used for longest until the store has at most ``max_size`` bytes.

        An object goes after those that lie on it, a pinned one last, one in use not at all. Source files count
        as well. Returns the bytes freed.
        """
        from osbuild_core.store.eviction import evict

        with reported("evicting objects"):
            return evict(self._table, self.sources, self.objects(), max_size=max_size).freed

    def collect(
        self, *, max_size: int | None = None, unused_since: float | None = None, dry_run: bool = False
    ) -> Collection:
        """Delete what killed processes left and what is broken; evict what was not used since ``unused_since``
        (seconds since 1970) and, least recently used first, what is more than ``max_size`` bytes.

        What is in use stays. ``dry_run`` only tells what would be deleted; for that the store has to be opened
        without ``clean``.
        """
        from osbuild_core.store.collection import collect

        with reported("collecting garbage"):
            return collect(
                self._table,
                self.sources,
                self.path / "logs",
                max_size=max_size,
                unused_since=unused_since,
                dry_run=dry_run,
            )

    def verify(self, *, repair: bool = False) -> Verification:
        """Check every object and the checksum of every source file; with ``repair`` delete what is broken.

        May run beside a build: what is in use is not deleted.
        """
        from osbuild_core.store.verify import verify

        with reported("verifying the store"):
            return verify(self._table, self.sources, repair=repair)
