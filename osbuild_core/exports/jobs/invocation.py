"""From an action of a template to the command that is started: values put in, path, timeout, how it is cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from osbuild_core.exports.jobs.errors import FormatStringError
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import (
    Action,
    CancelationMethod,
    CancelationMethodTerminate,
    JobParameterValues,
    ParameterValueType,
    TaskParameterSet,
)

TASK_NOTICE = 120
"""Seconds between notice and end of a task's command, where the template does not say."""

ENVIRONMENT_NOTICE = 30
EXIT_TIMEOUT = 300
"""Seconds that leaving an environment may take, where the template does not say."""

LONGEST_NOTICE = 600
_MODES = ("TERMINATE", "NOTIFY_THEN_TERMINATE")


class Invocation(NamedTuple):
    """What to run: ``timeout`` in seconds, ``notice`` the seconds between notice and end, 0 for an end at once."""

    argv: tuple[str, ...]
    timeout: float | None
    notice: float


def invocation(
    action: Action, symbols: Mapping[str, str], *, notice: int, timeout: float | None = None
) -> Invocation:
    """Return what ``action`` runs with these values. ``notice`` and ``timeout`` are those that it has by default.

    Raises FormatStringError for what has no value, or one that it cannot have.
    """
    # Of openjd-model, what is not there is None.
    argv = [resolved(action.command, symbols), *(resolved(word, symbols) for word in action.args or ())]
    if not argv[0]:
        raise FormatStringError(f"command: {action.command!r} comes to nothing")
    if any("\0" in word for word in argv):
        raise FormatStringError("a null character cannot be passed to a command")
    if action.timeout is not None:
        timeout = _seconds(action.timeout, symbols, "timeout", None)
    return Invocation(tuple(argv), timeout, _notice(action.cancelation, symbols, notice))


def resolved(value: str, symbols: Mapping[str, str]) -> str:
    """Return ``value`` with its references resolved, if it has any. Raises FormatStringError."""
    return value.resolve(symbols) if isinstance(value, FormatString) else str(value)


def _notice(method: CancelationMethod | None, symbols: Mapping[str, str], default: int) -> float:
    if method is None or isinstance(method, CancelationMethodTerminate):
        return 0.0
    mode = resolved(method.mode, symbols)
    if mode not in _MODES:
        raise FormatStringError(f"cancelation.mode: {mode!r} is not one of {', '.join(_MODES)}")
    if mode == "TERMINATE":
        return 0.0
    period = method.notifyPeriodInSeconds
    if period is None:
        return float(default)
    return _seconds(period, symbols, "notifyPeriodInSeconds", LONGEST_NOTICE)


def _seconds(value: int | str, symbols: Mapping[str, str], name: str, most: int | None) -> float:
    text = str(value) if isinstance(value, int) else resolved(value, symbols).strip()
    # More digits would be millions of years, and more than a clock can have.
    number = int(text.lstrip("0")[:16] or 0) if text.isascii() and text.isdigit() else 0
    if number < 1 or (most is not None and number > most):
        limit = f"from 1 to {most}" if most is not None else "of 1 or more"
        raise FormatStringError(f"{name}: {text!r} is not a number {limit}")
    return float(number)


def task_symbols(values: TaskParameterSet, mapped: Mapping[str, str]) -> dict[str, str]:
    """Return what a task's parameters are called in format strings; ``mapped`` are its paths as they are here."""
    symbols = {}
    for name, parameter in values.items():
        symbols[f"Task.RawParam.{name}"] = parameter.value
        symbols[f"Task.Param.{name}"] = mapped.get(name, parameter.value)
    return symbols


def job_symbols(values: JobParameterValues, mapped: Mapping[str, str]) -> dict[str, str]:
    """Return what a job's parameters are called; see :func:`task_symbols`."""
    symbols = {}
    for name, parameter in values.items():
        symbols[f"RawParam.{name}"] = str(parameter.value)
        symbols[f"Param.{name}"] = mapped.get(name, str(parameter.value))
    return symbols


def is_path(kind: object) -> bool:
    """Tell whether values of this type are paths."""
    return getattr(kind, "value", kind) == ParameterValueType.PATH.value
