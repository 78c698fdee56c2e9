"""Decides, when the source of a request is known exactly, whether an older compose serves it. Two identical requests
are made once, whichever workers have them at the same time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from enum import Enum

from sqlalchemy import and_, case, or_, select, update

from osbuild_core.exports.compose.lifetime import GENERATING, Record
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.reuse import choose, differing
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.server.composes import over, record, return_followers, row_values
from osbuild_core.server.database import Database, now
from osbuild_core.server.queue import Lease, LeaseLost, fenced, finish
from osbuild_core.server.tables import Compose

TagChanged = Callable[[str, int], bool]


class Decision(Enum):
    """What a worker is to do: make the compose, or nothing, as an older one serves."""

    generate = "generate"
    serve = "serve"


@dataclasses.dataclass(frozen=True, slots=True)
class After:
    """It cannot be decided yet: the compose ``id``, an older request for the same, comes first."""

    id: int


async def started(database: Database, lease: Lease) -> Compose | None:
    """Note that a worker has the compose; return it, None where there is nothing to do. Raises LeaseLost."""
    async with database.writing() as session:
        await fenced(session, lease)
        row = await session.get(Compose, lease.subject_id, with_for_update=True)
        if row is None or State(row.state) not in (State.wait, State.generating) or row.reused_id is not None:
            await finish(session, lease)
            return None
        row.state, row.state_reason = int(State.generating), None
        row.time_started = row.time_started or now()
        await session.flush()
        await session.refresh(row, ["locked"])
        if row.locked is None:
            # An earlier worker may have found a revision that the source does not have any more.
            row.koji_event = row.asked_event
        return row


async def decide(
    database: Database, lease: Lease, resolved: ComposeRequest, tag_changed: TagChanged | None
) -> Decision | After:
    """Decide and write it down. Raises LeaseLost."""
    while True:
        async with database.reading() as session:
            row = await session.get(Compose, lease.subject_id)
            if row is None:
                raise LeaseLost
            mine = record(row)
            others = [] if _alone(resolved) else await _earlier(session, mine, resolved)
        wanted = dataclasses.replace(mine, request=resolved)
        # It may ask a repository over the network.
        chosen = await asyncio.to_thread(choose, wanted, others, tag_changed)
        if chosen is None:
            for other in others:
                if _is_undecided(other) and differing(mine.request, other.request) is None:
                    return After(other.id)
            await _generate(database, lease, resolved)
            return Decision.generate
        if await _serve(database, lease, resolved, chosen.id):
            return Decision.serve


def _alone(asked: ComposeRequest) -> bool:
    return asked.has("no_reuse") or asked.source_type is SourceType.raw_config


def _is_undecided(other: Record) -> bool:
    return other.state is State.wait or (other.state is State.generating and other.state_reason != GENERATING)


async def _earlier(session: object, mine: Record, resolved: ComposeRequest) -> list[Record]:
    """Return earlier composes that matter: one snapshot, so that none is between two states."""
    from sqlalchemy.ext.asyncio import AsyncSession

    assert isinstance(session, AsyncSession)
    values = row_values(resolved)
    exact = ("source", "flags", "results", "target_dir", "multilib_method")
    rows = await session.scalars(
        select(Compose).where(
            Compose.source_type == int(resolved.source_type),
            Compose.id < mine.id,
            Compose.reused_id.is_(None),
            or_(
                Compose.state.in_([int(State.wait), int(State.generating)]),
                and_(
                    Compose.state == int(State.done),
                    *(getattr(Compose, name) == values[name] for name in exact),
                ),
            ),
        )
    )
    return [record(row) for row in rows]


async def _generate(database: Database, lease: Lease, resolved: ComposeRequest) -> None:
    async with database.writing() as session:
        await fenced(session, lease)
        row = await session.get(Compose, lease.subject_id, with_for_update=True)
        if row is None or row.state != int(State.generating):
            raise LeaseLost
        for name, value in row_values(resolved).items():
            setattr(row, name, value)
        row.state_reason = GENERATING
        await return_followers(session, row.id, lambda other: not _may_follow(other, resolved))


def _may_follow(other: Compose, leader: ComposeRequest) -> bool:
    """Tell whether ``other`` gets what it was to get, though a worker that began anew may have found another one."""
    theirs, found = other.koji_event, leader.koji_event
    if leader.source_type is SourceType.tag and theirs is not None and found is not None:
        return theirs >= found
    return theirs == found


async def _serve(database: Database, lease: Lease, resolved: ComposeRequest, id: int) -> bool:
    """Let the compose ``id`` serve; False where it has gone meanwhile."""
    async with database.writing() as session:
        await fenced(session, lease)
        row = await session.get(Compose, lease.subject_id)
        if row is None:
            raise LeaseLost
        # Holds the other's row: it can neither end nor be removed until this is written.
        kept = await session.execute(
            update(Compose)
            .where(Compose.id == id, Compose.state.in_([int(State.done), int(State.generating)]))
            .values(
                time_to_expire=case(
                    (Compose.time_to_expire < row.time_to_expire, row.time_to_expire),
                    else_=Compose.time_to_expire,
                )
            )
            .returning(Compose.state)
            .execution_options(synchronize_session=False)
        )
        found = kept.first()
        if found is None:
            return False
        other = await session.get(Compose, id, populate_existing=True)
        await session.refresh(row, with_for_update=True)
        assert other is not None
        for name, value in row_values(resolved).items():
            setattr(row, name, value)
        row.reused_id = id
        # Followers of an earlier worker's compose look for themselves whom to follow now.
        await return_followers(session, row.id)
        if State(found[0]) is State.done:
            row.pungi_compose_id = other.pungi_compose_id
            row.result_repo, row.result_repofile = other.result_repo, other.result_repofile
            reason = f"Compose reused {id}"
            await over(session, row, State.done, reason, follow=False)
        else:
            row.state_reason = GENERATING
        # Both live as long as the one that lives longer.
        row.time_to_expire = other.time_to_expire = max(row.time_to_expire, other.time_to_expire)
        await finish(session, lease)
        return True
