"""Progress as a stream of frozen events. Renderers only read it; nothing is controlled through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from osbuild_core.model.plan import Plan
from osbuild_core.model.results import (
    ExportResult,
    PipelineResult,
    RunResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)


class RunStarted(NamedTuple):
    """``pipelines`` and ``stages`` count what will run, ``items`` what will be fetched.

    ``plan`` has what later events name: the stages with their options, what pipelines are built on.
    """

    pipelines: int
    stages: int
    items: int
    plan: Plan | None = None


class RunFinished(NamedTuple):
    result: RunResult


class PipelineStarted(NamedTuple):
    """``first`` is the index of the first stage that runs; those before it are in the store. ``runner`` is
    the module that prepares what they run on."""

    pipeline: str
    id: str | None
    first: int
    total: int
    runner: str | None = None


class PipelineFinished(NamedTuple):
    result: PipelineResult


class PipelineNote(NamedTuple):
    """What has become of a pipeline that is carried out elsewhere: waiting, running, started anew."""

    pipeline: str
    message: str


class StageStarted(NamedTuple):
    pipeline: str
    number: int
    type: str
    id: str


class StageOutput(NamedTuple):
    """Text that a stage printed; whole characters, not necessarily whole lines."""

    pipeline: str
    number: int
    text: str


class StageFinished(NamedTuple):
    result: StageResult


class SourceStarted(NamedTuple):
    """``id`` is that of the source in the manifest."""

    type: str
    items: int
    id: str = ""


class SourceProgress(NamedTuple):
    """``item`` has just ended (or None); ``received`` and ``expected`` count bytes, 0 where unknown."""

    type: str
    done: int
    total: int
    received: int = 0
    expected: int = 0
    item: SourceItemResult | None = None


class SourceFinished(NamedTuple):
    result: SourceResult


class ExportStarted(NamedTuple):
    """``type`` is that of its module; empty where a tree is only copied."""

    name: str
    type: str = ""


class ExportProgress(NamedTuple):
    """``done`` of ``total`` bytes (0: unknown), and what it is doing (empty: as before)."""

    name: str
    done: int
    total: int
    message: str = ""


class ExportOutput(NamedTuple):
    """What an export module printed."""

    name: str
    text: str


class ExportFinished(NamedTuple):
    result: ExportResult


class ProgramStarted(NamedTuple):
    """A sandbox, a service or another program; ``number`` tells it from the others. With ``Settings.trace``."""

    number: int
    argv: tuple[str, ...]


class ProgramEnded(NamedTuple):
    """``status`` is negative where a signal ended it."""

    number: int
    status: int


class Pulled(NamedTuple):
    """The tree of the first ``stages`` stages of a pipeline came from the remote cache.

    ``objects`` trees were brought, those that it stands on included; ``size`` bytes were read for them.
    """

    pipeline: str
    stages: int
    objects: int
    size: int
    seconds: float


class Pushed(NamedTuple):
    """The run put ``objects`` trees and ``sources`` source files into the remote cache, ``size`` bytes in all."""

    objects: int
    sources: int
    size: int


class Warned(NamedTuple):
    """Something that the user should know and that does not fail the run."""

    message: str


Event = (
    RunStarted
    | RunFinished
    | PipelineStarted
    | PipelineFinished
    | PipelineNote
    | StageStarted
    | StageOutput
    | StageFinished
    | SourceStarted
    | SourceProgress
    | SourceFinished
    | ExportStarted
    | ExportProgress
    | ExportOutput
    | ExportFinished
    | ProgramStarted
    | ProgramEnded
    | Pulled
    | Pushed
    | Warned
)

Sink = Callable[[Event], None]
"""Where events go. It is called from several threads, one call at a time."""
