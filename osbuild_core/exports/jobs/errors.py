"""What is wrong with a template, a format string or a set of parameter values.

The names that openjd-model has for these are kept (``DecodeValidationError``, ``FormatStringError``,
``ExpressionError``), and so is their being ValueErrors, since callers catch them as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from osbuild_core.model.errors import Issue, ManifestError, place_text


class DecodeValidationError(ManifestError, ValueError):
    """A template, or values for its parameters, were refused; ``issues`` has every reason, with its place.

    A manifest's error in form, so that faces show one as they show the other.
    """

    code = "job.template"

    def __str__(self) -> str:
        return "\n".join(issue_text(issue) for issue in self.issues)


class ParameterError(DecodeValidationError):
    """Values given for the parameters of a job do not fit their definitions."""

    code = "job.parameter"


class CompatibilityError(ParameterError):
    """Templates that are used together define a parameter in ways that do not go together."""

    code = "job.merge"


class ExpressionError(ValueError):
    """A range or combination expression, or what stands between the braces of a format string, is malformed."""


class FormatStringError(ValueError):
    """A format string is malformed, or names what has no value."""


def issue_text(issue: Issue) -> str:
    """Return ``issue`` in one line: its place, what is wrong and, in parentheses, what to do."""
    where = f"{place_text(issue.path)}: " if issue.path else ""
    return where + issue.message + (f" ({issue.hint})" if issue.hint else "")


def near(word: str, known: Iterable[str]) -> str | None:
    """Return a hint with the name in ``known`` that ``word`` was probably meant to be."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None


def kind(value: Any) -> str:
    """Return what ``value`` is, as people who write YAML call it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a {type(value).__name__}"
