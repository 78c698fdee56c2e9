"""JSONSeqMonitor: records for programs, each on a line of its own behind a record separator (RFC 7464).

A record says where it comes from (``context``: in full the first time, by its id from then on), how far the run
is, and what happened. Pipelines run side by side; each record has the context and the progress of its own.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any, NamedTuple

from osbuild_core.cli.monitors.stream import Stream
from osbuild_core.formats.report import stage_error
from osbuild_core.model import events
from osbuild_core.model.plan import Plan
from osbuild_core.model.results import PipelineResult, SourceResult, StageResult

ENGINE = "org.osbuild"
FACE = "osbuild.main_cli"
MONITOR = "osbuild.monitor"
"""The origin of what clients show their users."""

RESULTS_MAX = 31_000
"""Characters of a source's results; longer ones are left out."""

INTERVAL = 1.0
"""Seconds between two records on a download."""


class Part(NamedTuple):
    """A pipeline or a source as the monitor sees it; ``number`` is that of the stage that it is at."""

    name: str
    id: str | None
    total: int
    done: int = 0
    number: int | None = None


class JSONSeqMonitor:
    """An event sink; ``manifest`` is what messages call the manifest."""

    def __init__(self, stream: Stream, manifest: str) -> None:
        self._stream = stream
        self._manifest = manifest
        self._plan: Plan | None = None
        self._contexts: set[str] = set()
        self._total = 0
        self._done = 0
        self._parts: dict[str, Part] = {}
        self._fetched: dict[str, int] = {}
        self._next = 0.0

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted(pipelines=pipelines, plan=plan):
                self._plan = plan
                self._total = pipelines + (len(plan.fetches) if plan else 0)
                self._record(f"starting {self._manifest}", FACE)
            case events.RunFinished(result=result):
                end = "finished successfully" if result.success else "failed"
                self._record(f"manifest {self._manifest} {end}\n", FACE)
            case events.PipelineStarted(pipeline=name, id=id_, first=first, total=total):
                self._begin(Part(name, id_, total, first))
            case events.PipelineFinished(result=result):
                self._finish(result.name, _pipeline_document(result), result.seconds)
            case events.StageStarted(pipeline=name, number=number, type=kind):
                part = self._parts[name] = self._parts[name]._replace(number=number)
                self._record(f"Starting module {kind}", MONITOR, part)
            case events.StageOutput(pipeline=name, number=number, text=text):
                part = self._parts[name]
                # What comes before the first stage is its build root in the making.
                origin = f"stages/{self._type(part)}" if part.number == number else ENGINE
                self._record(text, origin, part)
            case events.StageFinished(result=result):
                self._finish_stage(result)
            case events.Warned(message=message):
                self._record(f"warning: {message}\n", ENGINE)
            case _:
                self._source_or_export(event)

    def _source_or_export(self, event: events.Event) -> None:
        match event:
            case events.SourceStarted(type=kind, items=items, id=id_):
                # The items of a source may be fetched in several goes.
                done = self._fetched.get(kind, 0)
                self._begin(Part(f"source {kind}", id_ or None, done + items, done))
            case events.SourceProgress(type=kind, done=done, total=total):
                self._progress(f"source {kind}", done, total)
            case events.SourceFinished(result=result):
                self._finish_source(result)
            case events.ExportStarted(name=name):
                self._record(f"exporting {name}\n", ENGINE)
            case events.ExportFinished(result=result) if result.success:
                self._record(f"exported {result.name} to {result.path}\n", ENGINE, duration=result.seconds)
            case _:
                pass

    def _begin(self, part: Part) -> None:
        self._parts[part.name] = part
        self._record(f"Starting pipeline {part.name}", MONITOR, part)

    def _finish(self, name: str, result: dict[str, Any], seconds: float) -> None:
        part = self._parts.pop(name)._replace(number=None)
        self._done += 1
        self._record(f"Finished pipeline {name}", MONITOR, part, result=result, duration=seconds, whole=True)

    def _finish_stage(self, result: StageResult) -> None:
        part = self._parts[result.pipeline]._replace(number=result.number)
        options = self._options(part)
        done = max(part.done, result.number + 1) if result.success else part.done
        part = self._parts[result.pipeline] = part._replace(done=done)
        self._record(
            f"Finished module {result.type}",
            MONITOR,
            part,
            result=_stage_document(result),
            options=options,
            duration=result.seconds,
            metadata=result.metadata,
        )
        # Whatever comes next is not this stage's.
        self._parts[result.pipeline] = part._replace(number=None)

    def _progress(self, name: str, done: int, total: int) -> None:
        part = self._parts[name]
        # The rest was there before.
        done = max(part.done, part.total - total + done)
        part = self._parts[name] = part._replace(done=done)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL
            self._record(f"{name}: {done} of {part.total} items\n", ENGINE, part)

    def _finish_source(self, result: SourceResult) -> None:
        name = f"source {result.type}"
        part = self._parts[name]
        if result.success:
            part = self._parts[name] = part._replace(done=part.total)
        self._fetched[result.type] = part.done
        document = _source_document(result, part)
        self._record(
            f"Finished module {result.type}", MONITOR, part, result=document, duration=result.seconds
        )
        self._finish(name, {**document, "name": name, "output": None, "results": None}, result.seconds)

    def _type(self, part: Part) -> str | None:
        context = self._stage_context(part)
        return context["name"] if context else None

    def _options(self, part: Part) -> Any:
        planned = self._plan.pipeline(part.name) if self._plan else None
        return planned.stages[part.number or 0].stage.options if planned else None

    def _stage_context(self, part: Part) -> dict[str, Any] | None:
        if part.number is None or self._plan is None:
            return None
        stage = self._plan.pipeline(part.name).stages[part.number].stage
        return {"name": stage.type, "id": stage.id}

    def _record(
        self,
        message: str,
        origin: str,
        part: Part | None = None,
        *,
        whole: bool = False,
        **more: Any,
    ) -> None:
        """Write one record; with ``whole``, what it is about has ended, and there is no progress within it."""
        progress: dict[str, Any] = {"name": "pipelines/sources", "total": self._total, "done": self._done}
        if part is not None and not whole:
            progress["progress"] = {"name": f"pipeline: {part.name}", "total": part.total, "done": part.done}
        record = {
            "message": message,
            "context": self._context(origin, part),
            "progress": progress,
            "timestamp": time.time(),
            **more,
        }
        self._stream.write(f"\x1e{json.dumps(_without_empty(record))}\n")

    def _context(self, origin: str, part: Part | None) -> dict[str, Any]:
        context: dict[str, Any] = {"origin": origin}
        if part is not None:
            pipeline = {"name": part.name, "id": part.id, "stage": self._stage_context(part)}
            context["pipeline"] = _without_empty(pipeline)
        id_ = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        if id_ in self._contexts:
            return {"id": id_}
        self._contexts.add(id_)
        return {**context, "id": id_}


def _pipeline_document(result: PipelineResult) -> dict[str, Any]:
    output = result.error.detail if result.error else None
    return {"name": result.name, "id": result.id, "success": result.success, "output": output}


def _stage_document(result: StageResult) -> dict[str, Any]:
    """Return a result as clients of the stream read it; of its output they get the last part."""
    return {
        "name": result.type,
        "id": result.id,
        "success": result.success,
        "output": result.output,
        "error": stage_error(result),
    }


def _source_document(result: SourceResult, part: Part) -> dict[str, Any]:
    items = [{"checksum": i.checksum, "cached": i.cached, "error": i.error} for i in result.items]
    return {
        "name": result.type,
        "id": part.id,
        "success": result.success,
        "output": result.output or (result.error.detail if result.error else None),
        "results": items if len(json.dumps(items)) <= RESULTS_MAX else None,
    }


def _without_empty(value: Any) -> Any:
    """Return ``value`` without members that are None or empty texts, however deep."""
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item is not None and item != ""}
    if isinstance(value, list | tuple):
        return [_without_empty(item) for item in value]
    return value
