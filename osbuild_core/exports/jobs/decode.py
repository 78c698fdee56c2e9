"""From a document to a template, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osbuild_core.exports.jobs.errors import DecodeValidationError, kind, near
from osbuild_core.exports.jobs.extensions import decode_foreign, read_extensions
from osbuild_core.exports.jobs.records import Record
from osbuild_core.exports.jobs.shape import Reader, Scope
from osbuild_core.exports.jobs.template import (
    ENVIRONMENT_TEMPLATE,
    ENVIRONMENT_VERSION,
    JOB_TEMPLATE,
    JOB_VERSION,
    EnvironmentTemplate,
    JobTemplate,
)
from osbuild_core.model.errors import Issue

VERSIONS = (JOB_VERSION, ENVIRONMENT_VERSION)


def decode_job_template(
    *, template: dict[str, Any], supported_extensions: Iterable[str] | None = None
) -> JobTemplate:
    """Return the job template in a document.

    ``supported_extensions`` are those that the template may use; None is all that there are (where openjd-model
    takes it for none). Raises DecodeValidationError with every issue.
    """
    _version(template, (JOB_VERSION,))
    found, foreign = _read(JOB_TEMPLATE, template, supported_extensions, environment=False)
    if foreign is not None:
        names = tuple(template["extensions"])
        return JobTemplate(JOB_VERSION, str(foreign.name), (), names, foreign.description, foreign=foreign)
    assert isinstance(found, JobTemplate)
    return found


def decode_environment_template(
    *, template: dict[str, Any], supported_extensions: Iterable[str] | None = None
) -> EnvironmentTemplate:
    """Return the environment template in a document; else as :func:`decode_job_template`."""
    _version(template, (ENVIRONMENT_VERSION,))
    found, foreign = _read(ENVIRONMENT_TEMPLATE, template, supported_extensions, environment=True)
    if foreign is not None:
        return EnvironmentTemplate(ENVIRONMENT_VERSION, None, tuple(template["extensions"]), foreign=foreign)
    assert isinstance(found, EnvironmentTemplate)
    return found


def decode_any_template(
    *, template: dict[str, Any], supported_extensions: Iterable[str] | None = None
) -> JobTemplate | EnvironmentTemplate:
    """Return the job or environment template in a document, whichever its version says that it is."""
    if _version(template, VERSIONS) == JOB_VERSION:
        return decode_job_template(template=template, supported_extensions=supported_extensions)
    return decode_environment_template(template=template, supported_extensions=supported_extensions)


def _version(template: object, versions: tuple[str, ...]) -> str:
    """Return the version of a document, without which nothing else can be said about it."""
    known = ", ".join(versions)
    if not isinstance(template, dict):
        raise DecodeValidationError([Issue(f"it has to be a mapping, not {kind(template)}", (), "job.type")])
    if "specificationVersion" not in template:
        issue = Issue("specificationVersion is missing", (), "job.version", f"there are: {known}")
        raise DecodeValidationError([issue])
    version = template["specificationVersion"]
    if isinstance(version, str) and version in versions:
        return version
    shown = repr(version) if isinstance(version, (str, int, float)) else kind(version)
    message = f"{shown} is not one of {known}"
    if version in VERSIONS:
        message = f"this is the version of {'a job' if version == JOB_VERSION else 'an environment'} template"
    hint = near(version, versions) if isinstance(version, str) else None
    raise DecodeValidationError([Issue(message, ("specificationVersion",), "job.version", hint)])


def _read(
    shape: Record, template: dict[str, Any], accepted: Iterable[str] | None, *, environment: bool
) -> tuple[Any, Any]:
    """Return (what the document is, None), or (None, what openjd-model makes of it)."""
    reader = Reader()
    accepted = None if accepted is None else tuple(accepted)
    if read_extensions(reader, template, accepted) and not reader.issues:
        return None, decode_foreign(template, accepted, environment)
    if reader.extensions.isdisjoint(("EXPR", "WRAP_ACTIONS")):
        found = shape.read(template, (), reader, Scope())
    else:
        # It is refused already, and looks wrong to whoever does not know the extension.
        found = None
    if reader.issues:
        raise DecodeValidationError(reader.issues)
    return found, None
