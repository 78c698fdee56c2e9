"""A session: what is constant for a run, bound once. Faces and programs open one and build with it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.catalog.module import Module
from osbuild_core.engine import host
from osbuild_core.engine.cancel import Cancel
from osbuild_core.engine.keys import Digests, Keys, manifest_keys
from osbuild_core.engine.plan import (
    checkpoints,
    export_targets,
    fetch_everything,
    leaves,
    make_plan,
)
from osbuild_core.engine.sdk import SDK, directory_digest, sdk_of
from osbuild_core.engine.settings import Settings
from osbuild_core.formats import load
from osbuild_core.model.errors import (
    Cancelled,
    ManifestError,
    ModuleError,
    SandboxError,
    StoreError,
    UsageError,
)
from osbuild_core.model.events import Event, RunFinished, RunStarted, Sink
from osbuild_core.model.manifest import Manifest
from osbuild_core.model.plan import Plan
from osbuild_core.model.results import RunResult
from osbuild_core.store.store import Store

if TYPE_CHECKING:
    from osbuild_core.model.executor import Executor
    from osbuild_core.sandbox.spawner import Spawner
    from osbuild_core.store.lease import Lease


class Session:
    """Owns the store, the module library, the spawner and the stream of events.

    A context manager. ``sink`` gets the events, one at a time, from whichever thread they come.
    ``executor`` carries pipelines out (None: this machine does). Opening raises ModuleError for a library
    that is none; the store is opened when it is first used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        sink: Sink | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.library = Library(self.settings.library or default_library())
        self.cancel = Cancel()
        self.interrupted = False
        self._spawner: Spawner | None = None
        self._store: Store | None = None
        self._digests: Digests | None = None
        self._executor = executor
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._close_cancel)
        self._lock = threading.RLock()

    def __enter__(self) -> Session:
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
        """What starts processes for this session."""
        with self._lock:
            if self._spawner is None:
                from osbuild_core.sandbox.spawner import Spawner

                self._spawner = self._stack.enter_context(Spawner(SDK))
            return self._spawner

    @property
    def executor(self) -> Executor:
        """What carries pipelines out."""
        if self._executor is None:
            from osbuild_core.engine.local import LocalExecutor

            self._executor = LocalExecutor(self)
        return self._executor

    @property
    def store(self) -> Store:
        """The store. Raises StoreError where it cannot be used."""
        with self._lock:
            if self._store is None:
                opened = Store.open(self.settings.store, backend=self.settings.backend)
                self._store = self._stack.enter_context(opened)
            return self._store

    def emit(self, event: Event) -> None:
        """Hand an event to the sink."""
        if self._sink is not None:
            with self._sink_lock:
                self._sink(event)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled where the run was cancelled."""
        if self.cancel.is_set():
            raise Cancelled("cancelled")

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
                hint="runners there: " + ", ".join(self.library.names("runners")),
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
                    sdk=directory_digest(sdk_of(self.library.path) / "osbuild"),
                    architecture=host.architecture(),
                    host=host.fingerprint(),
                )
            return self._digests

    # Manifests

    def load(self, document: Any) -> Manifest:
        """Return the manifest that ``document`` (parsed JSON) describes. Raises ManifestError."""
        return load(document, self.library, strict=self.settings.strict)

    def keys(self, manifest: Manifest) -> Keys:
        """Return the keys of all stages. Raises ModuleError for a module or runner that is missing."""
        return manifest_keys(manifest, self.digests)

    def plan(
        self,
        manifest: Manifest,
        *,
        exports: Sequence[str] = (),
        pipelines: Iterable[str] | None = None,
        checkpoint: Sequence[str] = (),
    ) -> Plan:
        """Plan a run: ``exports`` and what they need, and ``pipelines`` (None: without exports, every
        pipeline that no other uses).

        Raises UsageError for names that the manifest does not have.
        """
        targets = export_targets(manifest, exports)
        if pipelines is None:
            pipelines = [] if targets else leaves(manifest)
        return make_plan(
            manifest,
            self.keys(manifest),
            has=self.store.has,
            pipelines=pipelines,
            exports=targets,
            pinned=checkpoints(manifest, checkpoint),
        )

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

    # Runs

    def build(
        self,
        manifest: Manifest,
        *,
        exports: Sequence[str] = (),
        pipelines: Iterable[str] | None = None,
        checkpoint: Sequence[str] = (),
        output_directory: Path | None = None,
    ) -> RunResult:
        """Build and export; see :meth:`plan` for what. A failed stage is in the result, not raised.

        Raises UsageError where exports have no ``output_directory``, SandboxError where we are not root, and
        what :meth:`plan` raises.
        """
        if exports and output_directory is None:
            raise UsageError(
                "exports need a place to go to",
                code="usage.no-output-directory",
                hint="name one with --output-directory",
            )
        plan = self.plan(manifest, exports=exports, pipelines=pipelines, checkpoint=checkpoint)
        self._check_items(manifest, plan)
        self._check_possible(plan, output_directory)
        return self.run(manifest, plan, output_directory)

    def fetch(self, manifest: Manifest) -> RunResult:
        """Download everything that the manifest's sources list; build nothing."""
        return self.run(manifest, Plan((), fetch_everything(manifest)), None)

    def run(self, manifest: Manifest, plan: Plan, output_directory: Path | None) -> RunResult:
        """Carry out ``plan``. One run at a time."""
        from osbuild_core.engine.run import Run

        if self.cancel.is_set() and not self.interrupted:
            # A failure ended the run before; that is over.
            self.cancel.close()
            self.cancel = Cancel()
        started = time.monotonic()
        self.emit(
            RunStarted(
                len(plan.todo),
                sum(len(p.todo) for p in plan.todo),
                sum(len(fetch.checksums) for fetch in plan.fetches),
            )
        )
        result = Run(self, manifest, plan, output_directory).run(started)
        self.emit(RunFinished(result))
        return result

    def _check_possible(self, plan: Plan, output_directory: Path | None) -> None:
        """Refuse a plan that could only fail, before anything is fetched for it."""
        for name, _, module in plan.exports:
            if module is not None:
                raise UsageError(
                    f"the export {name!r} needs the export module {module.type}",
                    code="usage.export-module",
                    hint="only trees of pipelines can be exported, by the name of the pipeline",
                )
        if not (plan.todo or plan.exports):
            return
        from osbuild_core.sandbox.capabilities import held

        if "CAP_SYS_ADMIN" not in held():
            raise SandboxError(
                "only root can build and export: stages and trees need mounts",
                code="sandbox.not-root",
                hint="inspect, plan, resolve and downloads work for every user",
            )
        if output_directory is not None:
            try:
                output_directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"cannot make the output directory {output_directory}: {error.strerror}",
                    code="usage.output-directory",
                ) from error

    def _check_items(self, manifest: Manifest, plan: Plan) -> None:
        """Refuse a plan with stages that refer to something no source lists. Raises ManifestError."""
        from osbuild_core.formats import missing_items

        issues = missing_items(manifest, [s.stage for p in plan.todo for s in p.todo])
        if issues:
            raise ManifestError(issues)
