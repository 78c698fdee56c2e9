"""What a run has to do with the remote cache: trees and source files come from there before they are needed, and
go there, in the background, as they are made."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from osbuild_core.engine.failure import FAILURES
from osbuild_core.model.errors import Cancelled
from osbuild_core.model.events import Pulled, Pushed, Warned
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.store.namespace import enter_private_namespace
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.blobs import open_blobs
from osbuild_core.store.remote.cache import Moved, RemoteCache
from osbuild_core.store.remote.files import pull_file, push_file

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context
    from osbuild_core.store.lease import Lease


def open_remote(context: Context, url: str) -> RemoteCache:
    """Return the cache at ``url``; nothing is looked at yet. Raises UsageError."""
    access = Access(
        open_blobs(url),
        read_only=context.settings.remote_cache_read_only,
        warn=lambda text: context.emit(Warned(text)),
        check=context.raise_if_interrupted,
        may_publish=context.raise_if_superseded,
    )
    return RemoteCache(lambda: context.store, access)


def needed_keys(plan: Plan) -> list[tuple[PlannedPipeline, str]]:
    """Return the trees that ``plan`` takes as they are and that only the remote cache has."""
    return [(planned, planned.stages[planned.first - 1].key) for planned in plan.pipelines if planned.remote]


def pull_plan(context: Context, remote: RemoteCache, plan: Plan) -> None:
    """Bring what ``plan`` takes from the remote cache into the store, and hold it until the run has ended.

    What cannot be had the cache does not claim to have any more, so a new plan does without. Raises Cancelled.
    """
    needed = needed_keys(plan)
    if not needed:
        return
    with ThreadPoolExecutor(min(len(needed), context.settings.jobs)) as pool:
        # In threads of their own, and new ones: each with its own mounts.
        list(pool.map(lambda one: _pull(context, remote, *one), needed))


def pull_built(context: Context, planned: PlannedPipeline) -> bool:
    """Bring the tree of a pipeline that was built on another machine, and hold it until the run has ended.

    For executors: in the thread that they are called in. False where the remote cache does not have it (it warned
    of what is wrong). Raises Cancelled.
    """
    assert context.remote is not None and planned.key is not None
    enter_private_namespace()
    lease, _ = context.remote.pull(planned.key)
    if lease is None:
        return False
    context.held.take(lease)
    return True


def _pull(context: Context, remote: RemoteCache, planned: PlannedPipeline, key: str) -> None:
    started = time.monotonic()
    enter_private_namespace()
    lease, moved = remote.pull(key)
    if lease is not None:
        context.held.take(lease)
        for stage in planned.stages[: planned.first]:
            if stage.pinned and context.store.has(stage.key):
                context.store.pin(stage.key)
        seconds = time.monotonic() - started
        context.emit(Pulled(planned.name, planned.first, moved.objects, moved.size, seconds))


class _Tree(NamedTuple):
    lease: Lease
    before: Sequence[str]


class Pusher:
    """Puts trees and source files into the remote cache, one after the other, while the run goes on.

    Of a pipeline only the newest tree waits: with it goes what it stands on. To be made by a thread that has no
    trees mounted.
    """

    def __init__(self, context: Context, remote: RemoteCache) -> None:
        self._context = context
        self._remote = remote
        self._wake = threading.Condition()
        self._trees: dict[str, _Tree] = {}
        self._files: dict[str, None] = {}
        self._finishing = False
        self._moved = Moved()
        self._sources = 0
        self._ended: Cancelled | None = None
        self._thread = threading.Thread(target=self._run, name="pusher", daemon=True)
        self._thread.start()

    def tree(self, planned: PlannedPipeline, number: int) -> None:
        """Have the tree of the pipeline's ``number``-th stage put there."""
        if self._ended is not None or not self._remote.writable:
            return
        lease = self._context.store.acquire(planned.stages[number].key)
        if lease is None:
            return
        before = tuple(stage.key for stage in reversed(planned.stages[:number]))
        with self._wake:
            older = self._trees.pop(planned.name, None)
            self._trees[planned.name] = _Tree(lease, before)
            self._wake.notify()
        if older is not None:
            older.lease.close()

    def sources(self, checksums: Iterable[str]) -> None:
        """Have source files put there, those that are in the store."""
        with self._wake:
            self._files.update(dict.fromkeys(checksums))
            self._wake.notify()

    def finish(self) -> None:
        """Wait until all is there. Raises Cancelled where this attempt was superseded."""
        with self._wake:
            self._finishing = True
            self._wake.notify()
        self._thread.join()
        if self._moved.objects or self._sources:
            self._context.emit(Pushed(self._moved.objects, self._sources, self._moved.size))
        if self._ended is not None and not self._context.interrupted:
            raise self._ended

    def _run(self) -> None:
        # Without root there are no trees, either.
        with contextlib.suppress(OSError):
            enter_private_namespace()
        while (item := self._next()) is not None:
            try:
                if self._ended is None:
                    self._push(item)
            except Cancelled as error:
                self._ended = error
                self._context.cancel.set()
            except FAILURES as error:
                self._context.emit(Warned(f"the remote cache: {error}"))
            finally:
                if isinstance(item, _Tree):
                    item.lease.close()

    def _next(self) -> _Tree | str | None:
        """Return what is to go there next; None at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._trees or self._files or self._finishing)
            if self._trees:
                return self._trees.pop(next(iter(self._trees)))
            if self._files:
                checksum = next(iter(self._files))
                del self._files[checksum]
                return checksum
            return None

    def _push(self, item: _Tree | str) -> None:
        if isinstance(item, str):
            size = push_file(self._remote.access, self._context.store.sources, item)
            self._sources += size is not None
            moved = Moved(0, size or 0)
        else:
            moved = self._remote.push(item.lease.key, item.before)
        self._moved = Moved(self._moved.objects + moved.objects, self._moved.size + moved.size)


def pull_sources(context: Context, checksums: Iterable[str]) -> frozenset[str]:
    """Bring source files from the remote cache into the store; returns which came. Raises StoreError, Cancelled."""
    remote = context.remote
    if remote is None or not remote.access.readable:
        return frozenset()
    sources = context.store.sources
    with context.store.scratch("sources") as scratch:
        return frozenset(c for c in checksums if pull_file(remote.access, sources, scratch, c))


def push_found(pusher: Pusher, plan: Plan) -> None:
    """Have put there what the plan takes from the store, so that other machines find it as well."""
    for planned in plan.pipelines:
        if planned.first and not planned.remote:
            pusher.tree(planned, planned.first - 1)
