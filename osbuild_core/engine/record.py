"""What an object remembers of the stages that made it, so that a cached result reports what a fresh one did."""

from __future__ import annotations

from collections.abc import Mapping

from osbuild_core.model.plan import PlannedPipeline
from osbuild_core.model.results import StageResult


def stage_document(result: StageResult) -> dict[str, object]:
    """Return what is kept of a stage, as JSON."""
    return {
        "index": result.number,
        "type": result.type,
        "id": result.id,
        "metadata": result.metadata,
        "seconds": round(result.seconds, 3),
    }


def cached_results(
    planned: PlannedPipeline, document: Mapping[str, list[dict[str, object]]]
) -> list[StageResult]:
    """Return the results of the stages that went into an object with ``document``."""
    results = []
    for stage, made in zip(planned.stages, document.get("stages", []), strict=False):
        metadata = made.get("metadata")
        seconds = made.get("seconds")
        results.append(
            StageResult(
                pipeline=planned.name,
                number=stage.number,
                type=stage.stage.type,
                id=stage.stage.id,
                success=True,
                cached=True,
                metadata=metadata if isinstance(metadata, dict) else None,
                seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
            )
        )
    return results
