"""Progress of ``osbuild-core ami``: a bar for uploads on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from osbuild_core.cli.lines import on_one_line, size
from osbuild_core.exports.ami import events

STEP = 10
"""Percent of an upload after which a plain line is written."""


def text(event: events.Event) -> str | None:
    """Return what an event is in words; None for those that only move a bar, and for failures, which are
    reported at the end."""
    match event:
        case events.Scanned(path=path, size=total, data=data, cached=cached):
            again = ", known from before" if cached else ""
            return f"{path}: {size(data)} of {size(total)} are data{again}"
        case events.UploadStarted(where=where, region=region, total=total, done=done):
            left = f", {size(done)} are there" if done else ""
            return f"{region}: uploading {size(total)} ({where}){left}"
        case events.UploadFinished(region=region, sent=sent):
            return f"{region}: uploaded {size(sent)}"
        case events.RegionState(region=region, state=state, what=what, id=identifier):
            # Snapshots have names of 64 digits.
            name = what[:12] if len(what) == 64 else what
            return f"{region}: {name}: {state}{f' ({identifier})' if identifier else ''}"
        case events.Warned(message=message):
            return f"warning: {message}"
        case _:
            return None


class Lines:
    """An event sink that gives lines to ``say``, for uploads one every ten percent."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shown = 0
        self._before = 0

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.UploadStarted(done=done):
                self._shown, self._before = 0, done
            case events.UploadProgress(region=region, sent=sent, total=total):
                percent = 100 * (sent + self._before) // max(1, total)
                if percent >= self._shown + STEP:
                    self._shown = percent - percent % STEP
                    self._say(f"{region}: {self._shown} %")
            case _:
                pass
        line = text(event)
        if line is not None:
            self._say(on_one_line(line))


class Bars:
    """An event sink; a context manager that owns the lower part of the terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=self._console,
        )
        self._upload: TaskID | None = None
        self._before = 0

    def __enter__(self) -> Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.__exit__(None, None, None)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.UploadStarted(where=where, region=region, total=total, done=done):
                if self._upload is not None:
                    self._progress.remove_task(self._upload)
                self._before = done
                self._upload = self._progress.add_task(f"{region} ({where})", total=total, completed=done)
            case events.UploadProgress(sent=sent) if self._upload is not None:
                self._progress.update(self._upload, completed=sent + self._before)
            case _:
                line = text(event)
                if line is not None:
                    self._progress.console.print(on_one_line(line), markup=False, highlight=False)
