"""Fetches items of sources: one service for each group of items that something waits for."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.engine.services import Services
from osbuild_core.model.events import SourceFinished, SourceProgress, SourceStarted
from osbuild_core.model.manifest import Manifest, Source
from osbuild_core.model.plan import Fetch
from osbuild_core.model.results import Failure, SourceItemResult, SourceResult
from osbuild_core.protocol.source_api import Downloaded, download, parse_downloaded, parse_progress

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context


_REACH = "is it there, and can this machine reach it?"
_SPACE = "free some space, or lower --cache-max-size"
_DATA = "correct the data in the manifest"
_CHANGED = "correct the checksum, or take the content that it was made of"


def run_fetch(context: Context, manifest: Manifest, fetch: Fetch) -> SourceResult:
    """Fetch the items of ``fetch`` that the store lacks. What failed is in the result, not raised."""
    started = time.monotonic()
    source = manifest.sources[fetch.source]
    sources = context.store.sources
    context.emit(SourceStarted(source.type, len(fetch.checksums), source.id))
    items: tuple[SourceItemResult, ...] = ()
    error, output = None, ""
    try:
        missing = {c: source.items[c] for c in sources.missing(fetch.checksums)}
        items = tuple(SourceItemResult(c, True, cached=True) for c in fetch.checksums if c not in missing)
        if missing and context.remote is not None:
            from osbuild_core.engine.sharing import pull_sources

            came = pull_sources(context, missing)
            items += tuple(SourceItemResult(c, True) for c in missing if c in came)
            missing = {c: item for c, item in missing.items() if c not in came}
        if missing:
            expected = sum(manifest.size_of(checksum) for checksum in missing)
            done = _download(context, source, missing, expected)
            items, output = items + done.items, done.output
            error = _failure(source, done)
    except FAILURES as problem:
        error = failure_of(problem, f"fetching from {source.type}", source.path)
    if error is not None and context.cancel.is_set():
        error = cancelled(source.path)
    result = SourceResult(
        source.type, error is None, items, output, error=error, seconds=time.monotonic() - started
    )
    context.emit(SourceFinished(result))
    return result


def _download(context: Context, source: Source, missing: dict[str, Any], expected: int) -> Downloaded:
    def progress(value: Any) -> None:
        update = parse_progress(value)
        if update is not None:
            total = update.expected or expected
            context.emit(
                SourceProgress(source.type, update.done, update.total, update.received, total, update.item)
            )

    printed: list[str] = []
    environment = {}
    if context.settings.mirrors:
        environment["OSBUILD_SOURCES_CURL_MIRRORS"] = json.dumps(
            {prefix: list(alternatives) for prefix, alternatives in context.settings.mirrors}
        )
    module = context.module("sources", source.type)
    with context.store.scratch("source") as scratch:
        with Services(
            context.spawner,
            scratch,
            show=printed.append,
            cancel=context.cancel,
            environment=environment,
        ) as services:
            service = services.start(module, f"source/{source.type}")
            arguments = download(missing, source.options, str(context.store.sources.path))
            reply = services.call(service, "download", arguments, progress)
        done = parse_downloaded(reply, list(missing))
    return done._replace(output=done.output + "".join(printed))


def _failure(source: Source, done: Downloaded) -> Failure | None:
    failed = [item for item in done.items if not item.success]
    if not failed:
        said = done.output.strip().splitlines() or ["it does not say why"]
        return None if done.success else Failure("source.failed", said[-1], _REACH, source.path)
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    checksum = failed[0].checksum
    place = (*source.path, "items", checksum) if checksum in source.items else source.path
    reason = failed[0].error or "not fetched"
    hint = _hint(reason, checksum, source.items.get(checksum))
    return Failure("source.failed", f"{reason}{more}", hint, place)


def _hint(reason: str, checksum: str, item: Any) -> str:
    """Return what to do about an ``item`` of a manifest that failed for that reason."""
    # Sources of ours say last what they should have got.
    if reason.endswith(checksum):
        return _CHANGED
    if any(os.strerror(number) in reason for number in (errno.ENOSPC, errno.EDQUOT)):
        return _SPACE
    # What is in the manifest itself is not far away.
    return _DATA if isinstance(item, Mapping) and "data" in item else _REACH
