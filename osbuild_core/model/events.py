"""Progress as a stream of frozen events. Renderers only read it; nothing is controlled through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from osbuild_core.model.results import (
    ExportResult,
    PipelineResult,
    RunResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """``pipelines`` and ``stages`` count what will run, ``items`` what will be fetched."""

    pipelines: int
    stages: int
    items: int


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    result: RunResult


@dataclass(frozen=True, slots=True)
class PipelineStarted(Event):
    """``first`` is the index of the first stage that runs; those before it are in the store."""

    pipeline: str
    id: str | None
    first: int
    total: int


@dataclass(frozen=True, slots=True)
class PipelineFinished(Event):
    result: PipelineResult


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    pipeline: str
    index: int
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class StageOutput(Event):
    """Text that a stage printed; whole characters, not necessarily whole lines."""

    pipeline: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class StageFinished(Event):
    result: StageResult


@dataclass(frozen=True, slots=True)
class SourceStarted(Event):
    type: str
    items: int


@dataclass(frozen=True, slots=True)
class SourceProgress(Event):
    """``item`` has just ended (or None); ``received`` and ``expected`` count bytes, 0 where unknown."""

    type: str
    done: int
    total: int
    received: int = 0
    expected: int = 0
    item: SourceItemResult | None = None


@dataclass(frozen=True, slots=True)
class SourceFinished(Event):
    result: SourceResult


@dataclass(frozen=True, slots=True)
class ExportStarted(Event):
    name: str


@dataclass(frozen=True, slots=True)
class ExportFinished(Event):
    result: ExportResult


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something that the user should know and that does not fail the run."""

    message: str


Sink = Callable[[Event], None]
"""Where events go. It is called from several threads, one call at a time."""
