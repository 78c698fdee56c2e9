"""One run: a plan becomes tasks, the tasks results.

What runs a task is imported with the first of its kind: a build that finds all in the store needs none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.engine.record import cached_results
from osbuild_core.engine.schedule import Task, run_tasks
from osbuild_core.model.manifest import Export, Manifest
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import ExportResult, Failure, PipelineResult, RunResult, SourceResult

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context
    from osbuild_core.engine.sharing import Pusher
    from osbuild_core.model.executor import Executor


class Run:
    """Carries out one plan. Use once."""

    def __init__(
        self,
        context: Context,
        executor: Callable[[], Executor],
        manifest: Manifest,
        plan: Plan,
        output: Path | None,
    ) -> None:
        self.context = context
        self.executor = executor
        self.manifest = manifest
        self.plan = plan
        self.output = output
        self._lock = threading.Lock()
        self._pipelines: dict[str, PipelineResult] = {}
        self._sources: dict[int, SourceResult] = {}
        self._exports: dict[str, ExportResult] = {}

    def run(self, started: float) -> RunResult:
        """Run all tasks; then make durable what was built, and keep the store below its limit."""
        context = self.context
        pusher = self._pusher()
        jobs = max(1, context.settings.jobs)
        lanes = {"work": jobs} | {f"source {i}": 1 for i in range(len(self.manifest.sources))}
        try:
            if (
                self.plan.todo
                or self.plan.exports
                or any(context.store.sources.missing(fetch.checksums) for fetch in self.plan.fetches)
            ):
                # It takes a moment to come up, and will be needed.
                context.spawner.start()
            run_tasks(
                self._tasks(),
                lanes,
                keep_going=context.settings.keep_going,
                cancel=context.cancel.set,
                cancelled=context.cancel.is_set,
            )
        finally:
            try:
                if pusher is not None:
                    context.pusher = None
                    pusher.finish()
            finally:
                context.held.release()
            # Both take their time, and nothing is wrong without them: what is not marked as durable is dropped
            # after a crash of the machine.
            if not context.interrupted:
                self._settle()
        return self._result(time.monotonic() - started)

    def _pusher(self) -> Pusher | None:
        """Start what puts trees and source files into the remote cache, where that is wanted."""
        context = self.context
        # What somebody did in a shell is not what the manifest says.
        if context.remote is None or not context.remote.writable or context.settings.pause is not None:
            return None
        from osbuild_core.engine.sharing import Pusher, push_found

        context.pusher = Pusher(context, context.remote)
        push_found(context.pusher, self.plan)
        return context.pusher

    def _settle(self) -> None:
        store = self.context.store
        fetched = any(not item.cached for source in self._sources.values() for item in source.items)
        if self._pipelines or fetched:
            store.sync(sources=fetched)
        if self.context.settings.cache_max_size is not None:
            store.evict(self.context.settings.cache_max_size)

    def _tasks(self) -> list[Task]:
        tasks = [
            Task(f"fetch {number}", partial(self._fetch, number), lane=f"source {fetch.source}")
            for number, fetch in enumerate(self.plan.fetches)
        ]
        for planned in self.plan.todo:
            needs = {f"pipeline {name}" for name in planned.pipelines}
            needs |= {f"fetch {number}" for number in planned.fetches}
            run = partial(self._pipeline, planned)
            tasks.append(Task(f"pipeline {planned.name}", run, frozenset(needs), "work"))
        building = {planned.name for planned in self.plan.todo}
        for name, pipeline, module in self.plan.exports:
            needs = {f"pipeline {pipeline}"} if pipeline in building else set()
            export = partial(self._export, name, pipeline, module)
            tasks.append(Task(f"export {name}", export, frozenset(needs), "work"))
        return tasks

    def _fetch(self, number: int) -> bool:
        fetch = self.plan.fetches[number]
        from osbuild_core.engine.fetch import run_fetch

        result = run_fetch(self.context, self.manifest, fetch)
        with self._lock:
            self._sources[number] = result
        if self.context.pusher is not None:
            self.context.pusher.sources(item.checksum for item in result.items if item.success)
        return result.success

    def _pipeline(self, planned: PlannedPipeline) -> bool:
        result = self.executor().run_pipeline(self.plan, planned)
        with self._lock:
            self._pipelines[planned.name] = result
        return result.success

    def _export(self, name: str, pipeline: str, module: Export | None) -> bool:
        from osbuild_core.engine.export import run_export

        result = run_export(
            self.context, self.manifest, name, self.plan.pipeline(pipeline).key, module, self.output
        )
        with self._lock:
            self._exports[name] = result
        return result.success

    def _result(self, seconds: float) -> RunResult:
        pipelines = tuple(self._pipelines.get(p.name) or self._not_run(p) for p in self.plan.pipelines)
        sources = tuple(result for _, result in sorted(self._sources.items()))
        exports = tuple(self._exports[name] for name, _, _ in self.plan.exports if name in self._exports)
        ended = [r.success for r in pipelines] + [r.success for r in sources] + [r.success for r in exports]
        complete = len(exports) == len(self.plan.exports) and len(sources) == len(self.plan.fetches)
        success = complete and all(ended)
        return RunResult(success, pipelines, sources, exports, seconds)

    def _not_run(self, planned: PlannedPipeline) -> PipelineResult:
        """Return the result of a pipeline that was in the store, or that could not start."""
        if planned.todo:
            error = Failure("cancelled", "not run, since something before it failed or was cancelled")
            return PipelineResult(planned.name, planned.pipeline.id, False, error=error)
        document: dict[str, list[dict[str, object]]] = {}
        if planned.key is not None:
            info = self.context.store.info(planned.key)
            if info is not None:
                document = dict(info.document)
            elif self.context.remote is not None:
                # It was not brought here, since only pipelines that are built elsewhere need it.
                record = self.context.remote.record(planned.key)
                document = dict(record.document) if record else {}
        return PipelineResult(
            planned.name, planned.pipeline.id, True, tuple(cached_results(planned, document))
        )
