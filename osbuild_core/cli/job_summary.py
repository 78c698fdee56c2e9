"""What ``osbuild-core job summary`` shows, with the members that openjd's has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from osbuild_core.cli.lines import on_one_line
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.job import Job, ParameterValueType
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from osbuild_core.model.errors import UsageError

Facts = dict[str, Any]


def job_summary(job: Job) -> Facts:
    """Return what there is to know of ``job``; a job of openjd-model's is looked into in the same way."""
    shown: Any = job.foreign if job.foreign is not None else job
    steps = [_step(step) for step in shown.steps]
    outer = _environments(shown.jobEnvironments, "root")
    parameters = [
        _without_nothing(
            name=name, description=p.description, type=ParameterValueType(p.type).value, value=p.value
        )
        if job.foreign is None
        else _without_nothing(name=name, description=p.description, type=p.type.value, value=str(p.value))
        for name, p in (shown.parameters or {}).items()
    ]
    return {
        "status": "success",
        "message": f"Summary for '{job.name}'",
        "name": job.name,
        **_without_nothing(parameter_definitions=parameters),
        "total_steps": len(steps),
        "total_tasks": sum(step["total_tasks"] for step in steps),
        "total_environments": len(outer) + sum(len(step.get("environments", ())) for step in steps),
        **_without_nothing(root_environments=outer),
        "steps": steps,
    }


def step_summary(job: Job, name: str) -> Facts:
    """Return what there is to know of one step. Raises UsageError if there is none of that name."""
    shown: Any = job.foreign if job.foreign is not None else job
    for step in shown.steps:
        if step.name == name:
            facts = _step(step)
            return {
                "status": "success",
                "message": f"Summary for Step '{name}' in Job '{job.name}'",
                "job_name": job.name,
                "step_name": name,
                "total_parameters": len(facts.get("parameter_definitions", ())),
                "total_tasks": facts["total_tasks"],
                "total_environments": len(facts.get("environments", ())),
                **{
                    k: facts[k]
                    for k in ("parameter_definitions", "environments", "dependencies")
                    if k in facts
                },
            }
    hint = near(name, [step.name for step in shown.steps])
    raise UsageError(f"the job {job.name!r} has no step {name!r}", code="usage.step", hint=hint)


def _step(step: Any) -> Facts:
    space = step.parameterSpace
    parameters = [] if space is None else list(space.taskParameterDefinitions.items())
    return {
        "name": step.name,
        **_without_nothing(
            description=step.description,
            parameter_definitions=[
                {"name": name, "type": ParameterValueType(parameter.type.value).value}
                for name, parameter in parameters
            ],
        ),
        "total_tasks": StepParameterSpaceIterator(space=space, chunks_task_count_override=1).size,
        **_without_nothing(
            environments=_environments(step.stepEnvironments, step.name),
            dependencies=[{"step_name": dependency.dependsOn} for dependency in step.dependencies or ()],
        ),
    }


def _environments(environments: Iterable[Any] | None, parent: str) -> list[Facts]:
    return [
        _without_nothing(name=environment.name, description=environment.description, parent=parent)
        for environment in environments or ()
    ]


def _without_nothing(**facts: Any) -> Facts:
    return {name: value for name, value in facts.items() if value is not None and value != []}


def text_of_job(facts: Facts) -> str:
    """Return the summary of a job as people read it."""
    return "\n".join(_job_lines(facts))


def _job_lines(facts: Facts) -> Iterator[str]:
    yield f"Job: {on_one_line(facts['name'])}"
    if "parameter_definitions" in facts:
        yield "Parameters:"
        for parameter in facts["parameter_definitions"]:
            yield f"  {parameter['name']} ({parameter['type']}): {on_one_line(parameter['value'])}"
    for name in ("steps", "tasks", "environments"):
        yield f"Total {name}: {facts[f'total_{name}']}"
    for environment in facts.get("root_environments", ()):
        yield f"Environment {on_one_line(environment['name'])}"
    for number, step in enumerate(facts["steps"], start=1):
        yield ""
        yield f"{number}. {on_one_line(step['name'])}: {_tasks(step['total_tasks'])}"
        yield from _details(step)


def text_of_step(facts: Facts) -> str:
    """Return the summary of a step as people read it."""
    first = f"{on_one_line(facts['step_name'])}: {_tasks(facts['total_tasks'])}"
    return "\n".join([first, *_details(facts)])


def _details(step: Facts) -> Iterator[str]:
    for parameter in step.get("parameter_definitions", ()):
        yield f"   task parameter {parameter['name']} ({parameter['type']})"
    for dependency in step.get("dependencies", ()):
        yield f"   after {on_one_line(dependency['step_name'])}"
    for environment in step.get("environments", ()):
        yield f"   in the environment {on_one_line(environment['name'])}"


def _tasks(count: int) -> str:
    return f"{count} task{'' if count == 1 else 's'}"
