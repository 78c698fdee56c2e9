"""Results of a run as the JSON documents that osbuild's ``--json`` prints."""

from __future__ import annotations

from typing import Any

from osbuild_core.formats.v1 import ASSEMBLER, TREE
from osbuild_core.model.manifest import Manifest, Pipeline
from osbuild_core.model.results import Failure, PipelineResult, RunResult, SourceResult, StageResult


def version_2(result: RunResult) -> dict[str, Any]:
    """Return ``result`` as a document for version 2 manifests.

    A stage from the store has no log entry, yet its metadata; the metadata of two stages of one type in a
    pipeline are merged.
    """
    document: dict[str, Any] = {"type": "result", "success": result.success}
    if result.success:
        document["metadata"] = _by_type(result.pipelines)
    else:
        document["type"] = "error"
        document["error"] = _error(result)
    sources: dict[str, Any] = {"success": all(source.success for source in result.sources)}
    for source in result.sources:
        sources.setdefault(source.type, []).extend(_items(source))
    document["sources"] = sources
    logs = {p.name: [_log_entry(s) for s in p.stages if not s.cached] for p in result.pipelines}
    document["log"] = {name: entries for name, entries in logs.items() if entries}
    return document


def _by_type(pipelines: tuple[PipelineResult, ...]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for pipeline in pipelines:
        for stage in pipeline.stages:
            if stage.metadata:
                merged = metadata.setdefault(pipeline.name, {}).setdefault(stage.type, {})
                merged.update(stage.metadata)
    return metadata


def _items(source: SourceResult) -> list[dict[str, Any]]:
    return [
        {"checksum": item.checksum, "cached": item.cached, **({"error": item.error} if item.error else {})}
        for item in source.items
    ]


def _log_entry(stage: StageResult) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": stage.id, "type": stage.type, "output": stage.output}
    if not stage.success:
        entry["success"] = False
        exception = _exception(stage.error)
        if exception:
            entry["error"] = exception
    return entry


def _exception(failure: Failure | None) -> dict[str, Any] | None:
    """Return what a module itself reported, if it did."""
    if failure is None or failure.data is None:
        return None
    return {"type": "exception", "data": dict(failure.data)}


def _error(result: RunResult) -> dict[str, Any] | None:
    """Return the first thing that failed: a source, a stage, or what has no module to blame."""
    for source in result.sources:
        if not source.success:
            details: dict[str, Any] = {"source": {"type": source.type, "output": _source_output(source)}}
            return {"type": "org.osbuild.error.source", "details": details}
    for pipeline in result.pipelines:
        for stage in pipeline.stages:
            if not stage.success:
                data = {
                    "id": stage.id,
                    "type": stage.type,
                    "output": stage.output,
                    "error": _exception(stage.error),
                }
                return {"type": "org.osbuild.error.stage", "details": {"stage": data}}
    failures = [("pipeline", p.name, p.error) for p in result.pipelines if p.error]
    failures += [("export", e.name, e.error) for e in result.exports if e.error]
    for what, name, failure in failures:
        reason = {"name": name, "code": failure.code, "message": failure.detail, "hint": failure.hint}
        return {"type": f"org.osbuild.error.{what}", "details": {what: reason}}
    return None


def _source_output(source: SourceResult) -> str:
    """Return the source's log; where it has none, the reasons that it gave."""
    if source.output:
        return source.output
    reasons = [f"{item.checksum}: {item.error}" for item in source.items if item.error]
    if source.error:
        reasons.append(source.error.detail)
    return "\n".join(reasons)


def version_1(manifest: Manifest, result: RunResult) -> dict[str, Any]:
    """Return ``result`` as a document for version 1 manifests: nested as the pipelines are."""
    results = {pipeline.name: pipeline for pipeline in result.pipelines}

    def nested(pipeline: Pipeline) -> dict[str, Any]:
        own = results.get(pipeline.name)
        document: dict[str, Any] = {"success": own.success if own else False}
        if pipeline.build:
            document["build"] = nested(manifest[pipeline.build])
        stages = [_stage_entry(stage) for stage in own.stages if not stage.cached] if own else []
        if stages:
            document["stages"] = stages
        return document

    document = nested(manifest[TREE])
    assembler = results.get(ASSEMBLER)
    if assembler and assembler.stages:
        document["assembler"] = _stage_entry(assembler.stages[0])
    document["success"] = result.success
    return document


def _stage_entry(stage: StageResult) -> dict[str, Any]:
    return {
        "id": stage.id,
        "type": stage.type,
        "success": stage.success,
        "error": _exception(stage.error),
        "output": stage.output,
        "metadata": dict(stage.metadata or {}),
    }
