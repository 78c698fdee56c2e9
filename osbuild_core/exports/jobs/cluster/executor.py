"""The executor for a cluster: each pipeline becomes a job, which builds it on a node and puts it into the cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osbuild_core.engine.context import Context
from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.exports.jobs.cluster.folder import RunFolder, check_directory, remove_old
from osbuild_core.exports.jobs.cluster.jobrun import JobRun
from osbuild_core.exports.jobs.cluster.scheduler import Request, Scheduler
from osbuild_core.exports.jobs.cluster.settings import ClusterSettings
from osbuild_core.exports.jobs.cluster.submission import Submission
from osbuild_core.exports.jobs.cluster.trees import Trees
from osbuild_core.exports.jobs.cluster.watch import Watch
from osbuild_core.model.errors import OsbuildError
from osbuild_core.model.events import PipelineFinished, PipelineStarted, Warned
from osbuild_core.model.executor import Executor
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import PipelineResult
from osbuild_core.store.namespace import enter_private_namespace


class Cluster:
    """The jobs of one or more builds. A context manager; opening raises OsbuildError where no scheduler answers.

    When it is closed no job is left, but for those that the scheduler does not let us cancel; they notice.
    """

    def __init__(self, settings: ClusterSettings, scheduler: Scheduler) -> None:
        self.settings = settings
        self.scheduler = scheduler
        self.watch = Watch(scheduler, settings.poll, self._warn)
        self._submission = Submission(scheduler, array=settings.array)
        self._executors: list[ClusterExecutor] = []
        self._building: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Cluster:
        self.scheduler.check()
        check_directory(self.settings.directory)
        remove_old(self.settings.directory)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def executor(self, document: Any) -> Callable[[Context], Executor]:
        """Return what makes the executor of a session that builds ``document``, the JSON of a manifest."""

        def make(context: Context) -> Executor:
            made = ClusterExecutor(self, context, document)
            with self._lock:
                self._executors.append(made)
            return made

        return make

    def submit(self, request: Request) -> str:
        """Submit a job and watch it; return its id. Raises OsbuildError."""
        job = self._submission.submit(request)
        self.watch.add(job)
        return job

    def building(self, key: str) -> threading.Lock:
        """Return the lock of those who build ``key``: of several builds one submits it, the others wait."""
        with self._lock:
            return self._building.setdefault(key, threading.Lock())

    def _warn(self, message: str) -> None:
        with self._lock:
            executors = self._executors[:1]
        for executor in executors:
            executor.context.emit(Warned(message))

    def close(self) -> None:
        """Cancel what still runs, wait until it has ended, and remove what was shared with it."""
        left = self.watch.live()
        if left:
            # The results are here; a job that is about to end is left to it.
            left = self.watch.wait(left, 5.0)
        if left:
            try:
                self.scheduler.cancel(left)
                left = self.watch.wait(left, self.settings.settle)
            except OsbuildError as error:
                self._warn(
                    f"jobs {', '.join(left)} are not cancelled: {error.detail}; they end by themselves"
                )
        self.watch.close()
        for executor in self._executors:
            executor.close(remove=not left)


class ClusterExecutor:
    """Runs the pipelines of one session as jobs. Each call needs a thread of its own, since it moves that thread
    into a mount namespace."""

    def __init__(self, cluster: Cluster, context: Context, document: Any) -> None:
        self.cluster = cluster
        self.context = context
        self._document = document
        self._folder: RunFolder | None = None
        self._keep = False
        self.trees = Trees(context)
        self._jobs: dict[str, Path] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> RunFolder:
        """The directory of the run, made when first used. Raises UsageError where it cannot be."""
        with self._lock:
            if self._folder is None:
                settings = self.cluster.settings
                self._folder = RunFolder(settings.directory, self._document, settings.beat)
            return self._folder

    def close(self, *, remove: bool) -> None:
        """Show no more signs of life; ``remove`` what was shared with the jobs, but for logs that somebody needs."""
        if self._folder is not None:
            self._folder.close(remove=remove and not self._keep)

    def run_pipeline(self, plan: Plan, planned: PlannedPipeline) -> PipelineResult:
        """Build ``planned`` on the cluster. A failed stage is in the result, not raised."""
        pipeline, context = planned.pipeline, self.context
        context.emit(PipelineStarted(planned.name, pipeline.id, planned.first, len(planned.stages)))
        try:
            enter_private_namespace()
            assert planned.key is not None
            with self.cluster.building(planned.key):
                result = self.trees.cached(planned)
                if result is None:
                    self.trees.offer(plan, planned)
                    result = JobRun(self, planned).run()
            if result.success:
                self.trees.collect(plan, planned)
        except FAILURES as problem:
            error = failure_of(
                problem, f"building the pipeline {planned.name!r} on the cluster", pipeline.path
            )
            if context.cancel.is_set():
                error = cancelled(pipeline.path)
            result = PipelineResult(planned.name, pipeline.id, False, error=error)
        if result.error is not None and result.error.code == "cluster.job-failed":
            # Whatever there is to know is in the log of the job.
            self._keep = True
        context.emit(PipelineFinished(result))
        return result

    def follow(self, folder: Path, job: str) -> None:
        """Remember a job for :meth:`cancel`."""
        with self._lock:
            self._jobs[job] = folder

    @property
    def jobs(self) -> int:
        """How many jobs are under way."""
        return len(self._jobs)

    def done(self, job: str) -> None:
        """Forget a job that is over."""
        with self._lock:
            self._jobs.pop(job, None)

    def cancel(self) -> None:
        """Cancel all jobs of the session, in one go: every thread comes here, the first does it."""
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        self._cancel(jobs)

    def drop(self, folder: Path, job: str) -> None:
        """Cancel a job that nobody waits for any more."""
        with self._lock:
            self._jobs.pop(job, None)
        self._cancel({job: folder})

    def _cancel(self, jobs: dict[str, Path]) -> None:
        if not jobs:
            return
        for job, folder in jobs.items():
            RunFolder.disown(folder, job)
        try:
            self.cluster.scheduler.cancel(jobs)
        except OsbuildError as error:
            message = f"cannot cancel the jobs {', '.join(jobs)}: {error.detail}; they notice, and end by themselves"
            self.context.emit(Warned(message))
