"""What happens to builds in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.server.compose_document import time_text
from osbuild_core.server.database import Database, now
from osbuild_core.server.queue import BUILD, Lease, fenced, finish, queued, submitted
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.tables import Build, BuildEvent, Work

FINISHED = (State.done, State.failed)
_PIECES = 16
"""Pieces of a log that are read at once."""
_EVENTS = 2000
"""Events that are removed at once: others want to write, too."""


async def submit(
    database: Database,
    manifest: dict[str, Any],
    exports: Sequence[str],
    owner: str,
    *,
    at_most: int,
    seconds_to_live: int,
) -> Build:
    """Put a build into the table and the queue; it is kept so long after it is over. Raises Refusal (429)."""
    async with database.writing(alone=True) as session:
        if await queued(session, owner) >= at_most:
            raise Refusal(429, f"{owner} has {at_most} requests in the queue; wait for one of them")
        at = now()
        row = Build(
            owner=owner,
            state=int(State.wait),
            exports=list(exports),
            time_submitted=at,
            time_to_expire=at + timedelta(seconds=seconds_to_live),
            manifest=manifest,
        )
        session.add(row)
        await session.flush()
        session.add(submitted(BUILD, row.id, owner, at))
        return row


async def get(database: Database, id: int) -> Build:
    """Return a build with its result. Raises Refusal (404)."""
    async with database.reading() as session:
        row = await session.get(Build, id, options=[undefer(Build.result)])
    if row is None:
        raise Refusal(404, f"There is no build {id}")
    return row


async def listed(
    database: Database, filters: Mapping[str, Any], page: int, per_page: int
) -> tuple[list[Build], int]:
    """Return one page of builds, the newest first, and how many there are, whose columns are as ``filters`` say."""
    wanted = [getattr(Build, name) == value for name, value in filters.items()]
    async with database.reading() as session:
        total = await session.scalar(select(func.count()).select_from(Build).where(*wanted))
        rows = await session.scalars(
            select(Build)
            .where(*wanted)
            .order_by(Build.id.desc())
            .offset((page - 1) * per_page)
            .limit(per_page)
        )
        return list(rows), int(total or 0)


async def events(database: Database, id: int, after: int, at_most: int = 500) -> list[BuildEvent]:
    """Return what happened in a build after the event ``after``."""
    async with database.reading() as session:
        rows = await session.scalars(
            select(BuildEvent)
            .where(BuildEvent.build_id == id, BuildEvent.id > after)
            .order_by(BuildEvent.id)
            .limit(at_most)
        )
        return list(rows)


async def happened(
    database: Database, id: int, after: int, until: int
) -> list[tuple[int, str, dict[str, Any]]]:
    """Return what happened in a build after one event and until another, without what was printed."""
    async with database.reading() as session:
        rows = await session.execute(
            select(BuildEvent.id, BuildEvent.kind, BuildEvent.data)
            .where(
                BuildEvent.build_id == id,
                BuildEvent.id > after,
                BuildEvent.id <= until,
                BuildEvent.kind != "output",
            )
            .order_by(BuildEvent.id)
        )
        return [(row.id, row.kind, row.data) for row in rows]


async def newest(database: Database, id: int) -> int:
    """Return the number of the newest event of a build, 0 where nothing has happened."""
    async with database.reading() as session:
        return int(
            await session.scalar(select(func.max(BuildEvent.id)).where(BuildEvent.build_id == id)) or 0
        )


async def printed(database: Database, id: int, until: int, at_most: int) -> tuple[str, bool]:
    """Return the last ``at_most`` characters that were printed until an event, and whether there were more."""
    parts: list[str] = []
    size, before = 0, until + 1
    while size <= at_most:
        async with database.reading() as session:
            rows = await session.execute(
                select(BuildEvent.id, BuildEvent.data)
                .where(BuildEvent.build_id == id, BuildEvent.id < before, BuildEvent.kind == "output")
                .order_by(BuildEvent.id.desc())
                # Few: a piece may be as long as all that is wanted.
                .limit(_PIECES)
            )
            found = [(row.id, str(row.data.get("text", ""))) for row in rows]
        parts += [text for _, text in found]
        size += sum(len(text) for _, text in found)
        if len(found) < _PIECES:
            break
        before = found[-1][0]
    text = "".join(reversed(parts))
    return text[-at_most:], len(text) > at_most


async def cancel(database: Database, id: int, by: str) -> None:
    """Cancel a build; its worker finds out at its next sign of life. Raises Refusal (404, 409)."""
    async with database.writing() as session:
        await session.execute(delete(Work).where(Work.kind == BUILD, Work.subject_id == id))
        row = await session.get(Build, id, with_for_update=True)
        if row is None:
            raise Refusal(404, f"There is no build {id}")
        if State(row.state) not in (State.wait, State.generating):
            raise Refusal(409, f"Build {id} is over")
        _over(session, row, State.failed, f"Canceled by {by}", None)


async def started(database: Database, lease: Lease) -> Build | None:
    """Note that a worker has the build; return it, None where there is nothing to do. Raises LeaseLost."""
    async with database.writing() as session:
        await fenced(session, lease)
        row = await session.get(
            Build, lease.subject_id, options=[undefer(Build.manifest)], with_for_update=True
        )
        if row is None or State(row.state) not in (State.wait, State.generating):
            await finish(session, lease)
            return None
        row.state, row.time_started = int(State.generating), row.time_started or now()
        return row


async def noted(database: Database, lease: Lease, happened: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Write down what happened. Raises LeaseLost."""
    async with database.writing() as session:
        await fenced(session, lease)
        session.add_all(
            BuildEvent(build_id=lease.subject_id, kind=kind, data=data) for kind, data in happened
        )


