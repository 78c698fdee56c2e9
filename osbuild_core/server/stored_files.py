"""Serves the files of composes that are in storage: those of the attempt that counts, as the database says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select

from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.server.composes import BUSY
from osbuild_core.server.database import Database
from osbuild_core.server.files import content_response, file_response
from osbuild_core.server.lasting import Standing
from osbuild_core.server.queue import COMPOSE, attempt
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service
from osbuild_core.server.storage import LOG, Storage, Stored
from osbuild_core.server.tables import Compose, Work

NOWHERE = ""
_PATH = re.compile(r"odcs-([0-9]{1,18})/(.+)", re.DOTALL)


async def stored_response(request: Request, path: str, standing: Standing | None = None) -> Response:
    """Return a file of a compose, or lead to it. Raises Refusal (404, 503)."""
    service = Service.of(request)
    assert service.storage is not None
    match = _PATH.fullmatch(path)
    parts = path.split("/")
    if match is None or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Refusal(404, "There is no such file")
    id, file = int(match[1]), match[2]
    counts = await _attempt(service.database, id, file)
    if counts is None:
        raise Refusal(404, "There is no such file")
    if counts == NOWHERE:
        return file_response(request, service.settings.directory, path, standing)
    try:
        return await _response(request, service.storage, service.storage.key(id, counts, file), standing)
    except AwsError as error:
        raise Refusal(503, f"The storage does not answer: {error.detail}", {"Retry-After": "10"}) from None


async def _response(request: Request, storage: Storage, key: str, standing: Standing | None) -> Response:
    found = await asyncio.to_thread(storage.find, key)
    if found is None:
        raise Refusal(404, "There is no such file")
    settings = Service.of(request).settings.storage
    # Logs are small, and the page may not follow an address of another service.
    if settings is not None and settings.redirect and LOG.fullmatch(key.rpartition("/")[2]) is None:
        address = await asyncio.to_thread(storage.address, key, request.method)
        return RedirectResponse(address, status_code=307, headers={"Cache-Control": "no-store"})
    return content_response(request, StoredContent(storage, found), key, standing)


async def stored_end(service: Service, id: int, file: str, at_most: int) -> tuple[bytes, int]:
    """Return the last bytes of a file of a compose, and how long it is; nothing where it is not there."""
    assert service.storage is not None
    counts = await _attempt(service.database, id, file)
    try:
        key = service.storage.key(id, counts or "", file)
        found = None if counts is None else await asyncio.to_thread(service.storage.find, key)
        if found is None:
            return b"", 0
        content = StoredContent(service.storage, found)
        start = max(0, content.size - at_most)
        return b"".join([part async for part in content.stream(start, content.size)]), content.size
    except AwsError:
        return b"", 0


async def _attempt(database: Database, id: int, file: str) -> str | None:
    """Return the attempt whose ``file`` is to be seen: logs of the one that is made, all of one that is done.

    NOWHERE where there is none, as it was made before there was a storage.
    """
    async with database.reading() as session:
        found = (
            await session.execute(
                select(Compose.state, Compose.attempt).where(
                    Compose.id == id, Compose.target_dir == "default", Compose.reused_id.is_(None)
                )
            )
        ).first()
        if found is None:
            return None
        state, counts = State(found[0]), found[1]
        is_log = LOG.fullmatch(file) is not None
        if state in BUSY:
            work = (
                await session.execute(
                    select(Work.id, Work.fence).where(Work.kind == COMPOSE, Work.subject_id == id)
                )
            ).first()
            return attempt(*work) if work is not None and is_log else None
        if state is State.removed:
            sharing = select(Compose.id).where(Compose.reused_id == id, Compose.state != int(State.removed))
            if await session.scalar(sharing.limit(1)) is None:
                return None
        if counts is None:
            return NOWHERE
        # Cancelled in the middle, there may be some of its files.
        return counts if is_log or state is not State.failed else None


class StoredContent:
    """An object of the storage."""

    def __init__(self, storage: Storage, stored: Stored) -> None:
        self._storage = storage
        self._stored = stored
        self.size = stored.size
        self.tag = stored.tag
        self.modified = stored.modified.timestamp()

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        if start >= end:
            return
        parts: Iterator[bytes] = self._storage.read(self._stored, start, end)
        while (part := await asyncio.to_thread(next, parts, b"")) != b"":
            yield part

    def close(self) -> None:
        """Nothing is open before it is streamed."""
