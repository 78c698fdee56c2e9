"""Which steps and tasks of a job are run: all, one step with or without what it depends on, or some tasks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from osbuild_core.exports.jobs.dependencies import StepDependencyGraph
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.job import Job, ParameterValue, ParameterValueType, Step, TaskParameterSet
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from osbuild_core.model.errors import UsageError


class SelectedStep(NamedTuple):
    """A step, at that ``position`` in its job, and its tasks: ``only`` these, ``at_most`` so many; None for all."""

    step: Step
    position: int
    only: tuple[TaskParameterSet, ...] | None = None
    at_most: int | None = None

    def tasks(self) -> Iterator[TaskParameterSet]:
        """Yield the parameters of each task."""
        if self.only is not None:
            return iter(self.only)
        return islice(self.space(), self.at_most)

    def space(self) -> StepParameterSpaceIterator:
        """Return the whole space of the step."""
        return StepParameterSpaceIterator(space=self.step.parameterSpace)


def select(
    job: Job,
    *,
    step: str | None = None,
    tasks: Sequence[Mapping[str, str]] | None = None,
    at_most: int | None = None,
    dependencies: bool = False,
) -> tuple[SelectedStep, ...]:
    """Return what to run, in order; a job of one step is as if that was named. Raises UsageError."""
    places = {item.name: index for index, item in enumerate(job.steps)}
    if step is not None and step not in places:
        hint = near(step, places) or f"there are: {', '.join(places)}"
        raise UsageError(f"the job {job.name!r} has no step {step!r}", code="usage.step", hint=hint)
    if step is None and len(job.steps) == 1:
        step = job.steps[0].name
    graph = StepDependencyGraph(job=job)
    if step is None:
        if tasks is not None:
            raise UsageError(
                "tasks are of one step, and this job has several",
                code="usage.step",
                hint="name it with --step",
            )
        return tuple(SelectedStep(item, places[item.name]) for item in graph.topo_sorted())
    *before, last = graph.needed_for(stepname=step) if dependencies else [job.steps[places[step]]]
    selected = SelectedStep(last, places[step], at_most=at_most)
    if tasks is not None:
        selected = selected._replace(only=_tasks(selected, tasks), at_most=None)
    return (*(SelectedStep(item, places[item.name]) for item in before), selected)


def _tasks(selected: SelectedStep, given: Sequence[Mapping[str, str]]) -> tuple[TaskParameterSet, ...]:
    space = selected.space()
    parameters = selected.step.parameterSpace
    types = {} if parameters is None else {n: d.type for n, d in parameters.taskParameterDefinitions.items()}
    found = []
    for index, values in enumerate(given):
        task = {
            name: ParameterValue(types.get(name, ParameterValueType.STRING), value)
            for name, value in values.items()
        }
        try:
            space.validate_containment(task)
        except ValueError as error:
            raise UsageError(
                f"task {index} of the step {selected.step.name!r}: {error}", code="usage.task"
            ) from None
        found.append(task)
    return tuple(found)


def task_list(document: Any) -> list[dict[str, str]]:
    """Return the tasks that a list of mappings describes. Raises UsageError."""
    hint = '[{"Frame": "1"}, {"Frame": "2"}]'
    if not isinstance(document, list) or not document:
        raise UsageError("--tasks has to be a list of tasks", code="usage.task", hint=hint)
    found = []
    for index, item in enumerate(document):
        if not isinstance(item, dict) or not all(
            isinstance(name, str) and isinstance(value, (str, int, float)) and not isinstance(value, bool)
            for name, value in item.items()
        ):
            raise UsageError(
                f"--tasks: [{index}] is not a mapping of names to strings or numbers",
                code="usage.task",
                hint=hint,
            )
        found.append({name: str(value) for name, value in item.items()})
    return found
