"""A session: faces and programs open one and build with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osbuild_core.engine.cancel import Cancel
from osbuild_core.engine.context import Context
from osbuild_core.engine.keys import Keys, manifest_keys
from osbuild_core.engine.plan import (
    checkpoints,
    export_targets,
    fetch_everything,
    known_pipelines,
    leaves,
    make_plan,
)
from osbuild_core.engine.settings import Settings
from osbuild_core.formats import load
from osbuild_core.model.errors import ManifestError, SandboxError, StoreError, UsageError
from osbuild_core.model.events import RunFinished, RunStarted, Sink
from osbuild_core.model.manifest import Manifest
from osbuild_core.model.plan import Plan
from osbuild_core.model.results import RunResult

if TYPE_CHECKING:
    from osbuild_core.model.executor import Executor


class Session(Context):
    """Loads, plans and builds manifests on one library and one store. A context manager.

    ``sink`` gets the events, one at a time, from whichever thread they come. ``executor`` makes what carries
    pipelines out for the session, when first needed (None: this machine does). Opening raises ModuleError for a
    library that is none.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        sink: Sink | None = None,
        executor: Callable[[Context], Executor] | None = None,
    ) -> None:
        super().__init__(settings, sink)
        self._make_executor = executor
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        """What carries pipelines out."""
        with self._lock:
            if self._executor is None:
                make = self._make_executor
                if make is None:
                    from osbuild_core.engine.local import LocalExecutor

                    make = LocalExecutor
                self._executor = make(self)
            return self._executor

    # Manifests

    def load(self, document: Any) -> Manifest:
        """Return the manifest that ``document`` (parsed JSON) describes. Raises ManifestError."""
        return load(document, self.library, strict=self.settings.strict)

    def keys(self, manifest: Manifest) -> Keys:
        """Return the keys of all stages. Raises ModuleError for a module or runner that is missing."""
        return manifest_keys(manifest, self.digests, self.settings.pause)

    def plan(
        self,
        manifest: Manifest,
        *,
        exports: Sequence[str] = (),
        pipelines: Iterable[str] | None = None,
        checkpoint: Sequence[str] = (),
        fresh: bool = False,
    ) -> Plan:
        """Plan a run: ``exports`` and what they need, and ``pipelines`` (None: without exports, every
        pipeline that no other uses). A store that is not there yet has nothing, and is not made; with ``fresh``
        it is taken to have nothing, as another machine's may.

        Raises UsageError for names that the manifest does not have, and for the address of a remote cache.
        """
        targets = export_targets(manifest, exports)
        if pipelines is None:
            pipelines = [] if targets else leaves(manifest)
        store, remote = (None, None) if fresh else (self.find_store(), self.remote)
        if remote is not None:
            remote.refresh()
        return make_plan(
            manifest,
            self.keys(manifest),
            has=store.has if store else lambda _: False,
            remote=remote.has if remote else lambda _: False,
            pipelines=known_pipelines(manifest, pipelines),
            exports=targets,
            pinned=checkpoints(manifest, checkpoint),
        )

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

        Raises UsageError where trees to copy have no ``output_directory``, SandboxError where we are not root,
        Cancelled where a newer attempt has superseded this one (:mod:`osbuild_core.engine.fence`), and what
        :meth:`plan` raises.
        """
        self.raise_if_superseded()
        if output_directory is None and any(to is None for _, _, to in export_targets(manifest, exports)):
            raise UsageError(
                "exports need a place to go to",
                code="usage.no-output-directory",
                hint="name one with --output-directory",
            )
        while True:
            plan = self.plan(manifest, exports=exports, pipelines=pipelines, checkpoint=checkpoint)
            self._check_items(manifest, plan)
            self._check_possible(plan, output_directory)
            here = self._needed_here(plan)
            self._pull(here)
            if self.held.take_plan(self.store, here):
                return self._run(manifest, plan, output_directory)
            # Another process evicted some of it, or it did not come from the remote cache; so there is more to do.

    def _needed_here(self, plan: Plan) -> Plan:
        """Return what of ``plan`` this machine has to have: for pipelines that are built elsewhere, not what they
        stand on, but what is exported, or was asked for and is there already."""
        if self._make_executor is None:
            return plan
        below = {p.build_key for p in plan.todo} | {key for p in plan.todo for _, key in p.trees}
        exported = {name for _, name, _ in plan.exports}
        kept = [p for p in plan.pipelines if not p.todo and (p.name in exported or p.key not in below)]
        return plan._replace(pipelines=tuple(kept))

    def _pull(self, plan: Plan) -> None:
        """Bring what ``plan`` takes from the remote cache. Raises Cancelled."""
        if self.remote is not None:
            from osbuild_core.engine.sharing import pull_plan

            pull_plan(self, self.remote, plan)

    def fetch(
        self, manifest: Manifest, *, exports: Sequence[str] = (), pipelines: Iterable[str] | None = None
    ) -> RunResult:
        """Download what building ``exports`` and ``pipelines`` would take, without both everything that the
        manifest's sources list; build nothing.

        Raises UsageError for names that the manifest does not have.
        """
        if not exports and pipelines is None:
            return self.run(manifest, Plan((), fetch_everything(manifest)), None)
        plan = self.plan(manifest, exports=exports, pipelines=pipelines)
        self._check_items(manifest, plan)
        return self.run(manifest, Plan((), plan.fetches), None)

    def run(self, manifest: Manifest, plan: Plan, output_directory: Path | None) -> RunResult:
        """Carry out ``plan``. One run at a time.

        Raises StoreError where something that it builds on has gone from the store meanwhile, or has not come
        from the remote cache.
        """
        here = self._needed_here(plan)
        self._pull(here)
        if not self.held.take_plan(self.store, here):
            raise StoreError(
                "something that the plan builds on has gone from the store",
                code="store.gone",
                hint="plan again",
                retryable=True,
            )
        return self._run(manifest, plan, output_directory)

    def _run(self, manifest: Manifest, plan: Plan, output_directory: Path | None) -> RunResult:
        """Carry out ``plan``, of which all is held."""
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
                plan,
            )
        )
        result = Run(self, self.executor, manifest, plan, output_directory).run(started)
        self.emit(RunFinished(result))
        return result

    def _check_possible(self, plan: Plan, output_directory: Path | None) -> None:
        """Refuse a plan that could only fail, before anything is fetched for it."""
        if not (plan.todo or plan.exports or any(p.remote for p in plan.pipelines)):
            if plan.pipelines and os.geteuid() != 0:
                # Even what is there has to be held.
                self._check_rights(sandboxes=False)
            return
        self._check_host(plan)
        self._check_rights(sandboxes=bool(plan.todo))
        if output_directory is not None:
            try:
                output_directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"cannot make the output directory {output_directory}: {error.strerror}",
                    code="usage.output-directory",
                    hint="name another one with --output-directory",
                ) from error

    def _check_host(self, plan: Plan) -> None:
        """Refuse to run on our own ``/usr`` what another machine has planned for its own."""
        planned = next((p for p in plan.todo if p.build_key is None), None)
        wanted = self.settings.host
        if planned is None or wanted is None or self._make_executor is not None:
            return
        from osbuild_core.engine import host

        if wanted != host.fingerprint():
            raise SandboxError(
                f"the pipeline {planned.name!r} runs on the host's own /usr, and this host has other packages than"
                " the one that planned it",
                code="sandbox.other-host",
                hint="install the same packages, or build that pipeline there and put it into the remote cache",
                place=planned.pipeline.path,
            )

    def _check_rights(self, *, sandboxes: bool) -> None:
        """Raise SandboxError where we may not mount, or may not make the sandboxes of stages."""
        from osbuild_core.sandbox.capabilities import NEEDED, held
        from osbuild_core.store.privilege import is_real_root

        if "CAP_SYS_ADMIN" not in held():
            raise SandboxError(
                "only root can build and export: stages and trees need mounts",
                code="sandbox.not-root",
                hint="inspect, plan, resolve and downloads work for every user",
            )
        if not (is_real_root() or self.settings.user_namespace):
            raise SandboxError(
                "only root of the machine can build and export, and this is root of a user namespace:"
                " device nodes and overlay layers need more",
                code="sandbox.not-root",
                hint="use sudo, or a container that is not rootless; inspect, plan, resolve and downloads work",
            )
        for name, reason in NEEDED.items() if sandboxes else ():
            if name not in held():
                raise SandboxError(
                    f"stages cannot run without {name}: {reason}",
                    code="sandbox.capability",
                    hint="give the container or service that capability, too",
                )

    def _check_items(self, manifest: Manifest, plan: Plan) -> None:
        """Refuse a plan with stages that refer to something no source lists. Raises ManifestError."""
        from osbuild_core.formats import missing_items

        issues = missing_items(manifest, [s.stage for p in plan.todo for s in p.todo])
        if issues:
            raise ManifestError(issues)
