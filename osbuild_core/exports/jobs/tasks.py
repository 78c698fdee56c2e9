"""The tasks of a step, handed out to workers: what was done before is left out, the size of chunks is learnt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

from osbuild_core.exports.jobs import events
from osbuild_core.exports.jobs.job import TaskParameterSet
from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr
from osbuild_core.exports.jobs.results import Results, task_key
from osbuild_core.exports.jobs.selection import SelectedStep
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from osbuild_core.exports.jobs.status import ActionState

MATURE = 10
"""Values of a chunked parameter after which the time that they took is trusted."""


class Counts(NamedTuple):
    """How many tasks went well, failed, or had been done before."""

    success: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Tasks:
    """The tasks of a step, taken by its workers."""

    def __init__(
        self, selected: SelectedStep, digest: str, results: Results | None, resume: bool, emit: events.Sink
    ) -> None:
        self.counts = Counts()
        self._step = selected.step.name
        self._digest = digest
        self._results = results
        self._resume = resume
        self._emit = emit
        self._lock = threading.Lock()
        self._chunks = Chunks(selected)
        self._iterator = selected.tasks() if not self._chunks.adaptive else self._chunks.tasks()
        self._abandoned = False

    def key(self, task: TaskParameterSet) -> str:
        """Return the key of a task of this step."""
        return task_key(self._digest, task)

    def take(self) -> TaskParameterSet | None:
        """Return the next task to run, None after the last one."""
        with self._lock:
            while not self._abandoned and (task := next(self._iterator, None)) is not None:
                if not self._resume or self._results is None or not self._results.done(key := self.key(task)):
                    return task
                self.counts = self.counts.plus(Counts(skipped=1))
                values = {name: parameter.value for name, parameter in task.items()}
                self._emit(events.TaskSkipped(self._step, values, key))
            return None

    def abandon(self) -> None:
        """Give no more tasks."""
        self._abandoned = True

    def done(self, task: TaskParameterSet, state: ActionState, seconds: float) -> None:
        """Keep what has come of a task. Raises ResultsError."""
        with self._lock:
            if state is ActionState.SUCCESS:
                self.counts = self.counts.plus(Counts(success=1))
                self._chunks.took(task, seconds)
            elif state is not ActionState.CANCELED:
                self.counts = self.counts.plus(Counts(failed=1))
            if self._results is not None:
                values = {name: parameter.value for name, parameter in task.items()}
                more = {"name": self._step, "parameters": values, "seconds": round(seconds, 3)}
                self._results.keep(self.key(task), self._digest, state, more)


class Chunks:
    """Chooses the size of chunks so that each takes about as long as the template wants."""

    def __init__(self, selected: SelectedStep) -> None:
        self._space: StepParameterSpaceIterator | None = None
        self._at_most = selected.at_most
        self._values = 0
        self._seconds = 0.0
        self._target = 0
        space = selected.space()
        parameters = selected.step.parameterSpace
        if selected.only is None and space.chunks_adaptive and parameters is not None:
            self._space = space
            chunks = parameters.taskParameterDefinitions[space.chunks_parameter_name or ""].chunks
            self._target = (chunks.targetRuntimeSeconds if chunks is not None else 0) or 0

    @property
    def adaptive(self) -> bool:
        return self._space is not None

    def tasks(self) -> Iterator[TaskParameterSet]:
        """Yield tasks of the size that is right at the moment."""
        assert self._space is not None
        for index, task in enumerate(self._space):
            if index == self._at_most:
                return
            yield task

    def took(self, task: TaskParameterSet, seconds: float) -> None:
        """Learn from a chunk that was done."""
        space = self._space
        if space is None or seconds <= 0:
            return
        self._values += len(IntRangeExpr.from_str(task[space.chunks_parameter_name or ""].value))
        self._seconds += seconds
        size = self._target * self._values / self._seconds
        now = space.chunks_default_task_count or 1
        if self._values < MATURE and size > now:
            # One chunk says little; the first of a long row may be the quickest.
            size = now + (size - now) / 4
        space.chunks_default_task_count = max(1, int(size))
