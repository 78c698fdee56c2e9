"""The order of steps: what depends on what, and what goes around in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from osbuild_core.exports.jobs.job import Job, Step


def cycles(dependencies: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the circles in ``dependencies`` (name to the names that it depends on), each as the way around it.

    One for each group of names that depend on each other: the first way that is found. The first name is
    repeated at the end.
    """
    done: set[str] = set()
    for start in dependencies:
        way: list[str] = []
        on_way: set[str] = set()
        # A stack of iterators, since a chain may be longer than Python can recurse.
        stack = [iter((start,))]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if way:
                    finished = way.pop()
                    on_way.discard(finished)
                    done.add(finished)
            elif name in on_way:
                yield (*way[way.index(name) :], name)
                # What stands on the way is known to be part of a circle, or to lead into one.
                done.update(way)
                break
            elif name not in done:
                way.append(name)
                on_way.add(name)
                stack.append(iter(dependencies.get(name, ())))


def ordered(dependencies: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each comes after those that it depends on, else in the order they have.

    Each is as early as it can be. Raises ValueError where there is a circle.
    """
    for cycle in cycles(dependencies):
        raise ValueError(f"steps depend on each other in a circle: {' -> '.join(cycle)}")
    place = {name: index for index, name in enumerate(dependencies)}
    result: dict[str, None] = {}
    for start in dependencies:
        stack = [start]
        while stack:
            name = stack[-1]
            waiting = [other for other in dependencies[name] if other not in result]
            if name in result or not waiting:
                stack.pop()
                result[name] = None
            else:
                stack.append(min(waiting, key=place.__getitem__))
    return list(result)


class StepDependencyGraphNode(NamedTuple):
    """A step, the names of the steps that it depends on, and of those that depend on it."""

    step: Step
    origins: tuple[str, ...]
    dependents: tuple[str, ...]


class StepDependencyGraph:
    """The steps of a job and their dependencies."""

    def __init__(self, *, job: Job) -> None:
        self._steps = {step.name: step for step in job.steps}
        self._origins = {step.name: [d.dependsOn for d in step.dependencies] for step in job.steps}
        self._dependents: dict[str, list[str]] = {name: [] for name in self._steps}
        for name, origins in self._origins.items():
            for origin in origins:
                self._dependents[origin].append(name)

    def step_node(self, *, stepname: str) -> StepDependencyGraphNode:
        """Return the step of that name with its neighbours. Raises KeyError."""
        origins, dependents = self._origins[stepname], self._dependents[stepname]
        return StepDependencyGraphNode(self._steps[stepname], tuple(origins), tuple(dependents))

    def topo_sorted(self) -> list[Step]:
        """Return the steps, each after those that it depends on, else in the order of the job."""
        return [self._steps[name] for name in ordered(self._origins)]

    def needed_for(self, *, stepname: str) -> list[Step]:
        """Return the step of that name and all that it depends on, in the order to run them."""
        wanted: set[str] = set()
        stack = [stepname]
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                stack.extend(self._origins[name])
        return [self._steps[name] for name in ordered(self._origins) if name in wanted]
