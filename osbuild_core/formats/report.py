"""Results of a run as the JSON documents that osbuild's ``--json`` prints."""

from __future__ import annotations

from typing import Any

from osbuild_core.formats.v1 import ASSEMBLER, TREE
from osbuild_core.model.errors import OsbuildError
from osbuild_core.model.manifest import Manifest, Pipeline
from osbuild_core.model.results import Failure, PipelineResult, RunResult, SourceResult, StageResult

CANCELLED = "cancelled"


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
        reason = stage_error(stage)
        if reason:
            entry["error"] = reason
    return entry


def stage_error(stage: StageResult) -> dict[str, Any] | None:
    """Return why a stage failed: what it raised, or what ended it in the same form.

    None where its status and its output are all there is to say, and for what was cancelled.
    """
    failure = stage.error
    if failure is None:
        return None
    data = failure.data
    if data is None:
        if failure.code in ("stage.exit", CANCELLED):
            return None
        text = f"{failure.detail} ({failure.hint})" if failure.hint else failure.detail
        data = {"type": failure.code, "value": text, "traceback": ""}
    return {"type": "exception", "data": dict(data)}


def _error(result: RunResult) -> dict[str, Any]:
    """Return the first thing that failed: a source, a stage, or what has no module to blame.

    What was cancelled because of it is not taken for it.
    """
    for source in result.sources:
        if _failed(source.success, source.error):
            details: dict[str, Any] = {"source": {"type": source.type, "output": _source_output(source)}}
            return {"type": "org.osbuild.error.source", "details": details}
    for pipeline in result.pipelines:
        for stage in pipeline.stages:
            if _failed(stage.success, stage.error):
                data = {
                    "id": stage.id,
                    "type": stage.type,
                    "output": stage.output,
                    "error": stage_error(stage),
                }
                return {"type": "org.osbuild.error.stage", "details": {"stage": data}}
    failures = [("pipeline", p.name, p.error) for p in result.pipelines if p.error]
    failures += [("export", e.name, e.error) for e in result.exports if e.error]
    for what, name, failure in failures:
        if failure.code != CANCELLED:
            reason = {"name": name, **_reason(failure)}
            return {"type": f"org.osbuild.error.{what}", "details": {what: reason}}
    return {
        "type": "org.osbuild.error.cancelled",
        "details": _reason(Failure(CANCELLED, "the run was cancelled")),
    }


def _failed(success: bool, error: Failure | None) -> bool:
    return not success and (error is None or error.code != CANCELLED)


def _reason(error: Failure | OsbuildError) -> dict[str, Any]:
    return {"code": error.code, "message": error.detail, "hint": error.hint}


def refusal(error: OsbuildError) -> dict[str, Any]:
    """Return the document for a run that did not come about, whatever the version of its manifest.

    A manifest that breaks its schema has a document of its own:
    :func:`osbuild_core.formats.validation_report`.
    """
    kind = error.code.partition(".")[0]
    return {
        "type": "error",
        "success": False,
        "error": {"type": f"org.osbuild.error.{kind}", "details": _reason(error)},
        "log": {},
    }


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
        # Nothing is known of what nobody needed, since its result was in the store.
        document: dict[str, Any] = {"success": own.success if own else True}
        if pipeline.build:
            document["build"] = nested(manifest[pipeline.build])
        stages = [_stage_entry(stage) for stage in own.stages if not stage.cached] if own else []
        if stages:
            document["stages"] = stages
        return document

    document = nested(manifest[TREE])
    assembler = results.get(ASSEMBLER)
    if assembler and assembler.stages and not assembler.stages[0].cached:
        document["assembler"] = _stage_entry(assembler.stages[0])
    document["success"] = result.success
    if not result.success:
        error = _error(result)
        if error["type"] != "org.osbuild.error.stage":
            document["error"] = error
    return document


def _stage_entry(stage: StageResult) -> dict[str, Any]:
    return {
        "id": stage.id,
        "type": stage.type,
        "success": stage.success,
        "error": stage_error(stage),
        "output": stage.output,
        "metadata": dict(stage.metadata or {}),
    }
