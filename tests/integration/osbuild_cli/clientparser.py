"""What programs that call osbuild read: its result document and the records of its JSONSeqMonitor.

Written from the description of both, and strict: what a client could stumble over raises :class:`Malformed`. Like
theirs it takes members that it does not know; unlike them it wants to know why one that it knows is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

VALIDATION = "https://osbuild.org/validation-error"
TRUNCATED = 31_000
RECORD = frozenset(
    {"message", "result", "context", "progress", "options", "timestamp", "duration", "metadata"}
)


class Malformed(AssertionError):
    """A client would not have understood this."""


def need(condition: object, what: str, data: object = None) -> None:
    if not condition:
        raise Malformed(f"{what}: {json.dumps(data, default=str)[:2000]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    need(len(dict(pairs)) == len(pairs), "a member twice", [name for name, _ in pairs])
    return dict(pairs)


def one_document(text: str) -> dict[str, Any]:
    """Return the one JSON object that ``text`` is."""
    need(text.strip(), "no document at all")
    try:
        document: dict[str, Any] = json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise Malformed(f"{error}: {text[:500]!r}") from error
    need(isinstance(document, dict), "no object", document)
    return document


def member(document: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    need(name in document, f"no {name!r}", document)
    need(isinstance(document[name], kind), f"{name!r} is no {kind}", document)
    return document[name]


# The result of version 2


class Stage(NamedTuple):
    id: str
    type: str
    output: str
    success: bool
    error: dict[str, Any] | None


class Result(NamedTuple):
    """``error`` is its type, without what all have in common; ``failed`` what that tells of the stage or source."""

    success: bool
    metadata: dict[str, dict[str, Any]]
    sources: dict[str, list[dict[str, Any]]]
    log: dict[str, list[Stage]]
    error: str | None = None
    failed: dict[str, Any] | None = None
    errors: tuple[tuple[str, tuple[str | int, ...]], ...] = ()


def result(text: str) -> Result:
    """Return the result of a version 2 manifest, or what kept it from having one."""
    document = one_document(text)
    success = member(document, "success", bool)
    kind = member(document, "type", str)
    if kind == VALIDATION:
        need(not success, "refused and a success", document)
        need(member(document, "title", str), "no title", document)
        return Result(False, {}, {}, {}, kind, errors=tuple(_errors(document)))
    need(kind == ("result" if success else "error"), "type and success differ", document)
    log = {name: [_stage(e) for e in entries] for name, entries in member(document, "log", dict).items()}
    sources = _sources(document["sources"]) if "sources" in document else {}
    if success:
        need("error" not in document, "an error with success", document)
        metadata = member(document, "metadata", dict)
        for types in metadata.values():
            need(types and all(isinstance(data, dict) for data in types.values()), "metadata", metadata)
        return Result(True, metadata, sources, log)
    error = member(document, "error", dict)
    name, failed = _error(error)
    return Result(False, document.get("metadata", {}), sources, log, name, failed)


def _errors(document: dict[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    errors = member(document, "errors", list)
    need(errors, "no errors", document)
    for error in errors:
        path = member(error, "path", list)
        need(all(isinstance(part, str | int) for part in path), "path", error)
        yield member(error, "message", str), tuple(path)


def _stage(entry: dict[str, Any]) -> Stage:
    success = entry.get("success", True)
    need(isinstance(success, bool), "success", entry)
    error = entry.get("error")
    if error is not None:
        need(not success, "an error with success", entry)
        exception(error)
    return Stage(
        member(entry, "id", str), member(entry, "type", str), member(entry, "output", str), success, error
    )


def exception(error: dict[str, Any]) -> dict[str, str]:
    need(member(error, "type", str) == "exception", "type", error)
    data: dict[str, str] = member(error, "data", dict)
    for name in ("type", "value", "traceback"):
        member(data, name, str)
    return data


def _sources(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    success = member(document, "success", bool)
    found = {name: items for name, items in document.items() if name != "success"}
    for items in found.values():
        for item in items:
            member(item, "checksum", str)
            member(item, "cached", bool)
            need(isinstance(item.get("error", ""), str), "error", item)
            need(not (success and "error" in item), "an error with success", document)
    return found


def _error(error: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    prefix = "org.osbuild.error."
    kind = member(error, "type", str)
    need(kind.startswith(prefix), "type", error)
    details = member(error, "details", dict)
    name = kind.removeprefix(prefix)
    if name == "stage":
        stage = member(details, "stage", dict)
        for text in ("id", "type", "output"):
            member(stage, text, str)
        need("error" in stage, "no error", stage)
        if stage["error"] is not None:
            exception(stage["error"])
        return name, stage
    if name == "source":
        source = member(details, "source", dict)
        for text in ("type", "output"):
            member(source, text, str)
        return name, source
    return name, details


# The result of version 1


def result_1(text: str) -> dict[str, Any]:
    """Return the result of a version 1 manifest, as it is."""
    document = one_document(text)
    _pipeline_1(document)
    if "assembler" in document:
        _stage_1(document["assembler"])
    return document


def _pipeline_1(document: dict[str, Any]) -> None:
    member(document, "success", bool)
    if "build" in document:
        _pipeline_1(member(document, "build", dict))
    for stage in document.get("stages", []):
        _stage_1(stage)


def _stage_1(stage: dict[str, Any]) -> None:
    for text in ("id", "type", "output"):
        member(stage, text, str)
    member(stage, "success", bool)
    member(stage, "metadata", dict)
    need("error" in stage, "no error", stage)
    if stage["error"] is not None:
        exception(stage["error"])


# The records of the monitor


class Status(NamedTuple):
    """One record, with its context resolved. ``progress`` are (name, done, total), the outer one first."""

    message: str
    origin: str
    pipeline: str | None
    stage: str | None
    progress: tuple[tuple[str, int, int], ...]
    timestamp: float
    result: dict[str, Any] | None
    duration: float | None
    options: Any
    metadata: Any

    @property
    def shown(self) -> bool:
        """Whether clients show the message to their users."""
        return self.origin == "osbuild.monitor"


def records(data: bytes) -> list[Status]:
    """Return the records of a whole stream; the last one is complete, too."""
    need(data == b"" or data.endswith(b"\n"), "the stream ends within a record", data[-200:])
    reader = _Reader()
    return [reader.read(line) for line in data.split(b"\n")[:-1]]


class _Reader:
    def __init__(self) -> None:
        self._contexts: dict[str, dict[str, Any]] = {}
        self._done: dict[str, int] = {}

    def read(self, line: bytes) -> Status:
        need(line.startswith(b"\x1e"), "no record separator", line)
        document = one_document(line[1:].decode("ascii"))
        need(set(document) <= RECORD, "unknown members", document)
        _no_empty(document)
        context = self._context(member(document, "context", dict))
        pipeline = context.get("pipeline") or {}
        stage = pipeline.get("stage") or {}
        progress = tuple(self._progress(member(document, "progress", dict)))
        if "result" in document:
            _record_result(document["result"])
        return Status(
            document.get("message", ""),
            member(context, "origin", str),
            pipeline.get("name"),
            stage.get("name"),
            progress,
            member(document, "timestamp", float),
            document.get("result"),
            member(document, "duration", float) if "duration" in document else None,
            document.get("options"),
            document.get("metadata"),
        )

    def _context(self, context: dict[str, Any]) -> dict[str, Any]:
        id_ = member(context, "id", str)
        if set(context) == {"id"}:
            need(id_ in self._contexts, "a context that was never sent", context)
            return self._contexts[id_]
        need(id_ not in self._contexts, "a context that was sent before", context)
        plain = {name: value for name, value in context.items() if name != "id"}
        digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
        need(id_ == digest, "the id of another context", context)
        if "pipeline" in context:
            pipeline = member(context, "pipeline", dict)
            member(pipeline, "name", str)
            if "stage" in pipeline:
                member(member(pipeline, "stage", dict), "name", str)
                member(pipeline["stage"], "id", str)
        self._contexts[id_] = context
        return context

    def _progress(self, progress: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
        level: dict[str, Any] | None = progress
        while level is not None:
            name = member(level, "name", str)
            done, total = member(level, "done", int), member(level, "total", int)
            need(0 <= done <= total, "more is done than there is", progress)
            need(done >= self._done.get(name, 0), "less is done than before", progress)
            self._done[name] = done
            yield name, done, total
            level = level.get("progress")


def _record_result(found: dict[str, Any]) -> None:
    member(found, "name", str)
    member(found, "success", bool)
    need(isinstance(found.get("output", ""), str), "output", found)
    output = found.get("output", "")
    if len(output) > TRUNCATED:
        first, _, rest = output.partition("\n")
        need(first.startswith("[...") and first.endswith(" bytes hidden...]"), "not truncated", first)
        need(len(rest) <= TRUNCATED, "too long", len(rest))


def _no_empty(value: Any) -> None:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(value, dict):
            need(item is not None and item != "", "an empty member", value)
        _no_empty(item)
