"""Pages as answers: templates that escape everything, and headers that let no other content act in our name."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from osbuild_core import __version__
from osbuild_core.server.page.viewer import Viewer
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service

DIRECTORY = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # What one user may see is not to stay in a cache for the next.
    "Cache-Control": "no-store",
}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r(?=\n)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Return what a program printed without what would only steer a terminal."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def duration(seconds: float | None) -> str:
    """Return a time as people say it."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size_text(size: int) -> str:
    """Return a number of bytes as people say it."""
    amount, units = float(size), ["TB", "GB", "MB", "kB"]
    if size < 1000:
        return f"{size} B"
    amount /= 1000
    unit = units.pop()
    while amount >= 1000 and units:
        amount, unit = amount / 1000, units.pop()
    return f"{amount:.1f} {unit}"


def moment(text: str | None) -> str:
    """Return a time of the API as people read it."""
    return "" if text is None else text.replace("T", " ").removesuffix("Z") + " UTC"


def described(text: str) -> Markup:
    """Return a docstring of ours with its code as code."""
    return Markup(re.sub(r"``(.+?)``", r"<code>\1</code>", str(escape(text))))


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(DIRECTORY / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"plain": plain, "duration": duration, "size": size_text}
    made.filters |= {"moment": moment, "described": described}
    made.globals["version"] = __version__
    return made


_TEMPLATES = _environment()


def root_of(request: Request) -> str:
    """Return the path in front of all of ours: a proxy may have put us below one."""
    said: str = request.scope.get("root_path", "")
    return said or urlsplit(Service.of(request).settings.url or "").path.rstrip("/")


def page(
    request: Request, template: str, viewer: Viewer | None, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """Return a page; ``viewer`` None: nobody knows who looks."""
    service = Service.of(request)
    text = _TEMPLATES.get_template(template).render(
        root=root_of(request),
        base=service.base(request),
        path=request.scope["path"].removeprefix(request.scope.get("root_path", "")),
        authentication=list(service.settings.authentication),
        viewer=viewer,
        **context,
    )
    # Halves of characters come from what others have printed, and names of files.
    return HTMLResponse(text.encode(errors="replace"), status_code=status, headers=HEADERS)


class PageRoute(APIRoute):
    """A route whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers."""
        answer = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await answer(request)
            except Refusal as refusal:
                return _refused(request, refusal)
            except RequestValidationError as error:
                place = error.errors()[0]["loc"]
                status = 404 if place[0] == "path" else 400
                return _refused(request, Refusal(status, f"{place[-1]}: {error.errors()[0]['msg']}"))

        return shown


def _refused(request: Request, refusal: Refusal) -> HTMLResponse:
    answer = page(
        request,
        "refused.html",
        None,
        status=refusal.status,
        phrase=HTTPStatus(refusal.status).phrase,
        code=refusal.status,
        message=refusal.message,
    )
    answer.headers.update(refusal.headers)
    return answer
