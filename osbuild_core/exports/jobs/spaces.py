"""Parameter spaces of steps as templates define them: section 3.4 of the specification."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from osbuild_core.exports.jobs import combination
from osbuild_core.exports.jobs.definitions import NAME
from osbuild_core.exports.jobs.errors import ExpressionError, near
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import ParameterValueType
from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr
from osbuild_core.exports.jobs.records import Field, ListOf, Record, Tagged, needed, record
from osbuild_core.exports.jobs.shape import Choice, Number, Reader, Scope, Shape, Text, Whole
from osbuild_core.model.errors import Path

if TYPE_CHECKING:
    from decimal import Decimal

LONGEST_RANGE = 1024
"""Values that a list may have. A range expression may have any number."""

LONGEST_VALUE = 1024
"""Characters of a value, when its references are resolved."""

Element: TypeAlias = "int | str | Decimal | FormatString"


class TaskChunks(NamedTuple):
    """How chunks are made, as a template says it (TASK_CHUNKING)."""

    defaultTaskCount: int | FormatString
    rangeConstraint: str
    targetRuntimeSeconds: int | FormatString | None = None


class TaskParameterDefinition(NamedTuple):
    """A task parameter; its range is a list of values, or a string that is or becomes a range expression."""

    name: str
    type: ParameterValueType
    range: tuple[Element, ...] | FormatString
    chunks: TaskChunks | None = None


class StepParameterSpaceDefinition(NamedTuple):
    """The task parameters of a step and how they are combined."""

    taskParameterDefinitions: tuple[TaskParameterDefinition, ...]
    combination: str | None = None


class NumberText(NamedTuple):
    """A number that keeps the form it was written in, or a format string."""

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        number = Number(formats=True).read(value, path, reader, scope)
        if number is None or isinstance(number, FormatString):
            return number
        return number_text(str(value))


def number_text(text: str) -> str:
    """Return the number in ``text`` without what means nothing: white space, leading zeros, the sign of zero."""
    text = text.strip()
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    digits = re.sub("^0+(?=[0-9])", "", digits)
    return digits if re.fullmatch("[0.]+(?:[eE].*)?", digits) else sign + digits


class RangeOf(NamedTuple):
    """A list of ``item``, or with ``expression`` a range expression."""

    item: Shape
    expression: bool = False

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, str):
            if not isinstance(value, list) and self.expression:
                reader.add(path, "it has to be a list or a range like 1-10", code="job.type")
                return None
            return ListOf(self.item, most=LONGEST_RANGE).read(value, path, reader, scope)
        if not self.expression:
            reader.allows("EXPR", path, "a string as a range that is not of integers")
            return None
        text = Text(formats=True).read(value, path, reader, scope)
        if text is not None and not text.references:
            try:
                IntRangeExpr.from_str(text)
            except ExpressionError as error:
                reader.add(path, str(error), code="job.range")
        return text


def _definition(kind: ParameterValueType, item: Shape, **more: Field | Shape) -> Record:
    expression = kind in (ParameterValueType.INT, ParameterValueType.CHUNK_INT)

    def make(type: str, **fields: Any) -> TaskParameterDefinition:
        return TaskParameterDefinition(type=kind, **fields)

    return record(
        make,
        name=needed(NAME),
        type=needed(Choice((kind.value,))),
        range=needed(RangeOf(item, expression)),
        **more,
    )


_CHUNKS = record(
    TaskChunks,
    defaultTaskCount=needed(Whole(low=1, formats=True)),
    targetRuntimeSeconds=Whole(low=0, formats=True),
    rangeConstraint=needed(Choice(("CONTIGUOUS", "NONCONTIGUOUS"))),
)
_INTEGER = Whole(formats=True)
PARAMETER = Tagged(
    "type",
    {
        "INT": _definition(ParameterValueType.INT, _INTEGER),
        "FLOAT": _definition(ParameterValueType.FLOAT, NumberText()),
        "STRING": _definition(
            ParameterValueType.STRING, Text(most=LONGEST_VALUE, least=0, formats=True, resolved=True)
        ),
        "PATH": _definition(ParameterValueType.PATH, Text(most=LONGEST_VALUE, formats=True, resolved=True)),
        "CHUNK[INT]": _definition(ParameterValueType.CHUNK_INT, _INTEGER, chunks=needed(_CHUNKS)),
    },
    {"CHUNK[INT]": "TASK_CHUNKING"},
)
COMBINATION = Text(
    most=1280, form=re.compile(r"[A-Za-z0-9_*(), ]+"), form_text="made of names, spaces and * ( ) , only"
)


def _check(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    """Note more than one chunked parameter, and what is wrong with the combination."""
    parameters = list(_named(raw.get("taskParameterDefinitions")))
    chunked = [name for name, item in parameters if item.get("type") == "CHUNK[INT]"]
    if len(chunked) > 1:
        message = f"only one parameter may be a CHUNK[INT]: {', '.join(chunked)}"
        reader.add((*path, "taskParameterDefinitions"), message)
    if good.get("combination") is None or not parameters:
        return
    place = (*path, "combination")
    try:
        node = combination.parse(good["combination"])
    except ExpressionError as error:
        reader.add(place, str(error), code="job.combination")
        return
    before = len(reader.issues)
    for problem, hint in combination_problems(node, [name for name, _ in parameters], set(chunked)):
        reader.add(place, problem, code="job.combination", hint=hint)
    if len(reader.issues) > before:
        return
    lengths = {}
    for parameter in good.get("taskParameterDefinitions") or ():
        size = None if parameter is None else range_length(parameter.range)
        if size is None:
            return
        lengths[parameter.name] = size
    if len(lengths) != len(parameters):
        return
    try:
        combination.length(node, lengths)
    except ExpressionError as error:
        reader.add(place, str(error), code="job.combination")


def combination_problems(
    node: combination.Node, known: list[str], chunked: set[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield what is wrong with the names of a combination, each with a hint or None."""
    used = list(combination.names(node))
    for name in dict.fromkeys(used):
        if name not in known:
            yield f"there is no parameter {name!r}", near(name, known)
        elif used.count(name) > 1:
            yield f"{name!r} occurs {used.count(name)} times, each parameter has to occur once", None
    for name in known:
        if name not in used:
            yield f"{name!r} is missing, each parameter has to occur once", None
    for association in combination.associations(node):
        for name in chunked.intersection(combination.names(association)):
            yield f"{name!r} is a CHUNK[INT] and cannot be inside of parentheses", None


def range_length(values: tuple[Element, ...] | FormatString) -> int | None:
    """Return how many values a range has; None where that is not known before its references are resolved."""
    if not isinstance(values, str):
        return len(values)
    if values.references:
        return None
    try:
        return len(IntRangeExpr.from_str(values))
    except ExpressionError:
        return None


def _named(raw: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield item["name"], item


def symbols(raw: object) -> frozenset[str]:
    """Return what the task parameters of a step are called in format strings, from the document as it is."""
    found = raw.get("taskParameterDefinitions") if isinstance(raw, dict) else None
    return frozenset(f"Task.{kind}.{name}" for name, _ in _named(found) for kind in ("Param", "RawParam"))


SPACE = record(
    StepParameterSpaceDefinition,
    taskParameterDefinitions=needed(ListOf(PARAMETER, most=16, unique="name")),
    combination=COMBINATION,
)._replace(check=_check)
