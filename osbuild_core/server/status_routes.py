"""What the service says about itself: about, metrics, health, readiness, and the files of composes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy import text

from osbuild_core import __version__
from osbuild_core.resolve.entries import without_credentials
from osbuild_core.server.compose_routes import OPEN
from osbuild_core.server.database import HEAD
from osbuild_core.server.files import file_response
from osbuild_core.server.lasting import Standing
from osbuild_core.server.metrics import CONTENT_TYPE
from osbuild_core.server.openapi import ABOUT, ERRORS, STATUS, answers
from osbuild_core.server.service import Service, reader
from osbuild_core.server.settings import Access, ServerSettings
from osbuild_core.server.stored_files import stored_response

router = APIRouter(tags=["service"])

_BACKENDS = {"oidc": "openidc", "certificate": "ssl", "token": "token"}


@router.get("/api/1/about", dependencies=[Depends(reader)], responses=ERRORS, include_in_schema=False)
@router.get("/api/1/about/", dependencies=[Depends(reader)], responses=answers(ABOUT))
async def about(request: Request) -> JSONResponse:
    """Tell the version, how to authenticate and who may do what."""
    settings = Service.of(request).settings
    document: dict[str, Any] = {
        "version": __version__,
        "auth_backend": _backend(settings),
        "allowed_clients": _clients(settings.access),
        "raw_config_urls": {
            name: {"url": without_credentials(raw.url)} for name, raw in settings.composes.raw_configs.items()
        },
        "sigkeys": list(settings.composes.sigkeys),
    }
    return JSONResponse(document, headers=OPEN)


def _backend(settings: ServerSettings) -> str:
    """Return ODCS's word for how clients authenticate."""
    if not settings.authentication:
        return "noauth"
    return "_or_".join(_BACKENDS[name] for name in settings.authentication)


def _clients(access: Access) -> dict[str, Any]:
    return {
        kind: {name: one.model_dump(exclude_none=True) for name, one in getattr(access.clients, kind).items()}
        for kind in ("users", "groups")
    }


@router.get("/api/1/metrics", dependencies=[Depends(reader)], include_in_schema=False)
@router.get("/metrics", dependencies=[Depends(reader)], include_in_schema=False)
@router.get(
    "/api/1/metrics/",
    dependencies=[Depends(reader)],
    response_class=PlainTextResponse,
    responses=ERRORS,
)
async def metrics(request: Request) -> Response:
    """Give figures for Prometheus."""
    service = Service.of(request)
    return Response(await service.metrics.text(service.database), media_type=CONTENT_TYPE, headers=OPEN)


@router.get("/health")
async def health() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get(
    "/ready",
    responses={
        200: {"content": {"application/json": {"schema": STATUS}}},
        503: {
            "description": "The database is not there or not ours",
            "content": {"application/json": {"schema": STATUS}},
        },
    },
)
async def ready(request: Request) -> JSONResponse:
    """Tell whether requests can be served: the database answers and has our schema."""
    service = Service.of(request)
    try:
        async with service.database.reading() as session:
            found = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except Exception:
        return JSONResponse({"status": "no database"}, status_code=503)
    if found != HEAD:
        return JSONResponse({"status": f"schema {found}, not {HEAD}"}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.get("/favicon.ico", include_in_schema=False)
async def icon() -> Response:
    """Have none."""
    return Response(status_code=204)


@router.get("/composes/{path:path}", dependencies=[Depends(reader)], include_in_schema=False)
@router.head("/composes/{path:path}", dependencies=[Depends(reader)], include_in_schema=False)
async def compose_file(request: Request, path: str) -> Response:
    """Give a file of a compose, whole or in part."""
    service = Service.of(request)
    # What everybody may read, who asked may read, too, whatever became of their token.
    standing = None if service.settings.access.public_read else Standing(lambda: reader(request))
    if service.storage is not None:
        return await stored_response(request, path, standing)
    return file_response(request, service.settings.directory, path, standing)
