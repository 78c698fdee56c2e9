"""What a step needs of a host: section 3.3 of the specification."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.exports.jobs.records import ListOf, needed, record
from osbuild_core.exports.jobs.shape import BUNDLE, Number, Reader, Text
from osbuild_core.model.errors import Path

if TYPE_CHECKING:
    from decimal import Decimal

    from osbuild_core.exports.jobs.formatstring import FormatString

AMOUNTS = tuple(f"amount.worker.{what}" for what in ("vcpu", "memory", "gpu", "gpu.memory", "disk.scratch"))
ATTRIBUTES = {
    "attr.worker.os.family": ("linux", "windows", "macos"),
    "attr.worker.cpu.arch": ("x86_64", "arm64"),
}
"""The attributes that the specification defines, with their values; a host has one of them at a time."""

MOST = 50
"""Requirements of a step, and values of an attribute."""

LONGEST_NAME = 100
_CAPABILITY = re.compile(r"(?:[a-z_][a-z0-9_]*:)?(amount|attr)\.([a-z_][a-z0-9_]*)(?:\.[a-z_][a-z0-9_]*)*")
_VALUE = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
_RESERVED = ("worker", "job", "step", "task")


class AmountRequirementTemplate(NamedTuple):
    """How much of something is needed; numbers may be format strings (FEATURE_BUNDLE_1)."""

    name: FormatString
    min: Decimal | FormatString | None = None
    max: Decimal | FormatString | None = None


class AttributeRequirementTemplate(NamedTuple):
    """What a host has to be."""

    name: FormatString
    anyOf: tuple[FormatString, ...] | None = None
    allOf: tuple[FormatString, ...] | None = None


class HostRequirementsTemplate(NamedTuple):
    """What a host needs for the tasks of a step."""

    amounts: tuple[AmountRequirementTemplate, ...] = ()
    attributes: tuple[AttributeRequirementTemplate, ...] = ()


def name_problem(name: str, kind: str) -> str | None:
    """Return what is wrong with the ``name`` of a capability of this ``kind``, amount or attr; None if nothing."""
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters, at most {LONGEST_NAME} are allowed"
    match = _CAPABILITY.fullmatch(name.lower())
    if match is None or match[1] != kind:
        return f"{name!r} is not a name like {kind}.worker.… or vendor:{kind}.…"
    if match[2] in _RESERVED and name.lower() not in (*AMOUNTS, *ATTRIBUTES):
        return f"names that begin with {kind}.{match[2]} are reserved, and {name!r} is none that there is"
    return None


def value_problems(name: str, values: tuple[str | None, ...]) -> Iterator[tuple[int, str]]:
    """Yield (index, problem) for the values of the attribute ``name``; None for one that is not known yet."""
    known = ATTRIBUTES.get(name.lower())
    for index, value in enumerate(values):
        if value is None:
            continue
        if known is not None:
            if value.lower() not in known:
                yield index, f"{value!r} is not one of {', '.join(known)}"
        elif len(value) > LONGEST_NAME:
            yield index, f"it has {len(value)} characters, at most {LONGEST_NAME} are allowed"
        elif not _VALUE.fullmatch(value):
            yield index, f"{value!r} is not a word of letters, digits, - and _ that begins with a letter or _"


def _known(text: FormatString) -> str | None:
    return None if text.references else text


def _check_amount(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    _check_name(reader, path, good, "amount")
    low, high = good.get("min"), good.get("max")
    if raw.get("min") is None and raw.get("max") is None:
        reader.add(path, "it needs min, max or both", code="job.missing")
    elif low is None or high is None or isinstance(low, str) or isinstance(high, str):
        return
    elif low > high:
        reader.add((*path, "max"), f"it is {high}, less than min ({low})", code="job.bounds")


def _check_attribute(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    _check_name(reader, path, good, "attr")
    if raw.get("anyOf") is None and raw.get("allOf") is None:
        reader.add(path, "it needs anyOf, allOf or both", code="job.missing")
    name = good.get("name")
    if name is None or name.references:
        return
    for key in ("anyOf", "allOf"):
        values = tuple(None if value is None else _known(value) for value in good.get(key) or ())
        for index, problem in value_problems(name, values):
            reader.add((*path, key, index), problem)
        if key == "allOf" and len(values) > 1 and name.lower() in ATTRIBUTES:
            reader.add((*path, key), f"a host has one value of {name} only", code="job.length")


def _check_name(reader: Reader, path: Path, good: dict[str, Any], kind: str) -> None:
    name = good.get("name")
    if name is not None and not name.references and (problem := name_problem(name, kind)):
        reader.add((*path, "name"), problem)


def _check_number(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    lists = [raw.get(key) for key in ("amounts", "attributes")]
    if all(value is None for value in lists):
        reader.add(path, "it needs amounts, attributes or both", code="job.missing")
    total = sum(len(value) for value in lists if isinstance(value, list))
    if total > MOST:
        reader.add(path, f"it has {total} requirements, at most {MOST} are allowed", code="job.length")


_NAME = Text(most=LONGEST_NAME, formats=True)
_VALUES = ListOf(Text(formats=True), most=MOST)
REQUIREMENTS = record(
    HostRequirementsTemplate,
    amounts=ListOf(
        record(
            AmountRequirementTemplate,
            name=needed(_NAME),
            min=Number(low=0, formats=True, extension=BUNDLE),
            max=Number(low=0, above=True, formats=True, extension=BUNDLE),
        )._replace(check=_check_amount),
        unique="name",
        folded=True,
    ),
    attributes=ListOf(
        record(AttributeRequirementTemplate, name=needed(_NAME), anyOf=_VALUES, allOf=_VALUES)._replace(
            check=_check_attribute
        ),
        unique="name",
        folded=True,
    ),
)._replace(check=_check_number)
