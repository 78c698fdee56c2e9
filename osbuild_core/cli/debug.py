"""``--debug``: what is run, with times, and tracebacks of errors; to standard error or to a file."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import IO

from osbuild_core import __version__
from osbuild_core.cli.report import as_error
from osbuild_core.model import events
from osbuild_core.model.errors import UsageError
from osbuild_core.model.results import ExportResult, PipelineResult, SourceResult, StageResult

_USERINFO = re.compile(r"://[^/@\s]*@")


def redacted(text: str) -> str:
    """Return ``text`` without names and passwords in addresses.

    Nothing else that is written here comes from a manifest's options or from the environment.
    """
    return _USERINFO.sub("://[hidden]@", text)


class Debug:
    """Writes lines with the seconds since the start; also an event sink."""

    def __init__(self, out: IO[str]) -> None:
        self.terminal = out is sys.stderr
        self._out = out
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._running: dict[int, float] = {}

    def note(self, text: str) -> None:
        """Write a line, or several; whoever reads them may have gone."""
        now = time.monotonic() - self._started
        with self._lock, contextlib.suppress(OSError):
            self._out.write("".join(f"[{now:9.3f}] {line}\n" for line in redacted(text).splitlines()))
            self._out.flush()

    def failed(self, error: Exception) -> None:
        """Write the traceback of ``error``."""
        known = as_error(error)
        # A bug ends with its traceback on standard error anyway.
        if known is not None or not self.terminal:
            self.note("".join(traceback.format_exception(error)))
        if known is not None:
            self.note(f"code {known.code}")

    def __call__(self, event: events.Event) -> None:
        text = self._text(event)
        if text:
            self.note(text)

    def _text(self, event: events.Event) -> str | None:
        match event:
            case events.RunStarted(pipelines=pipelines, stages=stages, items=items):
                return f"run: {pipelines} pipelines, {stages} stages, {items} items to have"
            case events.RunFinished(result=run):
                return f"run ended after {run.seconds:.3f} s: {'done' if run.success else 'failed'}"
            case events.ProgramStarted(number=number, argv=argv):
                self._running[number] = time.monotonic()
                return f"program {number}: {shlex.join(argv)}"
            case events.ProgramEnded(number=number, status=status):
                seconds = time.monotonic() - self._running.pop(number)
                return f"program {number} ended after {seconds:.3f} s with status {status}"
            case events.PipelineStarted(pipeline=name, first=first, total=total):
                return f"pipeline {name}: stages {first + 1} to {total}"
            case events.PipelineFinished(result=result):
                return _ended(f"pipeline {result.name}", result)
            case events.StageStarted(pipeline=name, number=number, type=kind, id=id_):
                return f"stage {name}[{number}] {kind} ({id_})"
            case events.StageFinished(result=stage):
                return _ended(f"stage {stage.pipeline}[{stage.number}]", stage)
            case events.SourceStarted(type=kind, items=items):
                return f"source {kind}: {items} items"
            case events.SourceFinished(result=source):
                return _ended(f"source {source.type}", source)
            case events.ExportStarted(name=name, type=kind):
                return f"export {name}" + (f" ({kind})" if kind else "")
            case events.ExportProgress(name=name, message=message) if message:
                return f"export {name}: {message}"
            case events.ExportFinished(result=export):
                return _ended(f"export {export.name}", export)
            case events.Warned(message=message):
                return f"warning: {message}"
            case _:
                return None


def _ended(what: str, result: PipelineResult | StageResult | SourceResult | ExportResult) -> str:
    outcome = f"failed ({result.error.code})" if result.error else "done" if result.success else "failed"
    return f"{what} ended after {result.seconds:.3f} s: {outcome}"


@contextlib.contextmanager
def debugging(path: str) -> Iterator[Debug]:
    """Give the log that goes to ``path`` ("": standard error). An error that leaves the body is in it.

    Raises UsageError where the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        out: IO[str] = sys.stderr
        if path:
            try:
                # Paths of a manifest may be in it: for the user's own eyes.
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.debug") from error
            out = stack.enter_context(open(fd, "w", encoding="utf-8", errors="backslashreplace"))
        debug = Debug(out)
        debug.note(f"osbuild-core {__version__}, Python {sys.version.split()[0]}, Linux {os.uname().release}")
        try:
            yield debug
        except Exception as error:
            debug.failed(error)
            raise
