"""What a session's processes are told to start, and what they tell of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from osbuild_core.protocol.keeper import Started


class Command(NamedTuple):
    """What to start. ``timeout`` in seconds; ``notify`` the seconds between notice and end, 0 for no notice.

    ``changes``, ``user``, ``keep``, ``release``, ``depth``, ``ender``: as in :class:`StartRequest`. ``shown`` is
    what errors call it where ``argv`` begins with something of ours.
    """

    argv: tuple[str, ...]
    changes: Mapping[str, str | None]
    cwd: str
    timeout: float | None = None
    notify: float = 0.0
    user: tuple[int, int, Sequence[int]] | None = None
    keep: bool = False
    release: tuple[int, ...] = ()
    depth: int = 0
    ender: tuple[str, ...] = ()
    shown: str | None = None


class Outcome(Enum):
    """Why a command has ended."""

    BY_ITSELF = "by itself"
    CANCELED = "canceled"
    TIMEOUT = "timeout"
    LOST = "lost"


class Listener(Protocol):
    """Is told of a command, from the session's thread."""

    def output(self, data: bytes) -> None:
        """The command has printed ``data``, or, after its end, what it left behind has."""

    def notified(self, seconds: float) -> None:
        """It is about to get SIGTERM, and ``seconds`` before it is killed."""

    def ended(self, status: int, outcome: Outcome, left: bool) -> None:
        """It has ended, and all of its output was handed over."""


class CommandError(Exception):
    """A command could not be started. ``status`` is what a shell would make of it."""

    def __init__(self, started: Started, command: str, directory: str = "") -> None:
        self.status = 127 if started.error == errno.ENOENT else 126
        reason = os.strerror(started.error).lower()
        hint = "is there anything else that needs less?"
        match started.error:
            case errno.ENOENT:
                reason, hint = "it is not there", "is it installed, and in PATH?"
            case errno.EACCES | errno.EPERM:
                hint = "may this user run it?"
            case errno.E2BIG:
                hint = "arguments and environment are too long; use an embedded file"
            case errno.ENOEXEC:
                hint = "a script needs a first line like #!/bin/sh"
            case errno.EINVAL:
                reason, hint = started.path or reason, "look at its arguments"
        if started.path and started.path == directory:
            reason = f"{directory}: {os.strerror(started.error).lower()}"
            hint = "is it still there, and may this user go there?"
        elif directory and "/" in command and started.error in (errno.ENOENT, errno.EACCES):
            reason, hint = _about_file(os.path.join(directory, command)) or (reason, hint)
        super().__init__(f"cannot start {command!r}: {reason} ({hint})")


def _about_file(path: str) -> tuple[str, str] | None:
    """Return what is wrong with the file at ``path`` as a program, and what to do; None where that is not known."""
    if os.path.isdir(path):
        return "it is a directory", "name a program in it"
    try:
        if not os.stat(path).st_mode & 0o111:
            return "it is not executable", "chmod +x; an embedded file needs runnable: true"
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        return None
    interpreter = first[2:].split()[:1] if first.startswith(b"#!") else []
    if interpreter and not os.path.exists(interpreter[0]):
        name = os.fsdecode(interpreter[0])
        return (
            f"its interpreter {name} is not there",
            "is it installed? the first line of the script names it",
        )
    return None
