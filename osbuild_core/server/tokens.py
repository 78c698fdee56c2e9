"""Static API tokens: ``obc_<id>_<secret>``, of which the database keeps a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from osbuild_core.model.errors import UsageError
from osbuild_core.server.access import Identity
from osbuild_core.server.database import Database, now
from osbuild_core.server.tables import ApiToken

PREFIX = "obc_"
_TOKEN = re.compile(r"obc_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def _digest(secret: str) -> str:
    # 256 random bits: no dictionary has them, so a slow hash would only slow us down.
    return hashlib.sha256(secret.encode()).hexdigest()


async def create(
    database: Database, user: str, groups: Sequence[str], *, days: float | None, read_only: bool
) -> str:
    """Return a new token, which is shown this once. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9@._:/-]{1,200}", user):
        raise UsageError(f"{user!r} is no name of a user", code="usage.user")
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    at = now()
    async with database.writing() as session:
        session.add(
            ApiToken(
                id=id,
                digest=_digest(secret),
                user=user,
                groups=list(groups),
                read_only=read_only,
                time_created=at,
                time_to_expire=None if days is None else at + timedelta(days=days),
            )
        )
    return f"{PREFIX}{id}_{secret}"


async def revoke(database: Database, id: str) -> None:
    """Remove a token by its id. Raises UsageError where there is none."""
    async with database.writing() as session:
        row = await session.get(ApiToken, id)
        if row is None:
            raise UsageError(
                f"there is no token {id}", code="usage.token", hint="see: osbuild-core serve tokens"
            )
        await session.delete(row)


async def listed(database: Database) -> list[ApiToken]:
    """Return all tokens; their secrets are not there."""
    async with database.reading() as session:
        return list(await session.scalars(select(ApiToken).order_by(ApiToken.time_created)))


async def identified(database: Database, token: str) -> Identity | None:
    """Return who a token speaks for, None where it does not count (any more)."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    async with database.reading() as session:
        row = await session.get(ApiToken, match[1])
    # The same work whether there is such a token or not.
    known = hmac.compare_digest(_digest(match[2]), row.digest if row else "0" * 64)
    if row is None or not known or (row.time_to_expire is not None and row.time_to_expire <= now()):
        return None
    return Identity(row.user, frozenset(row.groups), read_only=row.read_only)
