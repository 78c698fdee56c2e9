"""What is constant for a run, bound once: everything that carries a plan out takes it from here."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.catalog.module import Module
from osbuild_core.engine import host
from osbuild_core.engine.cancel import Cancel
from osbuild_core.engine.fence import parse_fence
from osbuild_core.engine.held import Held
from osbuild_core.engine.keys import Digests
from osbuild_core.engine.sdk import SDK, sdk_digest
from osbuild_core.engine.settings import Settings
from osbuild_core.model.errors import Cancelled, ModuleError, StoreError
from osbuild_core.model.events import Event, Sink
from osbuild_core.store.store import Store

if TYPE_CHECKING:
    from osbuild_core.engine.sharing import Pusher
    from osbuild_core.sandbox.spawner import Spawner
    from osbuild_core.store.lease import Lease
    from osbuild_core.store.remote.cache import RemoteCache


class Context:
    """Owns the store, the module library, the spawner and the stream of events.

    A context manager. ``sink`` gets the events, one at a time, from whichever thread they come. Opening
    raises ModuleError for a library that is none; the store is opened when it is first used.
    """

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        self.settings = settings or Settings()
        libraries = self.settings.library or default_library()
        self.library = Library(*libraries) if isinstance(libraries, tuple) else Library(libraries)
        self.cancel = Cancel()
        self.held = Held()
        self.interrupted = False
        self._spawner: Spawner | None = None
        self._store: Store | None = None
        self._digests: Digests | None = None
        self._remote: RemoteCache | None = None
        self.pusher: Pusher | None = None
        self._fence = parse_fence(self.settings.fence) if self.settings.fence else None
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._close_cancel)
        self._stack.callback(self.held.release)
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs and let go of the store."""
        self._stack.close()

    def _close_cancel(self) -> None:
        # Not bound early: each run after a failed one has a new one.
        self.cancel.close()

    def interrupt(self) -> None:
        """Have the run end as soon as possible: its results come back as cancelled. For signal handlers too."""
        self.interrupted = True
        self.cancel.set()

    @property
    def spawner(self) -> Spawner:
        """What starts processes for this run."""
        with self._lock:
            if self._spawner is None:
                from osbuild_core.sandbox.spawner import Spawner

                self._spawner = self._stack.enter_context(
                    Spawner(SDK, self.emit if self.settings.trace else None)
                )
            return self._spawner

    @property
    def store(self) -> Store:
        """The store, made if missing. Raises StoreError where it cannot be used."""
        return self._open_store(create=True)

    def opened_store(self) -> Store:
        """Return the store that is there. Raises StoreError (``store.none``) where there is none."""
        return self._open_store(create=False)

    def find_store(self) -> Store | None:
        """Return the store, or None where there is none: to look what it has is no reason to make one."""
        try:
            return self.opened_store()
        except StoreError as error:
            if error.code != "store.none":
                raise
            return None

    def _open_store(self, *, create: bool) -> Store:
        with self._lock:
            if self._store is None:
                opened = Store.open(self.settings.store, backend=self.settings.backend, create=create)
                self._store = self._stack.enter_context(opened)
            return self._store

    @property
    def remote(self) -> RemoteCache | None:
        """The cache that machines share; None where there is none. Raises UsageError for its address."""
        url = self.settings.remote_cache
        with self._lock:
            if self._remote is None and url:
                from osbuild_core.engine.sharing import open_remote

                self._remote = open_remote(self, url)
            return self._remote

    def emit(self, event: Event) -> None:
        """Hand an event to the sink."""
        if self._sink is not None:
            with self._sink_lock:
                self._sink(event)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled where the run was cancelled."""
        if self.cancel.is_set():
            raise Cancelled("cancelled")

    def raise_if_interrupted(self) -> None:
        """Raise Cancelled where whoever started the run wants it to end."""
        if self.interrupted:
            raise Cancelled("cancelled")

    def raise_if_superseded(self) -> None:
        """Raise Cancelled (``fence.superseded``) where a newer attempt at the same job has begun."""
        if self._fence is not None:
            self._fence.check()

    # Modules

    def module(self, kind: str, name: str) -> Module:
        """Return a module of the library. Raises ModuleError where there is none."""
        found = self.library.module(kind, name)
        if found is None:
            raise ModuleError(
                f"there is no {name} in {self.library.path / kind}",
                code="module.unknown",
                hint=self.library.suggestion(kind, name),
            )
        return found

    def runner(self, name: str | None) -> Module:
        """Return the runner for ``name``, None being the host's. Raises ModuleError where there is none."""
        found = self.library.host_runner(host.os_release()) if name is None else self.library.runner(name)
        if found is None:
            raise ModuleError(
                f"there is no runner for {name or 'this host'} in {self.library.path / 'runners'}",
                code="module.no-runner",
                hint=self.library.runner_hint(name or "org.osbuild.linux"),
            )
        return found

    @property
    def digests(self) -> Digests:
        """What keys need to know of this machine and library."""
        with self._lock:
            if self._digests is None:
                self._digests = Digests(
                    module=lambda kind, name: self.module(kind, name).digest,
                    runner=lambda name: self.runner(name).digest,
                    sdk=sdk_digest(self.library.paths),
                    architecture=host.architecture(),
                    host=self.settings.host or host.fingerprint(),
                )
            return self._digests

    def lease(self, key: str) -> Lease:
        """Return a lease of an object that has to be there. Raises StoreError where it is not."""
        lease = self.store.acquire(key)
        if lease is None:
            raise StoreError(
                f"the object {key[:12]} has gone from the store",
                code="store.gone",
                hint="build again; if the store was cleaned meanwhile, give it more room",
                retryable=True,
            )
        return lease
