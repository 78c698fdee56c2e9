"""Builds a manifest for a worker: the engine's session, its events as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from osbuild_core.model import events
from osbuild_core.model.results import Failure, RunResult

Say = Callable[[str, dict[str, Any]], None]


def build(task: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Build what ``task`` names; return the result. A failed stage is in the result. Raises OsbuildError."""
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings, default_jobs

    given = task["settings"]
    library = given.get("library")
    settings = Settings(
        store=Path(given["store"]),
        library=Path(library) if library else None,
        jobs=given.get("jobs") or default_jobs(),
    )

    def sink(event: events.Event) -> None:
        told = document(event)
        if told is not None:
            say(*told)

    with Session(settings, sink) as session:
        manifest = session.load(task["manifest"])
        result = session.build(
            manifest, exports=tuple(task["exports"]), output_directory=Path(task["output"])
        )
    return summary(result)


def document(event: events.Event) -> tuple[str, dict[str, Any]] | None:
    """Return kind and data of an event, None for those that nobody follows from afar."""
    match event:
        case events.RunStarted():
            return "run", {
                "pipelines": event.pipelines,
                "stages": event.stages,
                "items": event.items,
                "time": _now(),
            }
        case events.PipelineStarted():
            return "pipeline", {
                "pipeline": event.pipeline,
                "first": event.first,
                "total": event.total,
                "time": _now(),
            }
        case events.PipelineFinished(result):
            return "pipeline-finished", {
                "pipeline": result.name,
                "success": result.success,
                "seconds": round(result.seconds, 3),
                "error": _failure(result.error),
            }
        case events.StageStarted():
            return "stage", {
                "pipeline": event.pipeline,
                "number": event.number,
                "type": event.type,
                "id": event.id,
                "time": _now(),
            }
        case events.StageOutput() | events.ExportOutput():
            return "output", {"text": event.text}
        case events.StageFinished(result):
            return "stage-finished", {
                "pipeline": result.pipeline,
                "number": result.number,
                "success": result.success,
                "seconds": round(result.seconds, 3),
                "error": _failure(result.error),
            }
        case events.SourceFinished(result):
            return "source-finished", {"type": result.type, "success": result.success}
        case events.ExportStarted():
            return "export", {"name": event.name}
        case events.ExportFinished(result):
            return "export-finished", {"name": result.name, "success": result.success}
        case events.Warned():
            return "warning", {"message": event.message}
        case _:
            return None


def _now() -> float:
    """Return when something began, for who joins later: seconds since 1970."""
    return round(time.time(), 3)


def _failure(error: Failure | None) -> dict[str, Any] | None:
    return None if error is None else {"code": error.code, "message": error.detail, "path": list(error.place)}


def summary(result: RunResult) -> dict[str, Any]:
    """Return what is kept of a run."""
    return {
        "success": result.success,
        "seconds": round(result.seconds, 3),
        "pipelines": [
            {
                "name": pipeline.name,
                "id": pipeline.id,
                "success": pipeline.success,
                "stages": [
                    {"type": s.type, "id": s.id, "success": s.success, "cached": s.cached}
                    for s in pipeline.stages
                ],
            }
            for pipeline in result.pipelines
        ],
        "exports": [
            {"name": export.name, "success": export.success, "data": dict(export.data)}
            for export in result.exports
        ],
        "errors": [_failure(error) for _, error in result.failures()],
    }
