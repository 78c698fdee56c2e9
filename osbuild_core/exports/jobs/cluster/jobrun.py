"""One pipeline on the cluster: its job is submitted, followed, submitted anew where its node is lost, cancelled."""

from __future__ import annotations

import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.engine.failure import cancelled
from osbuild_core.exports.jobs.cluster.follow import Follower, Line, last_words
from osbuild_core.exports.jobs.cluster.scheduler import Fate, Request, Seen
from osbuild_core.exports.jobs.cluster.script import LOG, MANIFEST, SCRIPT, job_script
from osbuild_core.exports.jobs.cluster.stagelog import StageLog
from osbuild_core.exports.jobs.planned.steps import pipeline_words
from osbuild_core.model import events
from osbuild_core.model.plan import PlannedPipeline
from osbuild_core.model.results import Failure, PipelineResult, RunResult, StageResult
from osbuild_core.protocol.event_stream import KEYS, decode
from osbuild_core.protocol.jsoncomm import ProtocolError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.cluster.executor import ClusterExecutor

STEP = 0.2
"""Seconds between looks at what a job has written; longer where there are many, for the file server's sake."""

MANY = 25
"""Jobs that are looked after so often."""

_HINTS = {
    "OUT_OF_MEMORY": "ask for more with --memory",
    "TIMEOUT": "the partition's time limit is too short for it; give another one with --cluster-option=--time=...",
}


def _interrupted(run: RunResult) -> bool:
    """Tell whether a run was ended by a signal: nothing in it failed, but it did not succeed."""
    codes = {failure.code for _, failure in run.failures()}
    return not run.success and codes <= {"cancelled"}


