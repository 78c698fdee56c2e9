"""A run of a job on this host: its steps one after the other, the tasks of a step side by side."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from osbuild_core.exports.jobs import events
from osbuild_core.exports.jobs.amounts import host_amounts, slots
from osbuild_core.exports.jobs.job import Environment, Job, JobParameterValues, TaskParameterSet
from osbuild_core.exports.jobs.pathmapping import PathMappingRule
from osbuild_core.exports.jobs.results import Results, step_digests, task_key
from osbuild_core.exports.jobs.selection import SelectedStep
from osbuild_core.exports.jobs.session import Session, SessionCallback
from osbuild_core.exports.jobs.status import ActionState, ActionStatus
from osbuild_core.exports.jobs.switching import Switch
from osbuild_core.exports.jobs.tasks import Counts, Tasks
from osbuild_core.exports.jobs.worker import Failure, Placed, Worker, label, placed, reason
from osbuild_core.model.errors import OsbuildError


class RunOptions(NamedTuple):
    """How a job is run: ``jobs`` tasks at once; with ``keep_going``, on after a failure; ``environments`` around all.

    ``tree`` stands for what commands run on. ``results`` keeps what has come of tasks; with ``resume``, those that
    were done well are not done again.
    """

    jobs: int = 1
    keep_going: bool = False
    environments: tuple[Environment, ...] = ()
    rules: tuple[PathMappingRule, ...] = ()
    extensions: tuple[str, ...] | None = None
    retain_working_dir: bool = False
    tree: str | None = None
    results: Results | None = None
    resume: bool = False


class RunResult(NamedTuple):
    """What has come of a run: ``state`` is success, failed or canceled."""

    state: str
    counts: Counts
    failures: tuple[Failure, ...]
    seconds: float
    directories: tuple[str, ...]


class JobRun:
    """Runs the selected steps of a job. Use once: :meth:`run`."""

    def __init__(
        self,
        job: Job,
        values: JobParameterValues,
        steps: Sequence[SelectedStep],
        options: RunOptions,
        sink: events.Sink,
    ) -> None:
        self.job = job
        self.stopping = False
        self.urgent = False
        self._values = values
        self._steps = tuple(steps)
        self._options = options
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._failures: list[Failure] = []
        self._counts = Counts()
        self._directories: list[str] = []
        self._interrupted = False
        self._switch: Switch | None = None
        self._error: BaseException | None = None
        rules = [rule.to_dict() for rule in options.rules]
        self._digests = step_digests(job, values, options.environments, [rules, options.tree])

    @property
    def limit(self) -> timedelta | None:
        """How long what is cancelled may take; None: as it says itself."""
        return timedelta(0) if self.urgent else None

    # For whoever started it, from any thread

    def interrupt(self) -> None:
        """End the run: what runs is cancelled as it wants to be, environments are left. Once more: all at once."""
        self.urgent = self._interrupted
        self._interrupted = True
        self.stop()

    def stop(self) -> None:
        """Begin nothing any more, and cancel what runs."""
        self.stopping = True
        for worker in list(self._workers):
            worker.cancel(self.limit)

    # For its workers

    def emit(self, event: events.Event) -> None:
        """Hand an event to the sink; one that cannot take it is the end of the run."""
        with self._sink_lock:
            if self._error is not None:
                return
            try:
                self._sink(event)
                return
            except Exception as error:
                self._error = error
        self.stop()

    def open_session(self, worker: Worker, callback: SessionCallback) -> Session:
        """Return a new session. Raises WorkingDirectoryError."""
        options = self._options
        session = Session(
            session_id=f"job-{worker.number}",
            job_parameter_values=self._values,
            job_name=self.job.name,
            path_mapping_rules=options.rules,
            retain_working_dir=options.retain_working_dir,
            callback=callback,
            revision_extensions=options.extensions,
            journal=worker,
            switch=self._switch,
            attended=True,
        )
        if options.retain_working_dir:
            self._directories.append(str(session.working_directory))
        return session

    def environments(self, selected: SelectedStep) -> list[Placed]:
        """Return the environments of a step's tasks, outermost first."""
        return [
            *placed(self._options.environments, "environments"),
            *placed(self.job.jobEnvironments, "jobEnvironments"),
            *placed(
                selected.step.stepEnvironments, "steps", selected.position, "stepEnvironments", of_step=True
            ),
        ]

    def failed_environment(self, where: Placed, action: str, status: ActionStatus) -> None:
        """Take note of an environment that could not be entered or left."""
        if status.state is ActionState.CANCELED and self.stopping:
            return
        place = (*where.place, "script", "actions", action)
        self._fail(Failure(place, where.environment.name, *reason(status)))

    def _fail(self, failure: Failure) -> None:
        with self._lock:
            self._failures.append(failure)
        if not self._options.keep_going:
            self.stop()

    # The run

    def run(self, switch: Switch | None = None) -> RunResult:
        """Run everything; ``switch`` is how commands are started, None as they are. What fails is in the result.

        Raises what the sink raised, and what a session cannot do.
        """
        self._switch = switch
        started = time.monotonic()
        self.emit(events.RunStarted(self.job.name, tuple(item.step.name for item in self._steps)))
        self._begin_results()
        bad: set[str] = set()
        try:
            for selected in self._steps:
                if self.stopping:
                    break
                if not self._run_step(selected, bad):
                    bad.add(selected.step.name)
        finally:
            for worker in self._workers:
                with self._reported():
                    worker.close()
        if self._error is not None:
            raise self._error
        state = "failed" if self._failures else "success"
        if self._interrupted:
            state = "canceled"
        seconds = time.monotonic() - started
        self.emit(events.RunFinished(state, *self._counts, seconds))
        return RunResult(state, self._counts, tuple(self._failures), seconds, tuple(self._directories))

    def _begin_results(self) -> None:
        results = self._options.results
        if results is None or self._options.resume:
            return
        digests = self._digests
        whole = [digests[s.step.name] for s in self._steps if s.only is None]
        keys = [task_key(digests[s.step.name], task) for s in self._steps for task in s.only or ()]
        results.forget(steps=whole, keys=keys)

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Let what goes wrong in a thread end the run."""
        try:
            yield
        except BaseException as error:
            self._error = self._error or error
            self.stop()

    def _run_step(self, selected: SelectedStep, bad: set[str]) -> bool:
        """Run the tasks of a step; return whether all of them were done well."""
        step = selected.step
        if any(dependency.dependsOn in bad for dependency in step.dependencies):
            self.emit(events.StepFinished(step.name, "skipped", 0, 0, 0))
            return False
        found = slots(step, self._options.jobs, host_amounts())
        for text in found.lacking:
            self.emit(events.Noted(0, f"{step.name}: {text}; it is run all the same", logging.WARNING))
        while len(self._workers) < found.at_once:
            self._workers.append(Worker(self, len(self._workers) + 1))
        self.emit(events.StepStarted(step.name, found.at_once))
        options = self._options
        tasks = Tasks(selected, self._digests[step.name], options.results, options.resume, self.emit)
        before = len(self._failures)
        workers = self._workers[: found.at_once]
        threads = [
            threading.Thread(target=self._work, args=(worker, selected, tasks), name=f"job-{worker.number}")
            for worker in workers[1:]
        ]
        for thread in threads:
            thread.start()
        self._work(workers[0], selected, tasks)
        for thread in threads:
            thread.join()
        good = len(self._failures) == before and not self.stopping and self._error is None
        self._counts = self._counts.plus(tasks.counts)
        state = "success" if good else "failed"
        self.emit(events.StepFinished(step.name, state, *tasks.counts))
        return good

    def _work(self, worker: Worker, selected: SelectedStep, tasks: Tasks) -> None:
        with self._reported():
            while not self.stopping and (task := tasks.take()) is not None:
                self._run_task(worker, selected, tasks, task)
            worker.leave_step()

    def _run_task(self, worker: Worker, selected: SelectedStep, tasks: Tasks, task: TaskParameterSet) -> None:
        name = selected.step.name
        values = {parameter: value.value for parameter, value in task.items()}
        key = tasks.key(task)
        self.emit(events.TaskStarted(worker.number, name, values, key))
        ended = worker.run_task(selected, task)
        if ended is None:
            # Another task would not get any further.
            tasks.abandon()
            status, seconds = ActionStatus(ActionState.CANCELED), 0.0
        else:
            status, seconds = ended
        tasks.done(task, status.state, seconds)
        self.emit(
            events.TaskFinished(
                worker.number,
                name,
                values,
                key,
                status.state,
                status.exit_code,
                status.fail_message,
                round(seconds, 6),
            )
        )
        if status.state in (ActionState.FAILED, ActionState.TIMEOUT):
            place = ("steps", selected.position, "script", "actions", "onRun")
            what = f"{name}, {label(task)}" if task else name
            self._fail(Failure(place, what, *reason(status)))
        worker.settle()


def run_in_thread(work: Callable[[], RunResult]) -> RunResult:
    """Do ``work`` in a thread of its own, so that signal handlers never meet locks that this thread holds.

    Raises what it raises.
    """
    found: list[RunResult] = []
    raised: list[BaseException] = []

    def body() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body, name="job-run")
    thread.start()
    while thread.is_alive():
        # A signal that the kernel gives to another thread is not noticed before this one wakes up.
        thread.join(0.5)
    if raised:
        raise raised[0]
    return found[0]


def failure_error(failure: Failure) -> OsbuildError:
    """Return ``failure`` as faces show it."""
    detail = f"{failure.what}: {failure.reason}"
    return OsbuildError(detail, code="job.failed", hint=failure.hint, place=failure.place)
