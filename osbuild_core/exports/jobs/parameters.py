"""Values for the parameters of a job: merged definitions, defaults, paths, constraints."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from osbuild_core.exports.jobs.definitions import JobParameterDefinition, convert, problems
from osbuild_core.exports.jobs.errors import CompatibilityError, ParameterError, near
from osbuild_core.exports.jobs.job import JobParameterValues, ParameterValue, ParameterValueType
from osbuild_core.exports.jobs.template import EnvironmentTemplate, JobTemplate
from osbuild_core.model.errors import Issue


def merge_job_parameter_definitions(
    *,
    job_template: JobTemplate | None = None,
    environment_templates: Sequence[EnvironmentTemplate] | None = None,
) -> list[JobParameterDefinition]:
    """Return one definition for each parameter of a job and the environments that are put around it.

    The environments come first, in their order, the job last. Constraints are put together, the last default
    counts. Raises CompatibilityError with everything that does not go together.
    """
    sources: dict[str, list[JobParameterDefinition]] = {}
    for template in (*(environment_templates or ()), job_template):
        for definition in template.parameterDefinitions if template is not None else ():
            sources.setdefault(definition.name, []).append(definition)
    issues: list[Issue] = []
    merged = [_merge(name, definitions, issues) for name, definitions in sources.items()]
    if issues:
        raise CompatibilityError(issues)
    return merged


def _merge(
    name: str, definitions: list[JobParameterDefinition], issues: list[Issue]
) -> JobParameterDefinition:
    last = definitions[-1]
    if len(definitions) == 1:
        return last
    conflicts = []
    types = list(dict.fromkeys(definition.type.value for definition in definitions))
    if len(types) > 1:
        issues.append(Issue(f"templates define it as {' and as '.join(types)}", (name,), "job.merge"))
        return last
    # Without one, it is of a directory.
    objects = {definition.objectType or "DIRECTORY" for definition in definitions}
    flows = {definition.dataFlow for definition in definitions if definition.dataFlow is not None}
    for key, found in (("objectType", objects), ("dataFlow", flows)):
        if last.type is ParameterValueType.PATH and len(found) > 1:
            conflicts.append(f"templates differ about {key}: {', '.join(sorted(found))}")
    fields: dict[str, Any] = {
        "default": next((d.default for d in reversed(definitions) if d.default is not None), None),
        "objectType": next((d.objectType for d in definitions if d.objectType is not None), None),
        "dataFlow": next(iter(flows), None),
    }
    for low, high in (("minLength", "maxLength"), ("minValue", "maxValue")):
        fields[low] = max((v for d in definitions if (v := getattr(d, low)) is not None), default=None)
        fields[high] = min((v for d in definitions if (v := getattr(d, high)) is not None), default=None)
        if fields[low] is not None and fields[high] is not None and fields[low] > fields[high]:
            conflicts.append(f"together, {low} ({fields[low]}) is more than {high} ({fields[high]})")
    lists = [d.allowedValues for d in definitions if d.allowedValues is not None]
    if lists:
        common = tuple(value for value in lists[-1] if all(value in other for other in lists))
        fields["allowedValues"] = tuple(
            value for value in common if not any(problems({**fields, "allowedValues": None}, value))
        )
        if not fields["allowedValues"]:
            conflicts.append("no allowed value is allowed by all templates")
    if not conflicts and fields["default"] is not None:
        conflicts += [f"the default: {problem}" for problem in problems(fields, fields["default"])]
    issues += [Issue(conflict, (name,), "job.merge") for conflict in conflicts]
    return last._replace(**fields)


def preprocess_job_parameters(
    *,
    job_template: JobTemplate,
    job_parameter_values: Mapping[str, object],
    job_template_dir: FilePath,
    current_working_dir: FilePath,
    allow_job_template_dir_walk_up: bool = False,
    environment_templates: Sequence[EnvironmentTemplate] | None = None,
) -> JobParameterValues:
    """Return a value for every parameter: what was given, else its default.

    A path that was given is relative to ``current_working_dir``; a default one to ``job_template_dir``, which
    it may leave, or be absolute, only with ``allow_job_template_dir_walk_up``. A directory that is not absolute
    leaves paths as they are. Constraints are about values as they were written.

    Raises ParameterError with all that is wrong.
    """
    if job_template.foreign is not None:
        return _foreign_values(
            job_template,
            environment_templates,
            job_parameter_values=dict(job_parameter_values),
            job_template_dir=job_template_dir,
            current_working_dir=current_working_dir,
            allow_job_template_dir_walk_up=allow_job_template_dir_walk_up,
        )
    definitions = merge_job_parameter_definitions(
        job_template=job_template, environment_templates=environment_templates
    )
    issues = _unknown(definitions, job_parameter_values)
    values: JobParameterValues = {}
    if not allow_job_template_dir_walk_up and not job_template_dir.is_absolute():
        raise ParameterError(
            [Issue(f"the directory of the template has to be absolute: {job_template_dir}", (), "job.path")]
        )
    for definition in definitions:
        value = _value(definition, job_parameter_values, issues)
        if value is None:
            continue
        if definition.type is ParameterValueType.PATH and value:
            if definition.name in job_parameter_values:
                value = str(current_working_dir / value) if current_working_dir.is_absolute() else value
            else:
                value, problem = _default_path(value, job_template_dir, allow_job_template_dir_walk_up)
                if problem:
                    issues.append(Issue(f"the default {problem}", (definition.name,), "job.path"))
        values[definition.name] = ParameterValue(definition.type, value)
    if issues:
        raise ParameterError(issues)
    return values


def _unknown(definitions: list[JobParameterDefinition], given: Mapping[str, object]) -> list[Issue]:
    known = [definition.name for definition in definitions]
    issues = []
    for name in given:
        if name not in known:
            hint = near(str(name), known) or f"there are: {', '.join(known) or 'none'}"
            issues.append(Issue("there is no such parameter", (str(name),), "job.parameter", hint))
    return issues


def _value(
    definition: JobParameterDefinition, given: Mapping[str, object], issues: list[Issue]
) -> str | None:
    """Return the value of a parameter as a string, as it was written; None, and an issue, if it has none."""
    place = (definition.name,)
    if definition.name not in given:
        if definition.default is None:
            hint = f"give one: -p {definition.name}=…"
            issues.append(Issue("it needs a value, having no default", place, "job.parameter-missing", hint))
            return None
        return str(definition.default)
    raw = given[definition.name]
    value, problem = convert(definition, raw)
    found = [problem] if problem else list(problems(definition._asdict(), value)) if value is not None else []
    issues += [Issue(text, place, "job.parameter") for text in found]
    return None if found else str(raw)


def _default_path(value: str, directory: FilePath, walk_up: bool) -> tuple[str, str | None]:
    """Return the path of a default and what is wrong with it."""
    if os.path.isabs(value):
        return value, None if walk_up else f"is an absolute path: {value}"
    if not directory.is_absolute():
        return value, None
    path = os.path.normpath(directory / value)
    inside = FilePath(path).is_relative_to(os.path.normpath(directory))
    return path, None if walk_up or inside else f"leaves the directory of the template: {value}"


def _foreign_values(
    job_template: JobTemplate,
    environment_templates: Sequence[EnvironmentTemplate] | None,
    **arguments: Any,
) -> JobParameterValues:
    from osbuild_core.exports.jobs.extensions import foreign_environments, openjd_model

    try:
        values: JobParameterValues = openjd_model().preprocess_job_parameters(
            job_template=job_template.foreign,
            environment_templates=foreign_environments(environment_templates),
            **arguments,
        )
    except ValueError as error:
        issues = [
            Issue(line.strip(), (), "job.parameter") for line in str(error).splitlines() if line.strip()
        ]
        raise ParameterError(issues) from None
    return values
