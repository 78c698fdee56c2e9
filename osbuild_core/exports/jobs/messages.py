"""What a command tells its session: lines of its output that begin with ``openjd_``.

Pure. How the log is set up has no part in it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from osbuild_core.model.errors import OsbuildError

MARK = "openjd_"
"""No line without it (in any case of letters) is a message, or nearly one."""

STARS = "*" * 8


class MessageKind(StrEnum):
    """What a message is about."""

    PROGRESS = "progress"
    STATUS = "status"
    FAIL = "fail"
    ENV = "env"
    REDACTED_ENV = "redacted_env"
    UNSET_ENV = "unset_env"
    LOG_LEVEL = "session_runtime_loglevel"


class Message(NamedTuple):
    """One message: ``text``, or the ``number`` of progress and log level; ``name`` is of the variable it is about."""

    kind: MessageKind
    text: str = ""
    number: float = 0.0
    name: str = ""


class MessageError(OsbuildError):
    """A line that was meant to be a message and is none.

    ``fatal`` where the action fails by that; ``nearly`` where it does not even begin as one.
    """

    code = "job.message"

    def __init__(self, detail: str, *, hint: str | None = None, fatal: bool, nearly: bool = False) -> None:
        super().__init__(detail, hint=hint)
        self.fatal = fatal
        self.nearly = nearly


VARIABLES = (MessageKind.ENV, MessageKind.REDACTED_ENV, MessageKind.UNSET_ENV)
"""Kinds that change the session: what looks like one and is not fails the action."""

_MESSAGE = re.compile(f"{MARK}({'|'.join(MessageKind)}): (.+)")
_NEARLY = re.compile(f"{MARK}({'|'.join(VARIABLES)})(?=:|\\s|\\Z)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_SECRET = re.compile(r"(openjd_redacted_env\s*:?)(\s*\"?[A-Za-z_][A-Za-z0-9_]*=)?(.*)", re.IGNORECASE)
_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
}


def parse_message(line: str) -> Message | None:
    """Return the message that ``line`` is, None where it is ordinary output. Raises MessageError."""
    match = _MESSAGE.fullmatch(line)
    if match is None:
        _check_nearly(line)
        return None
    kind, text = MessageKind(match[1]), match[2]
    if kind is MessageKind.PROGRESS:
        return Message(kind, number=_progress(text))
    if kind is MessageKind.LOG_LEVEL:
        level = _LEVELS.get(text.strip().upper())
        if level is None:
            raise MessageError(
                f"{line!r}: there is no such level", hint=f"there are: {', '.join(_LEVELS)}", fatal=False
            )
        return Message(kind, number=level)
    if kind is MessageKind.UNSET_ENV:
        name = text.strip()
        if not _NAME.fullmatch(name):
            raise MessageError(
                f"{line!r}: this is not the name of a variable", hint=f"{MARK}{kind}: NAME", fatal=True
            )
        return Message(kind, name=name)
    if kind in VARIABLES:
        name, value = _assignment(kind, text, line)
        return Message(kind, value, name=name)
    return Message(kind, text)


def _check_nearly(line: str) -> None:
    found = _NEARLY.match(line.lstrip().lower())
    if found is not None:
        form = "NAME" if found[1] == MessageKind.UNSET_ENV else "NAME=VALUE"
        raise MessageError(
            f"{hide_assignment(line)!r} is not quite a message",
            hint=f"{MARK}{found[1]}: {form}, at the beginning of a line, in small letters",
            fatal=True,
            nearly=True,
        )


def _progress(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise MessageError(
            f"{MARK}progress: {text!r} is not a percentage", hint="a number from 0 to 100", fatal=False
        )
    return value


def _assignment(kind: MessageKind, text: str, line: str) -> tuple[str, str]:
    text = text.lstrip()
    if text.startswith('"'):
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        text = decoded if isinstance(decoded, str) else ""
    match = _ASSIGNMENT.fullmatch(text)
    if match is None:
        raise MessageError(
            f"{hide_assignment(line)!r}: this is not an assignment",
            hint=f'{MARK}{kind}: NAME=VALUE, or "NAME=VALUE" as a string of JSON',
            fatal=True,
        )
    if "\0" in match[2]:
        raise MessageError(f"the value of {match[1]} has a null character", fatal=True)
    return match[1], match[2]


def hide_assignment(line: str) -> str:
    """Return ``line`` without the value that a redacted variable gets in it, well-formed or not."""
    return _SECRET.sub(lambda match: f"{match[1]}{match[2] or ' '}{STARS}", line)


class Redactor:
    """Knows the values that must not be shown."""

    def __init__(self) -> None:
        self._parts: set[str] = set()
        self._lines: set[str] = set()

    def add(self, value: str) -> None:
        """Hide ``value`` from now on; of several lines, those in the middle only where they stand alone."""
        first, *rest = value.split("\n")
        self._parts.update(part for part in (first, *rest[-1:]) if part)
        self._lines.update(line for line in rest[:-1] if line)
        if value.strip():
            # As JSON has it, in one line.
            self._parts.add(json.dumps(value)[1:-1])

    def text(self, text: str) -> str:
        """Return ``text``, of whole lines, with stars in place of what must not be shown."""
        if not self._parts and not self._lines:
            return text
        if not any(part in text for part in self._parts) and not any(line in text for line in self._lines):
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        if line in self._lines:
            return STARS
        shown, at = "", 0
        for start, end in _merged((p, p + len(part)) for part in self._parts for p in _places(line, part)):
            shown += line[at:start] + STARS
            at = end
        return shown + line[at:]


def _places(line: str, part: str) -> Iterable[int]:
    at = line.find(part)
    while at >= 0:
        yield at
        at = line.find(part, at + 1)


def _merged(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ``pieces`` in their order, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(pieces):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
