"""Templates of jobs and environments: sections 1 and 3 of the specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from osbuild_core.exports.jobs.actions import (
    ENVIRONMENT,
    ENVIRONMENTS,
    INTERPRETERS,
    SESSION,
    SIMPLE_ACTIONS,
    STEP_SCRIPT,
)
from osbuild_core.exports.jobs.definitions import (
    DESCRIPTION,
    JobParameterDefinition,
    definitions,
    symbols,
)
from osbuild_core.exports.jobs.dependencies import cycles
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import Environment, StepDependency, StepScript
from osbuild_core.exports.jobs.records import Field, ListOf, Record, needed, record
from osbuild_core.exports.jobs.requirements import REQUIREMENTS, HostRequirementsTemplate
from osbuild_core.exports.jobs.shape import BUNDLE, CONTROL, Choice, Reader, Scope, Text
from osbuild_core.exports.jobs.spaces import SPACE, StepParameterSpaceDefinition
from osbuild_core.exports.jobs.spaces import symbols as task_symbols
from osbuild_core.model.errors import Path

JOB_VERSION = "jobtemplate-2023-09"
ENVIRONMENT_VERSION = "environment-2023-09"


class StepTemplate(NamedTuple):
    """A step before its job has values; a script of one file (``python``, ``bash``, …) is a ``script`` here."""

    name: str
    script: StepScript
    description: str | None = None
    stepEnvironments: tuple[Environment, ...] = ()
    parameterSpace: StepParameterSpaceDefinition | None = None
    hostRequirements: HostRequirementsTemplate | None = None
    dependencies: tuple[StepDependency, ...] = ()


class JobTemplate(NamedTuple):
    """A job before its parameters have values.

    ``foreign`` is the template as openjd-model has it, where the extensions that it uses are not ours
    (:mod:`osbuild_core.exports.jobs.extensions`); there are no steps here then.
    """

    specificationVersion: str
    name: FormatString | str
    steps: tuple[StepTemplate, ...]
    extensions: tuple[str, ...] = ()
    description: str | None = None
    parameterDefinitions: tuple[JobParameterDefinition, ...] = ()
    jobEnvironments: tuple[Environment, ...] = ()
    foreign: Any = None


class EnvironmentTemplate(NamedTuple):
    """An environment that is put around jobs from outside, with parameters of its own."""

    specificationVersion: str
    environment: Environment | None
    extensions: tuple[str, ...] = ()
    parameterDefinitions: tuple[JobParameterDefinition, ...] = ()
    foreign: Any = None


STEP_NAME = Text(most=(64, 512), forbidden=CONTROL)
JOB_NAME = Text(most=(128, 512), forbidden=CONTROL, formats=True, resolved=True)
EXTENSIONS = ListOf(Text(least=0))
"""Which of them there are is looked at before: see :mod:`osbuild_core.exports.jobs.extensions`."""


def _step_scopes(raw: dict[str, Any], scope: Scope) -> Mapping[str, Scope]:
    inside = scope.plus(SESSION).plus(task_symbols(raw.get("parameterSpace")))
    return dict.fromkeys(("script", *INTERPRETERS), inside)


def _make_step(**fields: Any) -> StepTemplate:
    for interpreter in INTERPRETERS:
        if interpreter in fields:
            fields["script"] = fields.pop(interpreter)
    return StepTemplate(**fields)


def _check_step(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    scripts = [key for key in ("script", *INTERPRETERS) if raw.get(key) is not None]
    if not scripts:
        reader.add(path, "script is missing", code="job.missing")
    elif len(scripts) > 1:
        reader.add(path, f"it can have one script only: {', '.join(scripts)}", code="job.duplicate")
    name = raw.get("name")
    for index, item in _dependencies(raw):
        if item == name:
            place = (*path, "dependencies", index, "dependsOn")
            reader.add(place, "a step cannot depend on itself", code="job.cycle")


def _dependencies(raw: object) -> Iterator[tuple[int, str]]:
    found = raw.get("dependencies") if isinstance(raw, dict) else None
    for index, item in enumerate(found if isinstance(found, list) else ()):
        name = item.get("dependsOn") if isinstance(item, dict) else None
        if isinstance(name, str):
            yield index, name


STEP = record(
    _make_step,
    name=needed(STEP_NAME),
    description=DESCRIPTION,
    dependencies=ListOf(record(StepDependency, dependsOn=needed(STEP_NAME)), unique="dependsOn"),
    stepEnvironments=ENVIRONMENTS,
    hostRequirements=REQUIREMENTS,
    parameterSpace=SPACE,
    script=STEP_SCRIPT,
    **{name: Field(shape, extension=BUNDLE) for name, shape in SIMPLE_ACTIONS.items()},
)._replace(check=_check_step, scopes=_step_scopes, elsewhere={"let": "EXPR"})


def _root_scopes(raw: dict[str, Any], scope: Scope) -> Mapping[str, Scope]:
    submit, run = symbols(raw.get("parameterDefinitions"))
    inside = Scope((submit,), (submit, run))
    return dict.fromkeys(("name", "steps", "jobEnvironments", "environment"), inside)


def _named(raw: object) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for index, item in enumerate(raw if isinstance(raw, list) else ()):
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield index, item["name"], item


def _check_job(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    """Note what steps and environments have against each other, from the document as it is."""
    steps = {name: (index, item) for index, name, item in _named(raw.get("steps"))}
    outer = {name for _, name, _ in _named(raw.get("jobEnvironments"))}
    graph: dict[str, list[str]] = {}
    for name, (index, item) in steps.items():
        for at, other in _dependencies(item):
            if other not in steps:
                place: Path = (*path, "steps", index, "dependencies", at, "dependsOn")
                reader.add(
                    place, f"there is no step {other!r}", code="job.reference", hint=near(other, steps)
                )
        # A step that depends on itself is told of elsewhere.
        graph[name] = [other for _, other in _dependencies(item) if other in steps and other != name]
        for at, inner, _ in _named(item.get("stepEnvironments")):
            if inner in outer:
                place = (*path, "steps", index, "stepEnvironments", at, "name")
                reader.add(place, f"{inner!r} is the name of a job environment already", code="job.duplicate")
    for cycle in cycles(graph):
        place = (*path, "steps", steps[cycle[0]][0], "dependencies")
        reader.add(place, f"steps depend on each other in a circle: {' -> '.join(cycle)}", code="job.cycle")


_IGNORED = "$schema"


def _make_job(**fields: Any) -> JobTemplate:
    return JobTemplate(**{key: value for key, value in fields.items() if key != _IGNORED})


JOB_TEMPLATE = Record(
    {
        "specificationVersion": needed(Choice((JOB_VERSION,))),
        _IGNORED: Field(Text(least=0)),
        "extensions": Field(EXTENSIONS),
        "name": needed(JOB_NAME),
        "description": Field(DESCRIPTION),
        "parameterDefinitions": Field(definitions((50, 200))),
        "jobEnvironments": Field(ENVIRONMENTS),
        "steps": needed(ListOf(STEP, unique="name")),
    },
    _make_job,
    check=_check_job,
    scopes=_root_scopes,
)
ENVIRONMENT_TEMPLATE = record(
    EnvironmentTemplate,
    specificationVersion=needed(Choice((ENVIRONMENT_VERSION,))),
    extensions=EXTENSIONS,
    parameterDefinitions=definitions(50),
    environment=needed(ENVIRONMENT),
)._replace(scopes=_root_scopes)
