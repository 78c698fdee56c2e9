"""What came of a run. Results are values: a failed stage is a result, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Failure(NamedTuple):
    """Why something failed, as events, JSON and terminal show it.

    ``data`` is what the module itself reported (exception type, value, traceback), if it did.
    """

    code: str
    detail: str
    hint: str | None = None
    place: tuple[str | int, ...] = ()
    data: Mapping[str, Any] | None = None


class StageResult(NamedTuple):
    """One stage: built in this run or found in the store (``cached``). ``number`` counts from 0.

    ``output`` is the last part of the log, ``log`` the path of the whole; ``seconds`` is the wall time
    of the run that built it.
    """

    pipeline: str
    number: int
    type: str
    id: str
    success: bool
    cached: bool = False
    output: str = ""
    log: str | None = None
    error: Failure | None = None
    metadata: Mapping[str, Any] | None = None
    seconds: float = 0.0


class PipelineResult(NamedTuple):
    """A pipeline; ``error`` is set where it failed outside of any stage, or was cancelled."""

    name: str
    id: str | None
    success: bool
    stages: tuple[StageResult, ...] = ()
    error: Failure | None = None
    seconds: float = 0.0


class SourceItemResult(NamedTuple):
    """One item of a source; ``cached`` where it was in the store already."""

    checksum: str
    success: bool
    cached: bool = False
    error: str | None = None


class SourceResult(NamedTuple):
    """What one source module fetched, or did not."""

    type: str
    success: bool
    items: tuple[SourceItemResult, ...] = ()
    output: str = ""
    error: Failure | None = None
    seconds: float = 0.0


class ExportResult(NamedTuple):
    """One export; ``data`` is the reply of its module."""

    name: str
    success: bool
    path: str | None = None
    data: Mapping[str, Any] = MappingProxyType({})
    error: Failure | None = None
    seconds: float = 0.0


class RunResult(NamedTuple):
    """Everything that a run did. ``success`` is true when nothing that was asked for failed."""

    success: bool
    pipelines: tuple[PipelineResult, ...] = ()
    sources: tuple[SourceResult, ...] = ()
    exports: tuple[ExportResult, ...] = ()
    seconds: float = 0.0

    def failures(self) -> list[tuple[str, Failure]]:
        """Return (what, why) for all that failed: in the order of the run, and what others kept from running last."""
        found: list[tuple[str, Failure]] = []
        for source in self.sources:
            if source.error:
                found.append((f"source {source.type}", source.error))
        for pipeline in self.pipelines:
            for stage in pipeline.stages:
                if stage.error:
                    found.append((f"{pipeline.name}: {stage.type}", stage.error))
            if pipeline.error:
                found.append((f"pipeline {pipeline.name}", pipeline.error))
        found.extend((f"export {e.name}", e.error) for e in self.exports if e.error)
        return sorted(found, key=lambda one: one[1].code == "cancelled")
