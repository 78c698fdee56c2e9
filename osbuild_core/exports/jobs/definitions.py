"""Definitions of job parameters: section 2 of the specification."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from osbuild_core.exports.jobs.errors import kind
from osbuild_core.exports.jobs.job import ParameterValueType
from osbuild_core.exports.jobs.records import Field, ListOf, Record, Tagged, needed, record
from osbuild_core.exports.jobs.shape import (
    CONTROL,
    CONTROL_BUT_TEXT,
    IDENTIFIER,
    Choice,
    Number,
    Reader,
    Shape,
    Text,
    Whole,
    decimal,
    integer,
)
from osbuild_core.model.errors import Path

if TYPE_CHECKING:
    from decimal import Decimal

Value: TypeAlias = "str | int | Decimal"
"""A default or an allowed value: what the type of the parameter says."""


class FileFilter(NamedTuple):
    """One kind of files that a dialog offers."""

    label: str
    patterns: tuple[str, ...]


class UserInterface(NamedTuple):
    """How a form shows a parameter. Nothing here restricts its value."""

    control: str | None = None
    label: str | None = None
    groupLabel: str | None = None
    fileFilters: tuple[FileFilter, ...] = ()
    fileFilterDefault: FileFilter | None = None
    singleStepDelta: int | Decimal | None = None
    decimals: int | None = None


class JobParameterDefinition(NamedTuple):
    """A parameter of a job, of any type; what its type does not have is None.

    ``minLength`` and ``maxLength`` are of STRING and PATH, in characters; ``minValue`` and ``maxValue`` of INT
    and FLOAT; ``objectType`` (FILE, DIRECTORY) and ``dataFlow`` (NONE, IN, OUT, INOUT) of PATH.
    """

    name: str
    type: ParameterValueType
    description: str | None = None
    default: Value | None = None
    allowedValues: tuple[Value, ...] | None = None
    minLength: int | None = None
    maxLength: int | None = None
    minValue: int | Decimal | None = None
    maxValue: int | Decimal | None = None
    objectType: str | None = None
    dataFlow: str | None = None
    userInterface: UserInterface | None = None


LONGEST_VALUE = 1024
INTEGERS = (-(2**63), 2**63 - 1)
"""The integers that a parameter can have: those of 64 bits, as in every language that jobs are written in."""

NAME = Text(
    most=(64, 512), form=IDENTIFIER, form_text="a name of letters, digits and _, not beginning with a digit"
)
DESCRIPTION = Text(most=2048, forbidden=CONTROL_BUT_TEXT)
_LABEL = Text(most=64, forbidden=CONTROL)
_EXTENSION = "[^\x00-\x1f\x7f-\x9f" + re.escape("\\/*?[]#%&{}<>$!'\":@`|=") + "]+"
_PATTERN = Text(
    most=20, form=re.compile(rf"\*|\*\.\*|\*\.{_EXTENSION}"), form_text="a pattern like '*', '*.*' or '*.png'"
)
_FILTER = record(FileFilter, label=needed(_LABEL), patterns=needed(ListOf(_PATTERN, most=20)))
_VALUE = Text(most=LONGEST_VALUE, least=0)
_CHECK_BOX = ({"true", "false"}, {"yes", "no"}, {"on", "off"}, {"1", "0"})


def _interface(*controls: str, **more: Shape) -> Record:
    return record(UserInterface, control=Choice(controls), label=_LABEL, groupLabel=_LABEL, **more)


def _definition(kind: ParameterValueType, value: Shape, interface: Record, **more: Shape) -> Record:
    def make(type: str, **fields: Any) -> JobParameterDefinition:
        return JobParameterDefinition(type=kind, **fields)

    return record(
        make,
        name=needed(NAME),
        type=needed(Choice((kind.value,))),
        description=DESCRIPTION,
        default=value,
        allowedValues=Field(ListOf(value), null=False),
        userInterface=interface,
        **more,
    )._replace(check=_check)


_LENGTHS: dict[str, Shape] = {"minLength": Whole(low=0, strict=True), "maxLength": Whole(low=1, strict=True)}
_INT = Whole(*INTEGERS, floats=False)
_STRING_DEFINITION_CONTROLS = ("LINE_EDIT", "MULTILINE_EDIT", "DROPDOWN_LIST", "CHECK_BOX", "HIDDEN")
_PATH_CONTROLS = ("CHOOSE_INPUT_FILE", "CHOOSE_OUTPUT_FILE", "CHOOSE_DIRECTORY", "DROPDOWN_LIST", "HIDDEN")
_NUMBER_CONTROLS = ("SPIN_BOX", "DROPDOWN_LIST", "HIDDEN")
_OF_EXPR = "BOOL RANGE_EXPR LIST[STRING] LIST[PATH] LIST[INT] LIST[FLOAT] LIST[BOOL] LIST[LIST[INT]]".split()


def _check(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    """Note what the constraints, the default and the controls of a definition have against each other."""
    bounds_wrong = False
    for low, high in (("minLength", "maxLength"), ("minValue", "maxValue")):
        if good.get(low) is not None and good.get(high) is not None and good[low] > good[high]:
            reader.add((*path, high), f"it is {good[high]}, less than {low} ({good[low]})", code="job.bounds")
            bounds_wrong = True
    if not bounds_wrong:
        allowed = good.get("allowedValues") or ()
        for index, value in enumerate(allowed):
            if value is not None:
                for problem in problems({**good, "allowedValues": None}, value):
                    reader.add((*path, "allowedValues", index), problem, code="job.bounds")
        if good.get("default") is not None:
            # Of values one of which is wrong it cannot be said what they are together.
            rest = {**good, "allowedValues": None} if None in allowed else good
            for problem in problems(rest, good["default"]):
                reader.add((*path, "default"), problem, code="job.bounds")
    if good.get("userInterface") is not None:
        _check_interface(reader, (*path, "userInterface"), raw, good)


def problems(definition: Mapping[str, Any], value: Value) -> Iterator[str]:
    """Yield why ``value``, of the parameter's type, is not within its ``definition`` (its fields by name)."""
    allowed = definition.get("allowedValues")
    if allowed and value not in allowed:
        yield f"{_shown(value)} is not one of {', '.join(_shown(other) for other in allowed[:20])}"
    if isinstance(value, str):
        least, most, size = definition.get("minLength"), definition.get("maxLength"), len(value)
        if least is not None and size < least:
            yield f"it has {size} characters, less than minLength ({least})"
        if most is not None and size > most:
            yield f"it has {size} characters, more than maxLength ({most})"
        return
    low, high = definition.get("minValue"), definition.get("maxValue")
    if low is not None and value < low:
        yield f"{value} is less than minValue ({low})"
    if high is not None and value > high:
        yield f"{value} is more than maxValue ({high})"


