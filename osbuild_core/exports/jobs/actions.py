"""Environments, scripts, actions and embedded files: sections 3.5, 4, 5, 6 and 8 of the specification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osbuild_core.exports.jobs.definitions import DESCRIPTION, NAME
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import (
    Action,
    CancelationMethodDeferred,
    CancelationMethodNotifyThenTerminate,
    CancelationMethodTerminate,
    EmbeddedFileText,
    Environment,
    EnvironmentActions,
    EnvironmentScript,
    StepActions,
    StepScript,
)
from osbuild_core.exports.jobs.records import Field, ListOf, MapOf, Record, needed, record
from osbuild_core.exports.jobs.shape import (
    BUNDLE,
    CONTROL,
    CONTROL_BUT_LINES,
    Choice,
    Flag,
    Reader,
    Scope,
    Shape,
    Text,
    Whole,
)
from osbuild_core.model.errors import Path

SESSION = frozenset(
    {"Session.WorkingDirectory", "Session.HasPathMappingRules", "Session.PathMappingRulesFile"}
)
"""What every script may refer to."""

INTERPRETERS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "python": ("python", (), ".py"),
    "bash": ("bash", (), ".sh"),
    "cmd": ("cmd", ("/C",), ".bat"),
    "powershell": ("powershell", ("-File",), ".ps1"),
    "node": ("node", (), ".js"),
}
"""The keys that stand for a script of one file: its command, what comes before the file, the file's suffix."""

_WRAPS = dict.fromkeys(("onWrapEnvEnter", "onWrapTaskRun", "onWrapEnvExit"), "WRAP_ACTIONS")
_LET = {"let": "EXPR"}
_PERIOD = Whole(1, 600, formats=True, extension=BUNDLE)
_TIMEOUT = Whole(low=1, formats=True, extension=BUNDLE)


class Cancelation:
    """The method of cancelation. ``mode`` says which, or is a format string that will."""

    variants: Mapping[str, Record] = {
        "TERMINATE": record(CancelationMethodTerminate, mode=needed(Choice(("TERMINATE",)))),
        "NOTIFY_THEN_TERMINATE": record(
            CancelationMethodNotifyThenTerminate,
            mode=needed(Choice(("NOTIFY_THEN_TERMINATE",))),
            notifyPeriodInSeconds=_PERIOD,
        ),
        "{{": record(
            CancelationMethodDeferred,
            mode=Field(Text(formats=True), True, BUNDLE),
            notifyPeriodInSeconds=_PERIOD,
        ),
    }
    _modes = Choice(("TERMINATE", "NOTIFY_THEN_TERMINATE"))

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        mode = value.get("mode") if isinstance(value, dict) else None
        if isinstance(mode, str) and "{{" in mode:
            return self.variants["{{"].read(value, path, reader, scope)
        if not isinstance(value, dict) or "mode" not in value:
            return self.variants["TERMINATE"].read(value, path, reader, scope)
        known = self._modes.read(mode, (*path, "mode"), reader, scope)
        return None if known is None else self.variants[known].read(value, path, reader, scope)


CANCELATION = Cancelation()
_COMMAND = Text(forbidden=CONTROL, formats=True, running=True)
_ARGUMENTS = ListOf(Text(least=0, forbidden=CONTROL_BUT_LINES, formats=True, running=True))
_DATA = Text(formats=True, running=True)

ACTION = record(
    Action, command=needed(_COMMAND), args=_ARGUMENTS, timeout=_TIMEOUT, cancelation=CANCELATION
)._replace(elsewhere=_LET)


def _file_name(name: str) -> str | None:
    if "/" in name or "\\" in name:
        return "it has to be the name of a file, without directories"
    return f"{name!r} is the name of a directory" if name in (".", "..") else None


FILE = record(
    EmbeddedFileText,
    name=needed(NAME),
    type=needed(Choice(("TEXT",))),
    filename=Text(most=(64, 256), forbidden=re.compile("\0"), check=_file_name),
    runnable=Flag(),
    data=needed(_DATA),
    endOfLine=Field(Choice(("AUTO", "LF", "CRLF")), extension=BUNDLE),
)


def _files(raw: dict[str, Any], prefix: str) -> frozenset[str]:
    """Return what the embedded files of a script are called, from the document as it is."""
    files = raw.get("embeddedFiles")
    names = (
        item.get("name") for item in (files if isinstance(files, list) else ()) if isinstance(item, dict)
    )
    return frozenset(f"{prefix}.{name}" for name in names if isinstance(name, str))


def _script(make: Any, actions: Shape, prefix: str) -> Record:
    def scopes(raw: dict[str, Any], scope: Scope) -> Mapping[str, Scope]:
        inside = scope.plus(_files(raw, prefix))
        return {"actions": inside, "embeddedFiles": inside}

    fields = {"actions": needed(actions), "embeddedFiles": Field(ListOf(FILE, unique="name"))}
    return Record(fields, make, scopes=scopes, elsewhere=_LET)


def _has_action(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    if not any(raw.get(name) is not None for name in ("onEnter", "onExit", *_WRAPS)):
        reader.add(path, "it needs onEnter, onExit or both", code="job.missing")


_ENVIRONMENT_ACTIONS = record(EnvironmentActions, onEnter=ACTION, onExit=ACTION)._replace(
    check=_has_action, elsewhere=_WRAPS
)
STEP_SCRIPT = _script(StepScript, record(StepActions, onRun=needed(ACTION)), "Task.File")


def _has_purpose(reader: Reader, path: Path, raw: dict[str, Any], good: dict[str, Any]) -> None:
    if raw.get("script") is None and raw.get("variables") is None:
        reader.add(path, "it needs a script, variables or both", code="job.missing")


def _in_session(raw: dict[str, Any], scope: Scope) -> Mapping[str, Scope]:
    inside = scope.plus(SESSION)
    return {"script": inside, "variables": inside}


VARIABLE = Text(
    most=256,
    form=re.compile("[A-Za-z_][A-Za-z0-9_]*"),
    form_text="the name of a variable: letters, digits and _, not beginning with a digit",
)
ENVIRONMENT = record(
    Environment,
    name=needed(Text(most=(64, 512), forbidden=CONTROL)),
    description=DESCRIPTION,
    script=_script(EnvironmentScript, _ENVIRONMENT_ACTIONS, "Env.File"),
    variables=MapOf(VARIABLE, Text(most=2048, least=0, formats=True, running=True)),
)._replace(check=_has_purpose, scopes=_in_session)
ENVIRONMENTS = ListOf(ENVIRONMENT, unique="name")


def _simple(interpreter: str) -> Record:
    command, before, suffix = INTERPRETERS[interpreter]

    def make(script: FormatString, args: tuple[FormatString, ...] = (), **action: Any) -> StepScript:
        words = [*(FormatString(word) for word in before), FormatString("{{Task.File.Script}}"), *args]
        file = EmbeddedFileText("Script", script, f"script{suffix}", True)
        run = Action(FormatString(command), tuple(words), **action)
        return StepScript(StepActions(run), (file,))

    return record(
        make, script=needed(_DATA), args=_ARGUMENTS, timeout=_TIMEOUT, cancelation=CANCELATION
    )._replace(elsewhere=_LET)


SIMPLE_ACTIONS = {name: _simple(name) for name in INTERPRETERS}
"""The shapes of a step's one-file scripts; each becomes the StepScript that it stands for."""
