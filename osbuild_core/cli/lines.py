"""Progress as plain lines, for pipes and logs."""

from __future__ import annotations

import sys
from typing import IO

from osbuild_core.model import events


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


class Lines:
    """An event sink that writes a line for what starts and ends; with ``verbose`` also what stages print."""

    def __init__(self, out: IO[str] | None = None, *, verbose: bool = False) -> None:
        self._out = out or sys.stderr
        self._verbose = verbose
        self._totals: dict[str, int] = {}
        self._unfinished: dict[str, str] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.PipelineStarted(pipeline=name, first=first, total=total):
                self._totals[name] = total
                cached = f", {first} of {total} stages in the store" if first else ""
                self._say(f"{name}: started{cached}")
            case events.StageStarted(pipeline=name, number=number, type=kind):
                self._say(f"{name}: {number + 1}/{self._totals.get(name, 0)} {kind}")
            case events.StageOutput(pipeline=name, text=text) if self._verbose:
                self._show(name, text)
            case events.StageFinished(result=result):
                state = f"done in {seconds(result.seconds)}" if result.success else "failed"
                if result.error is None or result.error.code != "cancelled":
                    self._say(f"{result.pipeline}: {result.number + 1} {result.type} {state}")
            case events.PipelineFinished(result=result) if result.success:
                self._say(f"{result.name}: done in {seconds(result.seconds)}")
            case events.SourceFinished(result=result):
                fetched = [item for item in result.items if not item.cached and item.success]
                if fetched:
                    self._say(f"{result.type}: {len(fetched)} items in {seconds(result.seconds)}")
            case events.ExportFinished(result=result) if result.success:
                self._say(f"{result.name}: exported to {result.path}")
            case events.Warned(message=message):
                self._say(f"warning: {message}")
            case _:
                pass

    def _show(self, name: str, text: str) -> None:
        """Print whole lines only, so that pipelines that run side by side stay apart."""
        *whole, rest = (self._unfinished.get(name, "") + text).split("\n")
        self._unfinished[name] = rest
        for line in whole:
            self._say(f"{name} | {line}")
