"""``/builds``: submit a manifest, follow it, fetch what it made, cancel it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.model.errors import ManifestError, OsbuildError, place_text
from osbuild_core.server import builds
from osbuild_core.server.access import Identity
from osbuild_core.server.compose_document import time_text
from osbuild_core.server.compose_routes import LARGEST, Id, Text
from osbuild_core.server.files import file_response
from osbuild_core.server.lasting import Standing
from osbuild_core.server.openapi import ACCEPTED, BUILD, BUILDS, ERRORS, NEW_BUILD, answers
from osbuild_core.server.openapi import FILES as LISTED
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service, document, sender
from osbuild_core.server.tables import Build

router = APIRouter(prefix="/builds", tags=["builds"])
POLL = 0.3
"""Seconds between looks at the database for somebody who follows a build."""
KEEP_ALIVE = 15.0
FILES = 10_000
STATES = f"^([0-4]|{'|'.join(State.__members__)})$"


async def _mine(request: Request, id: int) -> tuple[Build, Identity]:
    """Return a build that belongs to who asks. Raises Refusal (401, 403, 404; 410 for one that is removed)."""
    service = Service.of(request)
    # Not as one who reads: what a build makes may have secrets in it, and other users of this machine are others.
    who = await sender(request)
    if who is None:
        raise Refusal(401, "A token is needed", {"WWW-Authenticate": "Bearer"})
    row = await builds.get(service.database, id)
    if row.owner != who.user and not service.policy.is_admin(who):
        raise Refusal(403, f"Build {id} belongs to somebody else")
    if State(row.state) is State.removed:
        raise Refusal(410, f"Build {id} is not there any more: it expired at {time_text(row.time_to_expire)}")
    return row, who


def _directory(service: Service, id: int) -> FilePath:
    return service.settings.builds / f"build-{id}"


@router.post("", responses=answers(BUILD, 202), openapi_extra=NEW_BUILD, status_code=202)
@router.post("/", responses=ERRORS, openapi_extra=NEW_BUILD, status_code=202, include_in_schema=False)
async def submit(request: Request) -> JSONResponse:
    """Submit a manifest: ``{"manifest": {…}, "exports": [names]}``. Without exports its last pipelines are built.

    ``seconds_to_live`` is how long the build is kept after it is over.
    """
    service = Service.of(request)
    who = service.policy.builder(await sender(request), "new-build")
    asked = await document(request, needed=True)
    if not isinstance(asked, dict) or not isinstance(asked.get("manifest"), dict):
        raise Refusal(400, "The body has to be an object with a 'manifest'")
    exports = asked.get("exports", [])
    if not isinstance(exports, list) or not all(isinstance(name, str) for name in exports):
        raise Refusal(400, "exports: has to be a list of names")
    if unknown := set(asked) - {"manifest", "exports", "seconds_to_live"}:
        raise Refusal(400, f"There is no parameter {sorted(map(str, unknown))[0][:60]!r}")
    limits = service.settings.limits
    seconds = asked.get("seconds_to_live", limits.build_seconds_to_live)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
        raise Refusal(400, "seconds_to_live: has to be a number of seconds, 1 or more")
    await asyncio.to_thread(_check, service, asked["manifest"], exports)
    row = await builds.submit(
        service.database,
        asked["manifest"],
        exports,
        who.user,
        at_most=limits.queued_per_owner,
        seconds_to_live=min(seconds, limits.max_build_seconds_to_live),
    )
    service.wake()
    return JSONResponse(
        builds.build_document(row),
        status_code=202,
        headers={"Location": f"{request.scope.get('root_path', '')}/builds/{row.id}"},
    )


def _check(service: Service, manifest: dict[str, Any], exports: list[str]) -> None:
    """Refuse now what a worker could only refuse later. Raises Refusal (400)."""
    from osbuild_core.engine.plan import export_targets
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings

    settings = service.settings
    try:
        with Session(Settings(store=settings.data / "none", library=settings.library)) as session:
            export_targets(session.load(manifest), exports)
    except ManifestError as error:
        issue = error.issues[0]
        raise Refusal(400, f"{place_text(issue.path)}: {issue.message}") from None
    except OsbuildError as error:
        raise Refusal(400, error.detail) from None


@router.get("", responses=answers(BUILDS))
@router.get("/", responses=ERRORS, include_in_schema=False)
async def list_builds(
    request: Request,
    page: Annotated[int, Query(ge=1, le=1 << 31)] = 1,
    per_page: Annotated[int, Query(ge=1, le=1000)] = 10,
    state: Annotated[str | None, Query(pattern=STATES)] = None,
    owner: Text | None = None,
) -> JSONResponse:
    """List the builds of who asks, of everyone for administrators; ``state`` is a number or a name.

    Of those that have expired, this is all that is left.
    """
    who = await sender(request)
    rows, total = await builds_for(Service.of(request), who, page, per_page, state, owner)
    meta = {"page": page, "per_page": per_page, "total": total, "pages": -(-total // per_page)}
    return JSONResponse({"meta": meta, "items": [builds.build_document(row) for row in rows]})


@router.get("/{id}", responses=answers(BUILD))
async def get_build(request: Request, id: Id) -> JSONResponse:
    """Return a build with its result."""
    row, _ = await _mine(request, id)
    return JSONResponse(builds.build_document(row, result=row.result))


@router.delete("/{id}", responses=answers(ACCEPTED, 202), status_code=202)
async def cancel(request: Request, id: Id) -> JSONResponse:
    """Cancel a build that is not over."""
    service = Service.of(request)
    service.policy.builder(await sender(request), "delete-build")
    _, who = await _mine(request, id)
    await builds.cancel(service.database, id, who.user)
    service.wake()
    return JSONResponse({"status": 202, "message": f"Build {id} has been canceled."}, status_code=202)


@router.get(
    "/{id}/events", responses={**ERRORS, 200: {"description": "Events", "content": {"text/event-stream": {}}}}
)
async def follow(
    request: Request, id: Id, after: Annotated[int, Query(ge=0, le=LARGEST)] = 0
) -> StreamingResponse:
    """Send what happens in a build, as it happens, from its beginning or the event ``after`` on.

    Server-sent events (HTML Living Standard, 9.2). The last one is ``end``, or ``refused`` with the document of an
    error, where who asked may not follow any more. A client that was cut off goes on by ``Last-Event-ID``.
    """
    await _mine(request, id)
    last = request.headers.get("last-event-id", "")
    start = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else after
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    parts = _stream(Service.of(request), id, start, _standing(request, id))
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


def _standing(request: Request, id: int) -> Standing:
    """Return whether the build may still be read by who asks."""
    return Standing(lambda: _mine(request, id))


async def _stream(service: Service, id: int, after: int, standing: Standing) -> AsyncIterator[str]:
    silent = 0.0
    # Who follows goes on at the next server, or at this one when it is back.
    while not service.is_stopping():
        if (refusal := await standing.refused()) is not None:
            yield f"id: {after}\nevent: refused\ndata: {json.dumps(refusal.document())}\n\n"
            return
        found = await builds.events(service.database, id, after)
        for event in found:
            after, silent = event.id, 0.0
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"
            if event.kind == "end":
                return
        if not found:
            await asyncio.sleep(POLL)
            silent += POLL
        if silent >= KEEP_ALIVE:
            # Who has gone is noticed by writing only.
            silent = 0.0
            yield ": still here\n\n"


@router.get("/{id}/log", responses={**ERRORS, 200: {"description": "Text", "content": {"text/plain": {}}}})
async def log(request: Request, id: Id) -> StreamingResponse:
    """Return what the stages have printed so far."""
    await _mine(request, id)
    service = Service.of(request)

    async def text() -> AsyncIterator[bytes]:
        after = 0
        while found := await builds.events(service.database, id, after):
            after = found[-1].id
            lines = "".join(str(event.data.get("text", "")) for event in found if event.kind == "output")
            yield lines.encode(errors="replace")

    parts = _standing(request, id).stream(text())
    return StreamingResponse(parts, media_type="text/plain; charset=utf-8")


@router.get("/{id}/files", responses=answers(LISTED))
async def list_files(request: Request, id: Id) -> JSONResponse:
    """List the files that a build has exported, with their sizes in bytes."""
    await _mine(request, id)
    return JSONResponse({"files": await asyncio.to_thread(_files, _directory(Service.of(request), id))})


def _files(directory: FilePath) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = FilePath(folder, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                # Names are bytes; JSON has text.
                shown = os.fsencode(path.relative_to(directory)).decode(errors="replace")
                found.append({"path": shown, "size": status.st_size})
                if len(found) >= FILES:
                    return found
    return found


@router.get("/{id}/files/{path:path}", include_in_schema=False)
@router.head("/{id}/files/{path:path}", include_in_schema=False)
async def build_file(request: Request, id: Id, path: str) -> Response:
    """Give a file that a build has exported."""
    await _mine(request, id)
    return file_response(request, _directory(Service.of(request), id), path, _standing(request, id))


# For the page, which shows what the API answers.


async def builds_for(
    service: Service, who: Identity | None, page: int, per_page: int, state: str | None, owner: str | None
) -> tuple[list[Build], int]:
    """Return the builds that ``who`` may see, the newest first, and how many there are. Raises Refusal (401)."""
    if who is None:
        raise Refusal(401, "A token is needed", {"WWW-Authenticate": "Bearer"})
    filters: dict[str, Any] = {}
    if "\0" in (owner or ""):
        # No text in a database has it, and PostgreSQL does not take it.
        raise Refusal(400, "owner: has a character that no text has")
    if owner is not None:
        filters["owner"] = owner
    if state is not None:
        filters["state"] = int(State[state]) if state in State.__members__ else int(state)
    if not service.policy.is_admin(who):
        if owner not in (None, who.user):
            return [], 0
        filters["owner"] = who.user
    return await builds.listed(service.database, filters, page, per_page)


async def build_for(request: Request, id: int) -> Build:
    """Return a build that who asks may see, with its result. Raises Refusal (401, 403, 404, 410)."""
    return (await _mine(request, id))[0]


def exported(service: Service, id: int) -> list[dict[str, Any]]:
    """Return the files that a build has exported: ``path`` and ``size``, at most ``FILES``."""
    return _files(_directory(service, id))
