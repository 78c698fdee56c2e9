"""``/api/1/composes``: make, read, list, renew and remove composes, as ODCS's clients do (ODCS 0.9.2, views.py)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.parsing import parse_renewal, parse_request
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.model.errors import place_text
from osbuild_core.server import composes
from osbuild_core.server.compose_document import compose_document
from osbuild_core.server.counts import counted
from osbuild_core.server.openapi import ACCEPTED, COMPOSE, COMPOSES, ERRORS, NEW_COMPOSE, RENEWAL, answers
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service, document, reader, sender
from osbuild_core.server.sources import check_addresses
from osbuild_core.server.tables import Compose

router = APIRouter(prefix="/api/1/composes", tags=["composes"])
LARGEST = (1 << 63) - 1
Id = Annotated[int, Path(ge=0, le=LARGEST)]
Text = Annotated[str, Query(pattern=r"^[^\x00]*$")]
"""What a column may have: no text in a database has NUL, and PostgreSQL does not take it."""
OPEN = {"Access-Control-Allow-Origin": "*"}

ORDERS = (
    *("id", "owner", "source_type", "koji_event", "state", "time_to_expire"),
    *("time_submitted", "time_done", "time_removed"),
)
NUMBERS = {"source_type": SourceType, "state": State, "koji_task_id": None}


def _one_of(names: type[IntEnum]) -> str:
    """Return the pattern of a number or a name."""
    return f"^([0-9]{{1,9}}|{'|'.join(names.__members__)})$"


TEXTS = ("owner", "source", "pungi_compose_id", "compose_type", "label")


def both(path: str) -> tuple[str, ...]:
    """Return ``path`` with and without a slash at the end: clients use either."""
    return (path.rstrip("/"), path.rstrip("/") + "/")


@router.get("", responses=ERRORS, dependencies=[Depends(reader)], include_in_schema=False)
@router.get("/", responses=answers(COMPOSES), dependencies=[Depends(reader)])
async def list_composes(
    request: Request,
    page: Annotated[int, Query(ge=1, le=1 << 31)] = 1,
    per_page: Annotated[int, Query(ge=1, le=1 << 31)] = 10,
    order_by: Annotated[str, Query(pattern=f"^-?({'|'.join(ORDERS)})$")] = "-id",
    owner: Text | None = None,
    source_type: Annotated[str | None, Query(pattern=_one_of(SourceType))] = None,
    source: Text | None = None,
    state: Annotated[str | None, Query(pattern=_one_of(State))] = None,
    koji_task_id: Annotated[str | None, Query(pattern="^[0-9]{1,18}$")] = None,
    pungi_compose_id: Text | None = None,
    compose_type: Text | None = None,
    label: Text | None = None,
) -> JSONResponse:
    """List composes, the newest first unless ``order_by`` says otherwise (``-`` before a field: downwards).

    ``state`` and ``source_type`` are numbers or names.
    """
    service = Service.of(request)
    per_page = min(per_page, service.settings.limits.per_page)
    asked = _filters(request.query_params)
    total = await counted(service.database, asked)
    rows = await composes.listed(service.database, asked, order_by, page, per_page, total)
    base = service.base(request)
    items = [compose_document(row, service.settings, base) for row in rows]
    return JSONResponse({"meta": _meta(request, base, page, per_page, total), "items": items}, headers=OPEN)


def _filters(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns that are to have a value."""
    for name in TEXTS:
        if "\0" in query.get(name, ""):
            # No text in a database has it, and PostgreSQL does not take it.
            raise Refusal(400, f"{name}: has a character that no text has")
    filters: dict[str, Any] = {name: query[name] for name in TEXTS if name in query}
    for name, names in NUMBERS.items():
        if name not in query:
            continue
        value = query[name]
        is_name = names is not None and value in names.__members__
        filters[name] = int(names[value]) if names is not None and is_name else int(value)
    return filters


