"""The executor for this machine: one pipeline, stage after stage, each committed as it ends."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from osbuild_core.engine.buildroot import BuildRoot, build_root
from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.engine.record import cached_results, stage_document
from osbuild_core.engine.stage import StageRun
from osbuild_core.engine.writes import writes_directly
from osbuild_core.model.errors import ModuleError
from osbuild_core.model.events import (
    PipelineFinished,
    PipelineStarted,
    StageFinished,
    StageOutput,
    StageStarted,
)
from osbuild_core.model.manifest import ORIGIN_SOURCE
from osbuild_core.model.plan import Plan, PlannedPipeline, PlannedStage
from osbuild_core.model.results import PipelineResult, StageResult
from osbuild_core.sandbox.capabilities import IMMUTABLE
from osbuild_core.sandbox.spawner import mount_namespace
from osbuild_core.store.lease import Lease
from osbuild_core.store.namespace import enter_private_namespace

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context

PLAIN_STAGES = frozenset({"org.osbuild.skopeo", "org.osbuild.container-deploy"})
"""Stages that write containers-storage, whose overlay cannot stand on an overlay."""


class LocalExecutor:
    """Runs pipelines in sandboxes on this machine. Each call needs a thread of its own, since it moves
    that thread into a mount namespace of the pipeline's."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def run_pipeline(self, plan: Plan, planned: PlannedPipeline) -> PipelineResult:
        """Run the stages of ``planned`` that are to do. A failed stage is in the result, not raised."""
        started = time.monotonic()
        pipeline = planned.pipeline
        runner = None
        with contextlib.suppress(ModuleError):
            runner = self.context.runner(pipeline.runner).name
        self.context.emit(
            PipelineStarted(planned.name, pipeline.id, planned.first, len(planned.stages), runner)
        )
        run = _PipelineRun(self.context, plan, planned)
        error = None
        try:
            run.run()
        except FAILURES as problem:
            error = failure_of(problem, f"running the pipeline {planned.name!r}", pipeline.path)
            if self.context.cancel.is_set():
                error = cancelled(pipeline.path)
        stages = tuple(run.results)
        result = PipelineResult(
            planned.name,
            pipeline.id,
            success=error is None and all(stage.success for stage in stages),
            stages=stages,
            error=error,
            seconds=time.monotonic() - started,
        )
        self.context.emit(PipelineFinished(result))
        return result


