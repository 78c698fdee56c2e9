"""Extensions of the specification: those that are ours, and those that openjd-model is asked for.

EXPR is a language with a library of its own, and WRAP_ACTIONS needs it. A template that uses one of them is
decoded and made into a job by openjd-model, where that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.jobs.errors import DecodeValidationError, near
from osbuild_core.exports.jobs.job import Job
from osbuild_core.exports.jobs.shape import Reader
from osbuild_core.model.errors import Issue, Path

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.template import EnvironmentTemplate, JobTemplate

SUPPORTED = ("TASK_CHUNKING", "REDACTED_ENV_VARS", "FEATURE_BUNDLE_1")
"""What is done here."""

HANDED_OVER = ("EXPR", "WRAP_ACTIONS")
"""What openjd-model does."""

ALL = (*SUPPORTED, *HANDED_OVER)
PACKAGE = "openjd-model"
_PART = re.compile(r"([^\[\]]*)((?:\[\d+\])*)")


def openjd_model() -> Any:
    """Return the module ``openjd.model``; None where it is not installed."""
    import importlib

    try:
        return importlib.import_module("openjd.model")
    except ImportError:
        return None


def read_extensions(reader: Reader, raw: Mapping[str, Any], accepted: Iterable[str] | None) -> bool:
    """Let ``reader`` know which extensions a document declares; return whether it is to be handed over.

    Notes those that do not exist, that are not among the ``accepted`` (None: all), or whose work would be
    openjd-model's where that is not there.
    """
    allowed = set(ALL if accepted is None else accepted)
    declared = raw.get("extensions")
    names = declared if isinstance(declared, list) else []
    seen: set[str] = set()
    handed_over = False
    for index, name in enumerate(names):
        place: Path = ("extensions", index)
        if not isinstance(name, str):
            continue
        if name in seen:
            reader.add(place, f"{name} is there already", code="job.duplicate")
        elif name not in ALL:
            hint = near(name, ALL) or f"there are: {', '.join(ALL)}"
            reader.add(place, f"there is no extension {name!r}", code="job.extension", hint=hint)
        elif name not in allowed:
            hint = f"accepted are: {', '.join(sorted(allowed)) or 'none'}"
            reader.add(place, f"the extension {name} is not accepted here", code="job.extension", hint=hint)
        elif name in HANDED_OVER:
            if openjd_model() is None:
                message = f"the extension {name} needs {PACKAGE}, which is not installed"
                reader.add(place, message, code="job.extension", hint=f"pip install {PACKAGE}")
            else:
                handed_over = True
        seen.add(name)
    reader.extensions = frozenset(seen & allowed)
    return handed_over


def decode_foreign(template: dict[str, Any], accepted: Iterable[str] | None, environment: bool) -> Any:
    """Return ``template`` as openjd-model has it. Raises DecodeValidationError with what that says."""
    model = openjd_model()
    decode = model.decode_environment_template if environment else model.decode_job_template
    names = list(ALL if accepted is None else accepted)
    try:
        return decode(template=template, supported_extensions=names)
    except model.DecodeValidationError as error:
        raise DecodeValidationError(foreign_issues(str(error))) from None


def foreign_issues(text: str) -> list[Issue]:
    """Return what openjd-model reports, a line with a place before each indented message, as issues."""
    issues = []
    path: Path = ()
    for line in text.splitlines():
        if line.startswith(("\t", " ")):
            issues.append(Issue(line.strip(), path))
        elif line.endswith(":"):
            path = _path(line.removesuffix(":"))
    return issues or [Issue(" ".join(text.split()))]


def _path(text: str) -> Path:
    """Return ``steps[0] -> script`` as a path."""
    path: list[str | int] = []
    for part in text.split(" -> "):
        match = _PART.fullmatch(part)
        if match is None:
            path.append(part)
            continue
        if match[1]:
            path.append(match[1])
        path += [int(index) for index in re.findall(r"\d+", match[2])]
    return tuple(path)


def foreign_environments(templates: Sequence[EnvironmentTemplate] | None) -> list[Any] | None:
    """Return environment templates as openjd-model has them, for a job template that it was given.

    Raises DecodeValidationError for one that only we have: their parameters cannot be merged.
    """
    if not templates:
        return None
    for template in templates:
        if template.foreign is None:
            name = template.environment.name if template.environment is not None else ""
            message = f"the environment {name!r} does not declare the extensions that the job has"
            raise DecodeValidationError([Issue(message, (), "job.extension")])
    return [template.foreign for template in templates]


def create_foreign(
    template: JobTemplate,
    values: Mapping[str, Any],
    environments: Sequence[EnvironmentTemplate] | None,
) -> Job:
    """Return the job that openjd-model makes of a template. Raises DecodeValidationError."""
    model = openjd_model()
    try:
        made = model.create_job(
            job_template=template.foreign,
            job_parameter_values=dict(values),
            environment_templates=foreign_environments(environments),
        )
    except model.DecodeValidationError as error:
        raise DecodeValidationError(foreign_issues(str(error))) from None
    return Job(str(made.name), (), made.description, extensions=template.extensions, foreign=made)


def refuse_foreign(job: Job) -> None:
    """Raise DecodeValidationError for a job whose extensions take openjd's own sessions to run."""
    if job.foreign is None:
        return
    issues = [
        Issue(
            f"templates with the extension {name} can be checked here, and not run",
            ("extensions", index),
            "job.extension",
            "openjd run does that",
        )
        for index, name in enumerate(job.extensions)
        if name in HANDED_OVER
    ]
    raise DecodeValidationError(issues)