class JobRun:
    """Use once, in a thread of its own."""

    def __init__(self, executor: ClusterExecutor, planned: PlannedPipeline) -> None:
        self.executor = executor
        self.context = executor.context
        self.settings = executor.cluster.settings
        self.planned = planned
        self.place = planned.pipeline.path
        self.folder = Path()
        self.job = ""
        self.seen: Seen | None = None
        self.failure: Failure | None = None
        self.pipeline: PipelineResult | None = None
        self.finished: RunResult | None = None
        self.stages: dict[int, StageResult] = {}
        self.log = StageLog(self.context.store.path / "logs", {s.number: s.key for s in planned.stages})

    def run(self) -> PipelineResult:
        """Return what became of the pipeline. Raises OsbuildError and OSError; no job is left then."""
        try:
            for attempt in range(1, self.settings.attempts + 1):
                self._submit()
                if self._follow() is not Fate.AGAIN:
                    break
                self.executor.drop(self.folder, self.job)
                lost = f"job {self.job} is lost ({self.seen})"
                if attempt == self.settings.attempts:
                    hint = "are the nodes in order? what they have built is in the remote cache: build again"
                    self.failure = Failure(
                        "cluster.node-lost", f"{lost}, as were those before", hint, self.place
                    )
                else:
                    self._note(f"{lost}; it is submitted anew")
            return self._result()
        finally:
            self.log.close()
            over = self.seen is not None and self.seen.fate.over
            if self.job and self.finished is None and not over:
                self.executor.drop(self.folder, self.job)
            self.executor.done(self.job)

    def _note(self, message: str) -> None:
        self.context.emit(events.PipelineNote(self.planned.name, message))

    def _submit(self) -> None:
        settings, executor = self.settings, self.executor
        self.folder = executor.folder.job(self.planned.name)
        words = [str(self.folder.parent / MANIFEST), *pipeline_words(self.planned.name), "--quiet"]
        words += ["--remote-cache", settings.remote_cache, *settings.words]
        # Packages may be installed there, or here, while pipelines are built that do not even use them.
        words += ["--host", self.context.digests.host]
        for stage in self.planned.todo:
            if stage.pinned:
                words += ["--checkpoint", stage.stage.id]
        script = self.folder / SCRIPT
        script.write_text(
            job_script(
                str(self.folder),
                settings.program,
                settings.node_store,
                words,
                beat=settings.beat,
                lost=settings.lost,
            )
        )
        request = Request(
            script, self.folder / LOG, self.planned.name, settings.cpus, settings.memory, settings.options
        )
        self.job = executor.cluster.submit(request)
        executor.follow(self.folder, self.job)
        self.seen = None
        self._note(f"job {self.job} is submitted")

    def _follow(self) -> Fate:
        """Wait for the end of the job, and hand on what it does meanwhile."""
        follower, attempt = Follower(self.folder), ""
        over = 0.0
        while True:
            self._pause()
            if self.context.cancel.is_set():
                self.executor.cancel()
                self.failure = cancelled(self.place)
                return Fate.CANCELLED
            for line in follower.news():
                if line.attempt != attempt:
                    self._begin_attempt(line.attempt, first=not attempt)
                    attempt = line.attempt
                self._handle(line)
                if self.failure is not None or self.finished is not None:
                    return Fate.DONE if self.failure is None else Fate.FAILED
            seen = self._look()
            if seen.fate is Fate.AGAIN:
                return seen.fate
            if seen.fate.over:
                # What it wrote last may not be seen here yet.
                over = over or time.monotonic()
                patience = self.settings.settle if seen.fate in (Fate.DONE, Fate.GONE) else 2.0
                if time.monotonic() - over > patience:
                    self.failure = self._ended(seen)
                    return seen.fate

    def _look(self) -> Seen:
        """Return what the scheduler knows of the job; tell what is new of it."""
        seen, before = self.executor.cluster.watch.seen(self.job), self.seen
        self.seen = seen
        if not seen.fate.over and str(seen) not in (str(before), "waits"):
            self._note(f"job {self.job} {seen}")
        return seen

    def _pause(self) -> None:
        poll = select.poll()
        poll.register(self.context.cancel.fileno(), select.POLLIN)
        poll.poll(STEP * 1000 * max(1, self.executor.jobs / MANY))

    def _begin_attempt(self, attempt: str, *, first: bool) -> None:
        self.pipeline = None
        if not first:
            self._note(f"job {self.job} runs again ({attempt})")

    def _handle(self, line: Line) -> None:
        name = self.planned.name
        try:
            event = decode(line.document)
        except ProtocolError as error:
            self.context.emit(events.Warned(f"{name}: job {self.job} wrote {error}"))
            return
        match event:
            case events.RunStarted():
                self._check_keys(line)
            case events.PipelineStarted(pipeline=other) if other != name:
                self._note(f"job {self.job} builds {other!r}, which it does not find in the remote cache")
            case events.StageStarted(pipeline=own, number=number) if own == name:
                self.log.begin(number)
                if number not in self.stages:
                    self.context.emit(event)
            case events.StageOutput(pipeline=own, number=number, text=text) if own == name:
                self.log.write(number, text)
                if number not in self.stages:
                    self.context.emit(event)
            case events.StageFinished(result=result) if result.pipeline == name:
                self._finish_stage(result)
            case events.PipelineFinished(result=pipeline) if pipeline.name == name:
                self.pipeline = pipeline
            case events.RunFinished(result=run) if _interrupted(run):
                # Not by us: the scheduler knows why, and perhaps the job begins anew.
                self.pipeline = None
            case events.RunFinished(result=run):
                self.finished = run
            case events.Warned(message=message):
                self.context.emit(events.Warned(f"{name}, job {self.job}: {message}"))
            case _:
                pass

    def _finish_stage(self, result: StageResult) -> None:
        result = result._replace(log=self.log.end(result.number))
        if result.number not in self.stages:
            self.context.emit(events.StageFinished(result))
        if result.success:
            # An attempt that finds it in a store takes what an earlier one has built.
            self.stages.setdefault(result.number, result)

    def _check_keys(self, line: Line) -> None:
        """End the job if what it builds would be filed where nobody looks for it."""
        theirs = line.document.get(KEYS, {}).get(self.planned.name)
        if theirs in (None, self.planned.key):
            return
        where = self.executor.cluster.watch.seen(self.job).node or "the node"
        self.failure = Failure(
            "cluster.other-keys",
            f"{where} would file the pipeline under another key than this machine",
            "it has another version of osbuild-core, or other modules: make them the same",
            self.place,
        )

    def _ended(self, seen: Seen) -> Failure:
        """Return why a job has ended without a result."""
        said = last_words(self.folder / LOG)
        detail = f"job {self.job} ended without a result: {seen}"
        if seen.reason and seen.reason not in ("None", "NonZeroExitCode"):
            detail += f" ({seen.reason})"
        if seen.node:
            detail += f" on {seen.node}"
        if said:
            detail += f": {said.removeprefix('error: ')}"
        hint = _HINTS.get(seen.state, f"its log is {self.folder / LOG}")
        return Failure("cluster.job-failed", detail, hint, self.place)

    def _result(self) -> PipelineResult:
        planned, run = self.planned, self.finished
        pipeline = self.pipeline
        if pipeline is None and run is not None:
            # What a node has in its store is not run there, and so it does not end.
            pipeline = next((one for one in run.pipelines if one.name == planned.name), None)
        if pipeline is None:
            stages = tuple(stage for _, stage in sorted(self.stages.items()))
            why = self.failure or self._failure_of_run()
            return PipelineResult(planned.name, planned.pipeline.id, False, stages, why)
        stages = tuple(self._stage(stage) for stage in pipeline.stages)
        error: Failure | None = self.failure or pipeline.error
        if error is None and run is not None and not run.success and all(stage.success for stage in stages):
            error = self._failure_of_run()
        success = error is None and pipeline.success
        return pipeline._replace(success=success, stages=stages, error=error)

    def _failure_of_run(self) -> Failure:
        """Return what went wrong in the job beside the pipeline that it is for."""
        failures = self.finished.failures() if self.finished is not None else []
        for what, failure in failures:
            if failure.code != "cancelled":
                return failure._replace(detail=f"job {self.job}: {what}: {failure.detail}")
        return Failure("cluster.job-failed", f"job {self.job} did not build it", place=self.place)

    def _stage(self, stage: StageResult) -> StageResult:
        return self.stages.get(stage.number) or stage._replace(log=self.log.path(stage.number))
