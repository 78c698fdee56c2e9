"""The application: routes, errors in one shape, limits of size, a line of log and figures for each request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osbuild_core import __version__
from osbuild_core.server import build_routes, compose_routes, status_routes
from osbuild_core.server.lasting import Cut
from osbuild_core.server.metrics import stopwatch
from osbuild_core.server.openapi import without_validation
from osbuild_core.server.page import routes as page_routes
from osbuild_core.server.proxy import CLIENT, Forwarded
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service

log = logging.getLogger("osbuild_core.server")
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"})
"""Those that figures are kept of by name: everyone may send any word."""


def application(service: Service) -> FastAPI:
    """Return the application that answers for ``service``."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.database.close()

    app = FastAPI(
        title="osbuild-core",
        version=__version__,
        lifespan=life,
        redirect_slashes=False,
        # The page that is ours: FastAPI's own runs scripts of other hosts, in reach of the tokens of who looks.
        docs_url=None,
        redoc_url=None,
        summary="Composes as ODCS's clients ask for them, and builds of manifests",
    )
    app.state.service = service
    for routes in (compose_routes, build_routes, status_routes, page_routes):
        app.include_router(routes.router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Watch, service=service)
    described = app.openapi

    def description() -> dict[str, Any]:
        return without_validation(described())

    app.openapi = description  # type: ignore[method-assign]
    app.add_middleware(Forwarded, proxies=service.settings.proxies, root=service.settings.root_path)
    return app


def _answer(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.document(), status_code=refusal.status, headers=refusal.headers)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return _answer(error)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = error.status_code
    message = f"There is no {request.url.path}" if status == 404 else str(error.detail)
    headers = dict(error.headers or {})
    if status == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return _answer(Refusal(status, message, headers))


def _methods(request: Request) -> set[str]:
    """Return all methods for the path of ``request``; a route by itself knows only its own."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return found


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    # An address with something that is no id names nothing.
    status = 404 if place[:1] == ["path"] else 400
    return _answer(Refusal(status, f"{place[-1]}: {first['msg']}"))


async def _failed(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(Refusal(500, HTTPStatus(500).phrase))


class Watch:
    """Refuses bodies that are too large, and writes down every request."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answered = stopwatch(), 0
        limit, taken = self._service.settings.limits.request_bytes, 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit and answered:
                # It has its answer already, and sends on what nobody reads.
                return {"type": "http.disconnect"}
            if taken > limit:
                raise Refusal(413, f"The body is larger than {limit} bytes", {"Connection": "close"})
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = int(message["status"])
            await send(message)

        try:
            if _length(scope) > limit:
                refusal = Refusal(413, f"The body is larger than {limit} bytes", {"Connection": "close"})
                await _answer(refusal)(scope, receive, noted)
            else:
                await self._app(scope, limited, noted)
        except Cut:
            # An answer that is not whole has its connection closed.
            log.info("cut off", extra={"data": {"path": scope["path"], "client": scope.get(CLIENT) or None}})
        finally:
            self._note(scope, answered or 500, stopwatch() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # The pattern, not the path: everyone may ask for any path.
        route = getattr(scope.get("route"), "path", "none")
        metrics = self._service.metrics
        method = scope["method"] if scope["method"] in METHODS else "other"
        metrics.requests.labels(method if route != "none" else "none", route, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        log.info(
            "request",
            extra={
                "data": {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "milliseconds": round(seconds * 1000, 1),
                    "client": scope.get(CLIENT) or None,
                }
            },
        )


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else 0
    return 0


def openapi(service: Service) -> dict[str, Any]:
    """Return the description of the API."""
    return application(service).openapi()
