"""What all requests share: settings, database, who decides, and how workers are woken."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import Request

from osbuild_core.exports.compose.parsing import RequestRules
from osbuild_core.server.access import Identity, Policy
from osbuild_core.server.database import Database
from osbuild_core.server.identity import Doorkeeper
from osbuild_core.server.metrics import Metrics
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.storage import Storage, storage_of


@dataclass(slots=True)
class Service:
    """One server process. ``wake`` tells workers that there is something to do; ``is_stopping`` tells whoever answers
    for long that it is time to end."""

    settings: ServerSettings
    database: Database
    policy: Policy
    doorkeeper: Doorkeeper
    rules: RequestRules
    metrics: Metrics = field(default_factory=Metrics)
    storage: Storage | None = None
    wake: Callable[[], None] = lambda: None
    is_stopping: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, request: Request) -> Service:
        """Return the service that answers ``request``."""
        return cast(Service, request.app.state.service)

    def base(self, request: Request) -> str:
        """Return how clients reach the service, without a slash at the end."""
        if self.settings.url:
            return self.settings.url.rstrip("/")
        return str(request.base_url).rstrip("/")


def service_of(settings: ServerSettings, database: Database) -> Service:
    """Return a service with these settings. Raises AwsError where its storage needs what is not installed."""
    return Service(
        settings=settings,
        database=database,
        policy=Policy(settings.access),
        doorkeeper=Doorkeeper(settings, database),
        rules=settings.rules(),
        storage=storage_of(settings),
    )


async def sender(request: Request, *, reading: bool = False) -> Identity | None:
    """Return who sent ``request``. Raises Refusal."""
    service = Service.of(request)
    client = request.scope.get("client")
    server = request.scope.get("server")
    return await service.doorkeeper.identify(
        request.headers,
        (client[0], client[1]) if client else None,
        (server[0], server[1]) if server and server[1] is not None else None,
        reading=reading,
    )


async def reader(request: Request) -> Identity | None:
    """Return who reads; a dependency of what is read. Raises Refusal."""
    who = await sender(request, reading=True)
    Service.of(request).policy.reader(who)
    return who


async def document(request: Request, *, needed: bool) -> Any:
    """Return the JSON of a body, None where there is none and it is not ``needed``. Raises Refusal (400)."""
    body = await request.body()
    if not body and not needed:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A page in a browser may send anything else without asking first.
        raise Refusal(400, "No JSON data submitted: Content-Type has to be application/json")
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Refusal(400, "Failed to decode the JSON object") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