async def over(database: Database, lease: Lease, state: State, reason: str | None, result: Any) -> None:
    """Write what came of a build and take it out of the queue. Raises LeaseLost."""
    async with database.writing() as session:
        await finish(session, lease)
        row = await session.get(Build, lease.subject_id, with_for_update=True)
        assert row is not None
        _over(session, row, state, reason, result)


def _over(session: AsyncSession, row: Build, state: State, reason: str | None, result: Any) -> None:
    at = now()
    row.state, row.state_reason, row.time_done, row.result = int(state), reason, at, result
    if row.time_to_expire is not None:
        row.time_to_expire = at + max(timedelta(0), row.time_to_expire - row.time_submitted)
    session.add(BuildEvent(build_id=row.id, kind="end", data={"state": state.name, "reason": reason}))


async def expire(database: Database, at_most: int) -> list[int]:
    """Let builds whose time is over become ``removed``; return their numbers.

    What they have made goes afterwards, so that nobody finds half of it.
    """
    async with database.writing() as session:
        found = await session.scalars(
            select(Build)
            .where(
                Build.state.in_([int(state) for state in FINISHED]),
                Build.time_removed.is_(None),
                Build.time_to_expire < now(),
            )
            .order_by(Build.time_to_expire)
            .limit(at_most)
            .with_for_update(skip_locked=True)
        )
        rows = list(found)
        for row in rows:
            row.state = int(State.removed)
            row.state_reason = "\n".join(filter(None, (row.state_reason, "Build is expired.")))
            row.manifest, row.result = {}, None
        return [row.id for row in rows]


async def removed(database: Database, ids: Sequence[int]) -> set[int]:
    """Return those of ``ids`` that are removed."""
    async with database.reading() as session:
        found = await session.scalars(
            select(Build.id).where(Build.id.in_(ids), Build.state == int(State.removed))
        )
        return set(found)


async def forget_events(database: Database, at_most: int) -> None:
    """Remove what happened in builds that are removed, of at most so many; what one leaves, another one finds."""
    async with database.reading() as session:
        found = await session.scalars(
            select(Build.id)
            .where(Build.state == int(State.removed), Build.time_removed.is_(None))
            .order_by(Build.time_to_expire)
            .limit(at_most)
        )
        ids = list(found)
    for id in ids:
        events = select(BuildEvent.id).where(BuildEvent.build_id == id)
        while True:
            async with database.writing() as session:
                if await session.scalar(events.limit(1)) is None:
                    row = await session.get(Build, id, with_for_update=True)
                    if row is not None:
                        row.time_removed = row.time_removed or now()
                    break
                await session.execute(
                    delete(BuildEvent)
                    .where(BuildEvent.id.in_(events.order_by(BuildEvent.id).limit(_EVENTS)))
                    .execution_options(synchronize_session=False)
                )


def build_document(row: Build, *, result: Any = None) -> dict[str, Any]:
    """Return the JSON of a build."""
    return {
        "id": row.id,
        "owner": row.owner,
        "state": row.state,
        "state_name": State(row.state).name,
        "state_reason": row.state_reason,
        "exports": row.exports,
        "time_submitted": time_text(row.time_submitted),
        "time_started": time_text(row.time_started),
        "time_done": time_text(row.time_done),
        "time_to_expire": time_text(row.time_to_expire),
        "time_removed": time_text(row.time_removed),
        "result": result,
    }
