"""Events as lines of JSON: what a build writes with ``--events``, and what is read from there on another machine.

Each line is an object with the name of the event (``"event": "StageStarted"``) and its fields. The plan of a run is
left out; in its place are the keys of the pipelines, by name. Readers skip what they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from osbuild_core.model import events
from osbuild_core.model.events import Event
from osbuild_core.model.results import (
    ExportResult,
    Failure,
    PipelineResult,
    RunResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)
from osbuild_core.protocol.jsoncomm import ProtocolError

KEYS = "keys"
"""Field of ``RunStarted``: the keys of the pipelines' trees, by name."""


def encode(event: Event, **more: str) -> str:
    """Return ``event`` as a line, without its end; ``more`` are further fields."""
    document = {"event": type(event).__name__, **more, **_plain(event)}
    if isinstance(event, events.RunStarted):
        del document["plan"]
        if event.plan is not None:
            document[KEYS] = {p.name: p.key for p in event.plan.pipelines}
    return json.dumps(document, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        if isinstance(value, events.RunStarted):
            value = value._replace(plan=None)
        return {name: _plain(field) for name, field in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(field) for name, field in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def parse(line: str) -> dict[str, Any]:
    """Return what a line holds. Raises ProtocolError for one that is no event."""
    try:
        document = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"a line that is no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("event"), str):
        raise ProtocolError(f"a line that is no event: {line[:200]}")
    return document


def decode(document: Mapping[str, Any]) -> Event | None:
    """Return the event of :func:`parse`; None for one that is not known. Raises ProtocolError."""
    name = document["event"]
    read = _READERS.get(name)
    kind = getattr(events, name, None)
    if read is None and (kind is None or name not in _SIMPLE):
        return None
    try:
        if read is not None:
            return read(document)
        fields = {field: document[field] for field in kind._fields if field in document}  # type: ignore[union-attr]
        event: Event = kind(**fields)  # type: ignore[misc]
        return event
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"an event {name} that cannot be read: {error!r}") from error


_SIMPLE = frozenset(
    {
        "RunStarted",
        "PipelineStarted",
        "PipelineNote",
        "StageStarted",
        "StageOutput",
        "SourceStarted",
        "ExportStarted",
        "ExportProgress",
        "ExportOutput",
        "Pulled",
        "Pushed",
        "Warned",
    }
)


def _failure(document: Any) -> Failure | None:
    if document is None:
        return None
    place = tuple(document.get("place") or ())
    return Failure(
        str(document["code"]), str(document["detail"]), document.get("hint"), place, document.get("data")
    )


def _fields(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _stage(document: Mapping[str, Any]) -> StageResult:
    names = ("pipeline", "number", "type", "id", "success", "cached", "output", "log", "metadata", "seconds")
    return StageResult(**_fields(document, *names), error=_failure(document.get("error")))


def _pipeline(document: Mapping[str, Any]) -> PipelineResult:
    return PipelineResult(
        **_fields(document, "name", "id", "success", "seconds"),
        stages=tuple(_stage(stage) for stage in document.get("stages", ())),
        error=_failure(document.get("error")),
    )


def _item(document: Mapping[str, Any]) -> SourceItemResult:
    return SourceItemResult(**_fields(document, "checksum", "success", "cached", "error"))


def _source(document: Mapping[str, Any]) -> SourceResult:
    return SourceResult(
        **_fields(document, "type", "success", "output", "seconds"),
        items=tuple(_item(item) for item in document.get("items", ())),
        error=_failure(document.get("error")),
    )


def _export(document: Mapping[str, Any]) -> ExportResult:
    return ExportResult(
        **_fields(document, "name", "success", "path", "data", "seconds"),
        error=_failure(document.get("error")),
    )


def _run(document: Mapping[str, Any]) -> RunResult:
    return RunResult(
        **_fields(document, "success", "seconds"),
        pipelines=tuple(_pipeline(one) for one in document.get("pipelines", ())),
        sources=tuple(_source(one) for one in document.get("sources", ())),
        exports=tuple(_export(one) for one in document.get("exports", ())),
    )


def _progress(document: Mapping[str, Any]) -> Event:
    item = document.get("item")
    names = ("type", "done", "total", "received", "expected")
    return events.SourceProgress(**_fields(document, *names), item=_item(item) if item else None)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "RunFinished": lambda document: events.RunFinished(_run(document["result"])),
    "PipelineFinished": lambda document: events.PipelineFinished(_pipeline(document["result"])),
    "StageFinished": lambda document: events.StageFinished(_stage(document["result"])),
    "SourceProgress": _progress,
    "SourceFinished": lambda document: events.SourceFinished(_source(document["result"])),
    "ExportFinished": lambda document: events.ExportFinished(_export(document["result"])),
}
