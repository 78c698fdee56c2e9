"""Where the pages are: an overview, lists, builds, composes, what to begin with, and the API to read."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from osbuild_core.exports.compose.journal import ERRORS
from osbuild_core.exports.compose.vocabulary import FLAGS, SourceType, State
from osbuild_core.server import builds, composes
from osbuild_core.server.build_routes import build_for, builds_for, exported
from osbuild_core.server.compose_document import compose_document
from osbuild_core.server.compose_routes import Id, composes_for
from osbuild_core.server.files import file_response, opened
from osbuild_core.server.page.answer import DIRECTORY, PageRoute, page, plain
from osbuild_core.server.page.commands import address, curl, same_compose
from osbuild_core.server.page.following import Following
from osbuild_core.server.page.progress import progress
from osbuild_core.server.page.viewer import Viewer, viewer_of
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service, sender
from osbuild_core.server.stored_files import stored_end

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LOG = 64 << 10
"""How much of the end of a log is in a page: bytes, for builds characters."""
PER_PAGE = 25
FEW = 8
FILES = 1000
BUSY = (State.wait.name, State.generating.name)
EXAMPLE = {
    "manifest": {
        "version": "2",
        "pipelines": [
            {
                "name": "tree",
                "runner": "org.osbuild.linux",
                "stages": [
                    {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
                    {"type": "org.osbuild.hostname", "options": {"hostname": "built"}},
                ],
            }
        ],
    },
    "exports": ["tree"],
}
STATES = list(State.__members__)
TYPES = list(SourceType.__members__)
State_ = Annotated[str | None, Query(pattern=f"^({'|'.join(STATES)}|)$")]
Type_ = Annotated[str | None, Query(pattern=f"^({'|'.join(TYPES)}|)$")]
Page_ = Annotated[int, Query(ge=1, le=1 << 31)]


def _following(request: Request) -> Following:
    service = Service.of(request)
    state = request.app.state
    if not hasattr(state, "following"):
        state.following = Following(service.settings, service.database)
    found: Following = state.following
    return found


async def _reader(request: Request) -> Viewer:
    viewer = await viewer_of(request)
    viewer.policy.reader(viewer.reading)
    return viewer


@router.get("/")
@router.get("/api/1")
@router.get("/api/1/")
async def overview(request: Request) -> Response:
    """Show what was asked for last."""
    viewer = await viewer_of(request)
    return page(
        request,
        "overview.html",
        viewer,
        builds=await _newest_builds(request, viewer),
        composes=await _newest_composes(request, viewer),
    )


async def _newest_builds(request: Request, viewer: Viewer) -> list[dict[str, Any]] | None:
    """Return documents, None where this one may not see them."""
    if viewer.writing is None:
        return None
    rows, _ = await builds_for(Service.of(request), viewer.writing, 1, FEW, None, None)
    return [builds.build_document(row) for row in rows]


async def _newest_composes(request: Request, viewer: Viewer) -> list[dict[str, Any]] | None:
    try:
        viewer.policy.reader(viewer.reading)
    except Refusal:
        return None
    service = Service.of(request)
    rows, _ = await composes_for(service, {}, 1, FEW)
    return [compose_document(row, service.settings, service.base(request)) for row in rows]


def _pages(path: str, number: int, total: int, asked: dict[str, str]) -> dict[str, Any]:
    """Return what the lines below a list say; addresses are queries."""

    def query(wanted: int) -> str:
        return "?" + urlencode({**asked, "page": wanted})

    pages = max(1, -(-total // PER_PAGE))
    return {
        "page": number,
        "pages": pages,
        "total": total,
        "previous": query(min(number - 1, pages)) if number > 1 else None,
        "next": query(number + 1) if number < pages else None,
    }


@router.get("/ui/composes")
async def compose_list(
    request: Request,
    page_: Annotated[Page_, Query(alias="page")] = 1,
    state: State_ = None,
    source_type: Type_ = None,
    owner: str | None = None,
) -> Response:
    """List composes."""
    viewer = await _reader(request)
    service = Service.of(request)
    given = {"state": state, "source_type": source_type, "owner": owner}
    asked = {name: value for name, value in given.items() if value}
    rows, total = await composes_for(service, asked, page_, PER_PAGE)
    return page(
        request,
        "composes.html",
        viewer,
        composes=[compose_document(row, service.settings, service.base(request)) for row in rows],
        pages=_pages("/ui/composes", page_, total, asked),
        asked=asked,
        states=STATES,
        types=TYPES,
    )


@router.get("/ui/composes/{id}")
async def compose(request: Request, id: Id) -> Response:
    """Show a compose."""
    viewer = await _reader(request)
    service = Service.of(request)
    row = await composes.get(service.database, id)
    if row is None:
        raise Refusal(404, f"There is no compose {id}")
    shown = compose_document(row, service.settings, service.base(request))
    folder = composes.record(row).directory_id
    log, offset = b"", 0
    if row.target_dir == "default" and service.storage is not None:
        log, offset = await stored_end(service, folder, ERRORS, LOG)
    elif row.target_dir == "default":
        log, offset = await asyncio.to_thread(_log_end, service, f"odcs-{folder}/{ERRORS}")
    return page(
        request,
        "compose.html",
        viewer,
        compose=shown,
        type=SourceType(row.source_type).name,
        busy=shown["state_name"] in BUSY,
        log=plain(log.decode(errors="replace")),
        log_path=f"/composes/odcs-{folder}/{ERRORS}" if row.target_dir == "default" else None,
        offset=offset,
        cut=offset > LOG,
        reused=row.reused_id,
        # Where everyone may read, a plain link does: it may lead to another service.
        guarded=not service.settings.access.public_read,
        command=same_compose(shown),
        server=address(service.base(request)),
        seconds=service.settings.limits.seconds_to_live,
        longest=service.settings.limits.max_seconds_to_live,
        may_renew=viewer.may_renew(),
        may_remove=viewer.may_remove(row.owner),
    )


def _log_end(service: Service, path: str) -> tuple[bytes, int]:
    """Return the end of a log and how long it is; nothing where it is not there (yet)."""
    try:
        fd = opened(service.settings.directory, path)
    except Refusal:
        return b"", 0
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, LOG, max(0, size - LOG)), size
    finally:
        os.close(fd)


@router.get("/ui/builds")
async def build_list(
    request: Request,
    page_: Annotated[Page_, Query(alias="page")] = 1,
    state: State_ = None,
    owner: str | None = None,
) -> Response:
    """List builds."""
    viewer = await viewer_of(request)
    service = Service.of(request)
    # Not as one who reads: what is built is for nobody else, on this machine neither.
    who = await sender(request)
    rows, total = await builds_for(service, who, page_, PER_PAGE, state or None, owner or None)
    asked = {name: value for name, value in (("state", state), ("owner", owner)) if value}
    return page(
        request,
        "builds.html",
        viewer,
        builds=[builds.build_document(row) for row in rows],
        pages=_pages("/ui/builds", page_, total, asked),
        asked=asked,
        states=STATES,
    )


@router.get("/ui/builds/{id}")
async def build(request: Request, id: Id) -> Response:
    """Show a build as it is now."""
    await build_for(request, id)
    viewer = await viewer_of(request)
    database = Service.of(request).database
    known = await _following(request).of(id)
    # Read once more, after the events: who sees the last one sees the state, too.
    row = await builds.get(database, id)
    shown = builds.build_document(row, result=row.result)
    text, cut = await builds.printed(database, id, known.last, LOG)
    over = shown["state_name"] not in BUSY
    return page(
        request,
        "build.html",
        viewer,
        build=shown,
        over=over,
        progress=progress(known.outline, known.happened, now=time.time(), over=over, result=row.result),
        exports=[
            {"name": one["name"], "success": one["success"], "data": json.dumps(one["data"], indent=2)}
            for one in (row.result or {}).get("exports", ())
        ],
        log=plain(text),
        cut=cut,
        after=known.last,
        may_cancel=viewer.may_cancel(row.owner),
    )


@router.get("/ui/builds/{id}/files")
async def build_files(request: Request, id: Id) -> Response:
    """List what a build has exported."""
    await build_for(request, id)
    viewer = await viewer_of(request)
    service = Service.of(request)
    found = await asyncio.to_thread(exported, service, id)
    return page(
        request,
        "files.html",
        viewer,
        id=id,
        files=found[:FILES],
        total=len(found),
        command=curl(
            f"{service.base(request)}/builds/{id}/files/{found[0]['path'] if found else 'PATH'}",
            "-O",
            token=bool(service.settings.authentication),
        ),
    )


@router.get("/ui/new")
async def new(request: Request) -> Response:
    """Show how to ask for a compose and a build, in the page and in a shell."""
    viewer = await viewer_of(request)
    service = Service.of(request)
    base = service.base(request)
    guarded = bool(service.settings.authentication)
    posted = ("-H", "Content-Type: application/json", "-d", "@build.json")
    return page(
        request,
        "new.html",
        viewer,
        types=TYPES,
        flags=list(FLAGS),
        server=address(base),
        example=json.dumps(EXAMPLE, indent=2),
        submit=curl(f"{base}/builds", *posted, token=guarded),
        follow=curl(f"{base}/builds/1/events", "-N", token=guarded),
        seconds=service.settings.limits.seconds_to_live,
        longest=service.settings.limits.max_seconds_to_live,
        may_compose=viewer.may_compose(),
        may_build=viewer.may_build(),
    )


@router.get("/docs")
async def api(request: Request) -> Response:
    """Show the description of the API to people; it brings no script of others along, as FastAPI's own does."""
    viewer = await viewer_of(request)
    calls = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    tags = sorted({call["tags"][0] for call in calls})
    return page(request, "api.html", viewer, calls=calls, tags=tags)


@router.get("/ui/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Give style and scripts."""
    answer = file_response(request, DIRECTORY / "static", name)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@router.get("/ui/{rest:path}")
async def nothing(request: Request, rest: str) -> Response:
    """Say so as a page."""
    raise Refusal(404, f"There is no page {request.url.path}")
