"""Progress as plain lines, for pipes and logs."""

from __future__ import annotations

import contextlib
import sys
from typing import IO

from osbuild_core.model import events
from osbuild_core.model.results import StageResult


def seconds(value: float) -> str:
    """Return a duration as people read it."""
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60} s"


def size(value: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


# Sequences that a stage prints could clear the terminal, or worse.
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    """Return what a program printed without control characters, which are for its own terminal."""
    return text.replace("\r\n", "\n").translate(_CONTROLS)


def on_one_line(text: str) -> str:
    """Return ``text`` (a path, say) so that it stays on its line and can be told from others, as ``ls -b`` does."""
    escaped = text.replace("\\", r"\\")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)


def pulled(event: events.Pulled) -> str:
    """Return what came from the remote cache as people read it."""
    layers = f"{event.objects} layers, {size(event.size)}" if event.objects else "by now in the store"
    return f"{event.stages} stages from the remote cache ({layers}) in {seconds(event.seconds)}"


def pushed(event: events.Pushed) -> str:
    """Return what went into the remote cache as people read it."""
    return (
        f"remote cache: {event.objects} layers and {event.sources} source files put there, {size(event.size)}"
    )


LONGEST = 10_000
"""Characters of a line that are waited for."""


class Lines:
    """An event sink that writes a line for what starts and ends; with ``verbose`` also what stages print.
    ``prefix`` begins each line, where several are at work.

    When nobody reads any more (a closed pipe), it falls silent: that is no reason for a build to end.
    """

    def __init__(self, out: IO[str] | None = None, *, verbose: bool = False, prefix: str = "") -> None:
        self._prefix = prefix
        self._out = out or sys.stderr
        self._verbose = verbose
        self._totals: dict[str, int] = {}
        self._unfinished: dict[str, str] = {}

    def _say(self, text: str) -> None:
        """Print ``text`` as one line, whatever the names of a manifest have in them."""
        with contextlib.suppress(OSError):
            # In one go: several may write to the same place.
            line = printable(text).replace("\n", " ")
            print(f"{self._prefix}{line}\n", end="", file=self._out, flush=True)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.PipelineStarted(pipeline=name, first=first, total=total):
                self._totals[name] = total
                cached = f", {first} of {total} stages in the store" if first else ""
                self._say(f"{name}: started{cached}")
            case events.PipelineNote(pipeline=name, message=message):
                self._say(f"{name}: {printable(message)}")
            case events.StageStarted(pipeline=name, number=number, type=kind):
                self._say(f"{name}: {number + 1}/{self._totals.get(name, 0)} {kind}")
            case events.StageOutput(pipeline=name, text=text) if self._verbose:
                self._show(name, text)
            case events.StageFinished(result=result):
                self._finish_stage(result)
            case events.PipelineFinished(result=result) if result.success:
                self._say(f"{result.name}: done in {seconds(result.seconds)}")
            case events.SourceFinished(result=result):
                fetched = [item for item in result.items if not item.cached and item.success]
                if fetched:
                    self._say(f"{result.type}: {len(fetched)} items in {seconds(result.seconds)}")
            case events.ExportProgress(name=name, message=message) if message:
                self._say(f"{name}: {message}")
            case events.ExportOutput(name=name, text=text) if self._verbose:
                self._show(name, text)
            case events.ExportFinished(result=result) if result.success:
                where = f" to {result.path}" if result.path else ""
                self._say(f"{result.name}: exported{where}")
            case events.Pulled(pipeline=name):
                self._say(f"{name}: {pulled(event)}")
            case events.Pushed():
                self._say(pushed(event))
            case events.Warned(message=message):
                self._say(f"warning: {message}")
            case _:
                pass

    def _finish_stage(self, result: StageResult) -> None:
        rest = self._unfinished.pop(result.pipeline, "")
        if rest:
            self._say(f"{result.pipeline} | {rest}")
        if result.error is not None and result.error.code == "cancelled":
            return
        state = "failed"
        if result.success:
            state = "is in the store by now" if result.cached else f"done in {seconds(result.seconds)}"
        self._say(f"{result.pipeline}: {result.number + 1} {result.type} {state}")

    def _show(self, name: str, text: str) -> None:
        """Print whole lines only, so that pipelines that run side by side stay apart."""
        *whole, rest = (self._unfinished.get(name, "") + text).split("\n")
        if len(rest) > LONGEST:
            # Nobody knows whether it will ever end.
            whole, rest = [*whole, rest], ""
        self._unfinished[name] = rest
        for line in whole:
            self._say(f"{name} | {line}")
