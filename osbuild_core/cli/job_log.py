"""What ``osbuild-core job run`` shows while it runs: lines with times, as openjd's, and events for machines."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING

from osbuild_core.cli.lines import printable
from osbuild_core.model.errors import UsageError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.events import Event

FORMATS = ("relative", "local", "utc")


class JobLog:
    """An event sink for the lines of a run; ``out`` None keeps them in ``logs`` instead, for the result.

    ``several`` sessions have their number before each line.
    """

    def __init__(self, out: IO[str] | None, timestamps: str, *, verbose: bool, several: bool) -> None:
        self.logs: list[dict[str, str]] = []
        self._out = out
        self._timestamps = timestamps
        self._level = logging.DEBUG if verbose else logging.INFO
        self._several = several
        self._begin = datetime.now(UTC)
        self._clean = printable if out is not None and out.isatty() else None

    def __call__(self, event: Event) -> None:
        from osbuild_core.exports.jobs import events

        match event:
            case events.Printed(session=session, text=text):
                self._say(session, text)
            case events.Noted(session=session, text=text, level=level) if level >= self._level:
                self._say(session, text)
            case events.RunStarted(job=name):
                self._begin = datetime.now(UTC)
                self._say(0, f"Running job '{name}'")
            case events.StepStarted(step=name, slots=slots):
                self._say(0, f"Running step '{name}'" + (f", {slots} tasks at once" if slots > 1 else ""))
            case events.StepFinished(step=name, state="skipped"):
                self._say(0, f"Step '{name}' is left out: a step that it depends on has failed")
            case _:
                pass

    def _say(self, session: int, text: str) -> None:
        stamp = self._stamp()
        before = f"[{session}] " if session and self._several else ""
        if self._out is None:
            self.logs += [{"timestamp": stamp, "message": before + line} for line in text.split("\n")]
            return
        if self._clean is not None:
            text = self._clean(text)
        start = f"{stamp}\t{before}"
        lines = start + text.replace("\n", f"\n{start}") + "\n"
        if isinstance(self._out, io.TextIOWrapper):
            # Its own way of writing looks at every character once more.
            self._out.buffer.write(lines.encode(self._out.encoding, "backslashreplace"))
        else:
            self._out.write(lines)
        self._out.flush()

    def _stamp(self) -> str:
        now = datetime.now(UTC)
        if self._timestamps == "relative":
            since = now - self._begin
            # Always with a fraction, so that lines stay in their columns.
            return str(since) if since.microseconds else str(since + timedelta(microseconds=1))
        return (now.astimezone() if self._timestamps == "local" else now).isoformat()


class EventLog:
    """An event sink that writes JSON lines."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        from osbuild_core.exports.jobs.events import document

        self._out.write(json.dumps(document(event)) + "\n")
        self._out.flush()


def open_events(path: str) -> IO[str]:
    """Return the file for events, ``-`` for standard output. Raises UsageError."""
    if path == "-":
        return open(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.events") from error


def both(first: Callable[[Event], None], second: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a sink that hands events to both."""

    def sink(event: Event) -> None:
        first(event)
        second(event)

    return sink