def _shown(value: Value) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _check_interface(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    interface: UserInterface = good["userInterface"]
    control, allowed = interface.control, good.get("allowedValues")

    def wrong(message: str, key: str = "control") -> None:
        reader.add((*path, key), message, code="job.interface")

    # A control that is not given is one that goes with the rest.
    effective = control or ("DROPDOWN_LIST" if raw.get("allowedValues") is not None else "SPIN_BOX")
    if interface.decimals is not None and effective != "SPIN_BOX":
        wrong("it goes with the control SPIN_BOX only", "decimals")
    if control is None:
        return
    if raw.get("allowedValues") is not None and control not in ("DROPDOWN_LIST", "CHECK_BOX", "HIDDEN"):
        wrong(f"{control} cannot be used with allowedValues")
    if raw.get("allowedValues") is None and control == "DROPDOWN_LIST":
        wrong("DROPDOWN_LIST needs allowedValues")
    if control == "CHECK_BOX" and None not in (allowed or ()):
        words = {str(value).lower() for value in allowed or ()}
        if len(allowed or ()) < 2 or words not in _CHECK_BOX:
            wrong("CHECK_BOX needs allowedValues to be a pair of true/false, yes/no, on/off or 1/0")
    if interface.singleStepDelta is not None and control != "SPIN_BOX":
        wrong("it goes with the control SPIN_BOX only", "singleStepDelta")
    chooses_file = control in ("CHOOSE_INPUT_FILE", "CHOOSE_OUTPUT_FILE")
    for key in ("fileFilters", "fileFilterDefault"):
        if getattr(interface, key) and not chooses_file:
            wrong("it goes with the controls CHOOSE_INPUT_FILE and CHOOSE_OUTPUT_FILE only", key)
    if (good.get("objectType"), control) == ("FILE", "CHOOSE_DIRECTORY"):
        wrong("CHOOSE_DIRECTORY cannot be used with objectType FILE")
    if good.get("objectType") == "DIRECTORY" and chooses_file:
        wrong(f"{control} cannot be used with objectType DIRECTORY")


DEFINITION = Tagged(
    "type",
    {
        "STRING": _definition(
            ParameterValueType.STRING, _VALUE, _interface(*_STRING_DEFINITION_CONTROLS), **_LENGTHS
        ),
        "PATH": _definition(
            ParameterValueType.PATH,
            _VALUE,
            _interface(*_PATH_CONTROLS, fileFilters=ListOf(_FILTER, most=20), fileFilterDefault=_FILTER),
            objectType=Choice(("FILE", "DIRECTORY")),
            dataFlow=Choice(("NONE", "IN", "OUT", "INOUT")),
            **_LENGTHS,
        ),
        "INT": _definition(
            ParameterValueType.INT,
            _INT,
            _interface(*_NUMBER_CONTROLS, singleStepDelta=Whole(low=1)),
            minValue=_INT,
            maxValue=_INT,
        ),
        "FLOAT": _definition(
            ParameterValueType.FLOAT,
            Number(),
            _interface(*_NUMBER_CONTROLS, decimals=Whole(low=1), singleStepDelta=Number(low=0, above=True)),
            minValue=Number(),
            maxValue=Number(),
        ),
    },
    dict.fromkeys(_OF_EXPR, "EXPR"),
)
"""A job parameter, of any type."""


def definitions(most: int | tuple[int, int]) -> ListOf:
    """Return the shape of a list of up to ``most`` definitions."""
    return ListOf(DEFINITION, most=most, unique="name")


def symbols(raw: object) -> tuple[frozenset[str], frozenset[str]]:
    """Return what the parameters of a template are called in format strings: when it is submitted, when it runs.

    From the document as it is, so that a definition with a mistake does not make every use of it another one.
    """
    submit: set[str] = set()
    run: set[str] = set()
    for item in raw if isinstance(raw, list) else ():
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str):
            submit.add(f"RawParam.{name}")
            (run if item.get("type") == "PATH" else submit).add(f"Param.{name}")
    return frozenset(submit), frozenset(run)


def convert(definition: JobParameterDefinition, given: object) -> tuple[Value | None, str | None]:
    """Return the value of a parameter for what somebody gave, or what is wrong with it.

    Numbers may come as strings, as they do from a command line, and strings as numbers, as in a file of values.
    """
    if definition.type is ParameterValueType.INT:
        number = integer(given) if isinstance(given, str) else given
        if not isinstance(number, int) or isinstance(number, bool):
            return None, f"it has to be a whole number, not {_given(given)}"
        if not INTEGERS[0] <= number <= INTEGERS[1]:
            return None, "it does not fit into 64 bits"
        return number, None
    if definition.type is ParameterValueType.FLOAT:
        value = decimal(given)
        return (value, None) if value is not None else (None, f"it has to be a number, not {_given(given)}")
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return None, f"it has to be a string, not {_given(given)}"
    return str(given), None


def _given(given: object) -> str:
    return repr(given)[:80] if isinstance(given, (str, int, float)) else kind(given)