class _PipelineRun:
    def __init__(self, context: Context, plan: Plan, planned: PlannedPipeline) -> None:
        self.context = context
        self.plan = plan
        self.planned = planned
        self.results: list[StageResult] = []
        self.documents: list[dict[str, object]] = []
        # What others read has to stay as it is; only what lies between may be built on in place.
        self.read = {p.key for p in plan.pipelines} | {s.key for s in planned.stages if s.pinned}

    def run(self) -> None:
        context, planned = self.context, self.planned
        with contextlib.ExitStack() as stack:
            base = stack.enter_context(_Holder())
            if planned.base is not None:
                base.take(context.lease(planned.base))
                self.results = cached_results(planned, base.document())
                self.documents = list(base.document().get("stages", []))
            enter_private_namespace()
            # From here on the thread has an umask of its own, too.
            os.umask(0o022)
            namespace = mount_namespace()
            stack.callback(os.close, namespace)
            root = stack.enter_context(
                build_root(
                    context,
                    planned.build_key,
                    context.runner(planned.pipeline.runner),
                    name=f"the pipeline {planned.pipeline.build!r}" if planned.pipeline.build else "the host",
                    namespace=namespace,
                    show=lambda text: context.emit(StageOutput(planned.name, planned.first, text)),
                )
            )
            stack.enter_context(context.store.sources.lease(self.checksums()))
            for stage in planned.todo:
                context.raise_if_cancelled()
                context.raise_if_superseded()
                result = self.run_stage(stage, root, base)
                self.results.append(result)
                if not result.success:
                    return
                self.share(stage)
            made = base.hand_over()
            if made is not None:
                # Whoever needs it may start later.
                context.held.take(made)

    def share(self, stage: PlannedStage) -> None:
        """Have what the stage made put into the remote cache."""
        pusher, following = self.context.pusher, self.planned.stages[stage.number + 1 :]
        if pusher is None:
            return
        if following and following[0].stage.devices and stage.key not in self.read:
            # The next stage goes on in this very layer, unless somebody reads it.
            return
        pusher.tree(self.planned, stage.number)

    def checksums(self) -> list[str]:
        """Return what the stages to run take from sources."""
        inputs = [item for planned in self.planned.todo for item in planned.stage.inputs]
        return [ref for item in inputs if item.origin == ORIGIN_SOURCE for ref in item.refs]

    def run_stage(self, stage: PlannedStage, root: BuildRoot, base: _Holder) -> StageResult:
        """Run one stage on top of ``base``, which then holds its tree; or take what another run made."""
        context, store = self.context, self.context.store
        with store.building(stage.key, context.cancel.is_set):
            there = store.acquire(stage.key)
            if there is not None:
                base.take(there)
                self.documents = list(base.document().get("stages", []))
                result = cached_results(self.planned, base.document())[stage.number]
                context.emit(StageFinished(result))
                return result
            context.emit(StageStarted(stage.pipeline, stage.number, stage.stage.type, stage.stage.id))
            try:
                result = self.build_stage(stage, root, base)
            except FAILURES as problem:
                error = failure_of(problem, "keeping the tree of the stage", stage.stage.path)
                if context.cancel.is_set():
                    error = cancelled(stage.stage.path)
                result = StageResult(
                    stage.pipeline, stage.number, stage.stage.type, stage.stage.id, False, error=error
                )
        context.emit(StageFinished(result))
        return result

    def build_stage(self, stage: PlannedStage, root: BuildRoot, base: _Holder) -> StageResult:
        """Run one stage on top of ``base`` and commit what it makes, which is ``base`` from then on.

        What the stage does wrong is in the result; the store's own troubles are raised.
        """
        context, store = self.context, self.context.store
        direct = writes_directly(stage.stage, context.module(stage.stage.kind, stage.stage.type))
        lease = base.hand_over()
        take_over = bool(stage.stage.devices) and lease is not None and lease.key not in self.read
        epoch = self.planned.pipeline.source_epoch
        plain = stage.stage.type in PLAIN_STAGES
        with store.begin(
            stage.key,
            lease,
            take_over=take_over,
            plain=plain,
            direct=direct,
            cancelled=context.cancel.is_set,
        ) as work:
            run = StageRun(context, stage, root, work, dict(self.planned.trees), epoch)
            result = run.run()
            if result.success:
                context.raise_if_superseded()
                self.documents.append(stage_document(result))
                document = {"pipeline": self.planned.name, "stages": self.documents}
                flags = IMMUTABLE in run.capabilities
                made = work.commit_held(document, source_epoch=epoch, flags=flags)
                base.take(made)
                result = result._replace(log=str(made.info.log))
        if result.success:
            if stage.pinned:
                store.pin(stage.key)
            return result
        log = store.path / "logs" / f"{stage.key}.log"
        return result._replace(log=str(log) if log.exists() else None)


class _Holder:
    """Holds the lease of the newest tree of the pipeline."""

    lease: Lease | None = None

    def take(self, lease: Lease) -> None:
        self.drop()
        self.lease = lease

    def document(self) -> dict[str, list[dict[str, object]]]:
        return dict(self.lease.info.document) if self.lease else {}

    def hand_over(self) -> Lease | None:
        """Return the lease; it is the caller's from here on."""
        lease, self.lease = self.lease, None
        return lease

    def drop(self) -> None:
        if self.lease is not None:
            self.lease.close()
            self.lease = None

    def __enter__(self) -> _Holder:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
