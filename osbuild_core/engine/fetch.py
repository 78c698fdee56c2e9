"""Fetches items of sources: one service for each group of items that something waits for."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from osbuild_core.engine.services import Services
from osbuild_core.model.errors import OsbuildError
from osbuild_core.model.events import SourceFinished, SourceProgress, SourceStarted
from osbuild_core.model.manifest import Source
from osbuild_core.model.plan import Fetch
from osbuild_core.model.results import Failure, SourceItemResult, SourceResult
from osbuild_core.protocol.source_api import download, parse_downloaded, parse_progress

if TYPE_CHECKING:
    from osbuild_core.engine.session import Session


def run_fetch(session: Session, source: Source, fetch: Fetch) -> SourceResult:
    """Fetch the items of ``fetch`` that the store lacks. What failed is in the result, not raised."""
    started = time.monotonic()
    sources = session.store.sources
    session.emit(SourceStarted(source.type, len(fetch.checksums)))
    missing = {c: source.items[c] for c in fetch.checksums if not sources.has(c)}
    cached = tuple(SourceItemResult(c, True, cached=True) for c in fetch.checksums if c not in missing)
    error, items, output = None, cached, ""
    if missing:
        try:
            fetched, output = _download(session, source, missing)
            items += fetched
            error = _failure(source, fetched)
        except OsbuildError as problem:
            error = Failure(problem.code, problem.detail, problem.hint, problem.place or source.path)
    if error is not None and session.cancel.is_set():
        error = Failure("cancelled", "cancelled", place=source.path)
    result = SourceResult(
        source.type, error is None, items, output, error=error, seconds=time.monotonic() - started
    )
    session.emit(SourceFinished(result))
    return result


def _download(
    session: Session, source: Source, missing: dict[str, Any]
) -> tuple[tuple[SourceItemResult, ...], str]:
    def progress(value: Any) -> None:
        update = parse_progress(value)
        if update is not None:
            session.emit(
                SourceProgress(
                    source.type, update.done, update.total, update.received, update.expected, update.item
                )
            )

    printed: list[str] = []
    environment = {}
    if session.settings.mirrors:
        environment["OSBUILD_SOURCES_CURL_MIRRORS"] = json.dumps(
            {prefix: list(alternatives) for prefix, alternatives in session.settings.mirrors}
        )
    module = session.module("sources", source.type)
    with session.store.scratch("source") as scratch:
        with (
            Services(session.spawner, scratch, show=printed.append, environment=environment) as services,
            _CancelWatch(session, services),
        ):
            service = services.start(module, f"source/{source.type}")
            arguments = download(missing, source.options, str(session.store.sources.path))
            reply = services.call(service, "download", arguments, progress)
        done = parse_downloaded(reply, list(missing))
    return done.items, done.output + "".join(printed)


def _failure(source: Source, items: tuple[SourceItemResult, ...]) -> Failure | None:
    failed = [item for item in items if not item.success]
    if not failed:
        return None
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    checksum = failed[0].checksum
    place = (*source.path, "items", checksum) if checksum in source.items else source.path
    return Failure("source.failed", f"{failed[0].error or 'not fetched'}{more}", None, place)


class _CancelWatch:
    """Ends the services of a fetch when the run is cancelled: their call then returns."""

    def __init__(self, session: Session, services: Services) -> None:
        self._session = session
        self._services = services
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="cancel watch")

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            if self._session.cancel.is_set():
                self._services.cancel()
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