def _meta(request: Request, base: str, page: int, per_page: int, total: int) -> dict[str, Any]:
    pages = -(-total // per_page)
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("page", "per_page")]

    def address(number: int) -> str:
        query = urlencode([*kept, ("per_page", per_page), ("page", number)])
        return f"{base}/api/1/composes/?{query}"

    return {
        "page": page,
        "pages": pages,
        "per_page": per_page,
        "total": total,
        "first": address(1),
        "last": address(max(pages, 1)),
        "prev": address(page - 1) if page > 1 else None,
        "next": address(page + 1) if page < pages else None,
    }


@router.get("/{id}", responses=answers(COMPOSE), dependencies=[Depends(reader)])
@router.get("/{id}/", responses=ERRORS, dependencies=[Depends(reader)], include_in_schema=False)
async def get_compose(request: Request, id: Id) -> JSONResponse:
    """Return a compose, with ``pungi_config_dump``: what it takes to make the same again."""
    service = Service.of(request)
    row = await composes.get(service.database, id, whole=True)
    if row is None:
        raise Refusal(404, f"There is no compose {id}")
    shown = compose_document(row, service.settings, service.base(request), whole=True)
    return JSONResponse(shown, headers=OPEN)


@router.post("", responses=ERRORS, openapi_extra=NEW_COMPOSE, include_in_schema=False)
@router.post("/", responses=answers(COMPOSE), openapi_extra=NEW_COMPOSE)
async def new_compose(request: Request) -> JSONResponse:
    """Ask for a compose. It waits for a worker; read it until its state is ``done`` or ``failed``."""
    service = Service.of(request)
    who = service.policy.client(await sender(request), "new-compose")
    try:
        new = parse_request(await document(request, needed=True), service.rules)
    except ComposeError as error:
        raise bad_request(error) from None
    check_addresses(new.request, service.settings)
    service.policy.request(who, new.request)
    row = await composes.create(
        service.database, new, who.user, at_most=service.settings.limits.queued_per_owner
    )
    service.wake()
    return JSONResponse(compose_document(row, service.settings, service.base(request)))


@router.patch("/{id}", responses=answers(COMPOSE), openapi_extra=RENEWAL)
@router.patch("/{id}/", responses=ERRORS, openapi_extra=RENEWAL, include_in_schema=False)
async def renew_compose(request: Request, id: Id) -> JSONResponse:
    """Let a compose live longer. The same id: it does; a new id: a new one is made, with the same content unless
    other keys, builds or modules are asked for."""
    service = Service.of(request)
    who = service.policy.client(await sender(request), "renew-compose")
    try:
        asked = parse_renewal(await document(request, needed=False), service.rules)
    except ComposeError as error:
        raise bad_request(error) from None
    row = await composes.renew(
        service.database,
        id,
        asked,
        who.user,
        rules=service.rules,
        at_most=service.settings.limits.queued_per_owner,
        allow=lambda again: service.policy.request(who, again),
    )
    service.wake()
    return JSONResponse(compose_document(row, service.settings, service.base(request)))


@router.delete("/{id}", status_code=202, responses=answers(ACCEPTED, 202))
@router.delete("/{id}/", status_code=202, responses=ERRORS, include_in_schema=False)
async def delete_compose(request: Request, id: Id) -> JSONResponse:
    """Cancel a compose that is not finished; let one that is expire now."""
    service = Service.of(request)
    who = service.policy.client(await sender(request), "delete-compose")
    owner = None if service.policy.is_admin(who) else who.user
    by = "anonymous" if who.local else who.user
    message = await composes.remove(service.database, id, by, owner)
    service.wake()
    return JSONResponse({"status": 202, "message": message}, status_code=202)


def bad_request(error: ComposeError) -> Refusal:
    """Return what a request is answered with that is not right."""
    where = f"{place_text(error.place)}: " if error.place else ""
    hint = f" ({error.hint})" if error.hint else ""
    return Refusal(400, f"{where}{error.detail}{hint}")


async def composes_for(
    service: Service, asked: Mapping[str, str], page: int, per_page: int
) -> tuple[list[Compose], int]:
    """Return one page of composes, the newest first, and how many there are, for filters as the API takes them."""
    filters = _filters(asked)
    total = await counted(service.database, filters)
    return await composes.listed(service.database, filters, "-id", page, per_page, total), total
