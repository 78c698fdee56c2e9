"""What happens to composes in the database: each function is one transaction or a part of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from osbuild_core.exports.compose.lifetime import (
    Extension,
    Record,
    renewal,
    time_to_expire_when_over,
)
from osbuild_core.exports.compose.parsing import NewCompose, Renewal, RequestRules
from osbuild_core.exports.compose.request import ComposeRequest, columns, from_columns
from osbuild_core.exports.compose.vocabulary import FLAGS, RESULTS, State, number
from osbuild_core.server.counts import conditions, counted
from osbuild_core.server.database import Database, now
from osbuild_core.server.queue import COMPOSE, attempt, queued, submitted
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.tables import Compose, Work

FINISHED = (State.done, State.failed)
BUSY = (State.wait, State.generating)


def row_values(request: ComposeRequest) -> dict[str, Any]:
    """Return the columns of a request."""
    values = columns(request)
    values["flags"] = number(values["flags"], FLAGS)
    values["results"] = number(values["results"], RESULTS)
    return values


def record(row: Compose) -> Record:
    """Return a row as the rules of composes read it."""
    stored = {
        column.key: getattr(row, column.key) for column in Compose.__table__.columns if column.key != "locked"
    }
    return Record(
        id=row.id,
        request=from_columns(stored),
        state=State(row.state),
        time_submitted=row.time_submitted,
        time_to_expire=row.time_to_expire,
        state_reason=row.state_reason,
        reused_id=row.reused_id,
        time_started=row.time_started,
        pungi_compose_id=row.pungi_compose_id,
        removed_by=row.removed_by,
    )


async def create(database: Database, new: NewCompose, owner: str, *, at_most: int) -> Compose:
    """Put a new request into the table and the queue. Raises Refusal (429) where ``at_most`` are there."""
    async with database.writing(alone=True) as session:
        return await _insert(session, new.request, new.seconds_to_live, owner, at_most)


async def _insert(
    session: AsyncSession,
    request: ComposeRequest,
    seconds: int,
    owner: str,
    at_most: int,
    locked: Mapping[str, Any] | None = None,
) -> Compose:
    if await queued(session, owner) >= at_most:
        raise Refusal(429, f"{owner} has {at_most} requests in the queue; wait for one of them")
    at = now()
    row = Compose(
        **row_values(request),
        asked_event=request.koji_event,
        owner=owner,
        state=int(State.wait),
        time_submitted=at,
        time_to_expire=at + timedelta(seconds=seconds),
        locked=None if locked is None else dict(locked),
    )
    session.add(row)
    await session.flush()
    session.add(submitted(COMPOSE, row.id, owner, at))
    return row


async def get(database: Database, id: int, *, whole: bool = False) -> Compose | None:
    """Return a compose; ``whole``: with what it takes to make it again."""
    async with database.reading() as session:
        row = await session.get(Compose, id, options=[undefer(Compose.locked)] if whole else [])
        if row is not None and whole:
            row.locked = await _locked(session, row)  # type: ignore[assignment]
            session.expunge(row)
        return row


async def _locked(session: AsyncSession, row: Compose) -> Mapping[str, Any] | None:
    """Return what it takes to make the content of ``row`` again: where that is another compose's, what that has."""
    if row.locked is not None or row.reused_id is None:
        return row.locked
    return await session.scalar(select(Compose.locked).where(Compose.id == row.reused_id))


async def listed(
    database: Database, equal: Mapping[str, Any], order_by: str, page: int, per_page: int, total: int
) -> list[Compose]:
    """Return one page of the ``total`` composes that have these values; ``order_by`` with ``-``: downwards."""
    skipped = (page - 1) * per_page
    length = min(per_page, total - skipped)
    if length <= 0:
        return []
    name = order_by.removeprefix("-")
    down, backwards = order_by.startswith("-"), skipped > total / 2
    if backwards:
        # From the end, which is nearer.
        skipped, down = total - skipped - length, not down
    in_order = False
    if database.is_sqlite and equal and name != "id":
        # So many that following the order finds a page soon? SQLite has no figures to see that by, and would sort
        # all that it finds.
        in_order = (skipped + length) * await counted(database, {}) < total * total
    keys = [getattr(Compose, name)] + ([Compose.id] if name != "id" else [])
    # Found by an index alone, as far as that goes; only what is on the page is read whole.
    found = (
        select(Compose.id)
        .where(*conditions(Compose, equal, in_order=in_order))
        .order_by(*(key.desc() if down else key.asc() for key in keys))
        .offset(skipped)
        .limit(length)
    )
    async with database.reading() as session:
        ids = list(await session.scalars(found))
        rows = {row.id: row for row in await session.scalars(select(Compose).where(Compose.id.in_(ids)))}
    return [rows[id] for id in (reversed(ids) if backwards else ids)]


async def renew(
    database: Database,
    id: int,
    asked: Renewal,
    owner: str,
    *,
    rules: RequestRules,
    at_most: int,
    allow: Callable[[ComposeRequest], None],
) -> Compose:
    """Extend the compose ``id``, or put a new one like it into the queue; return what serves from now on.

    ``allow`` is called with the request of a new one and may raise Refusal. Raises Refusal (404).
    """
    async with database.writing(alone=True) as session:
        row = await session.get(Compose, id, options=[undefer(Compose.locked)], with_for_update=True)
        if row is None or State(row.state) in BUSY:
            raise Refusal(404, f"There is no compose {id} that could be renewed")
        mine = record(row)
        longest = rules.longest_life(mine.request)
        seconds = min(rules.seconds_to_live, longest)
        if asked.seconds_to_live is not None:
            asked = dataclasses.replace(asked, seconds_to_live=min(asked.seconds_to_live, longest))
        related = await session.scalars(
            select(Compose)
            .where(
                (Compose.id == mine.directory_id) | (Compose.reused_id == mine.directory_id),
                Compose.state.in_([int(State.done), int(State.generating)]),
            )
            .order_by(Compose.id)
            .with_for_update()
        )
        sharing = list(related)
        decided = renewal(mine, asked, [record(other) for other in sharing], now(), seconds)
        if isinstance(decided, Extension):
            for other in {one.id: one for one in (*sharing, row)}.values():
                if other.id in decided.ids:
                    other.time_to_expire = max(other.time_to_expire, decided.time_to_expire)
                    # Whoever asked for its removal was overruled in time.
                    other.removed_by = None
            return row
        allow(decided.request)
        locked = await _locked(session, row) if decided.same_content else None
        return await _insert(session, decided.request, decided.seconds_to_live, owner, at_most, locked)


async def remove(database: Database, id: int, by: str, owner: str | None) -> str:
    """Cancel a compose that is not finished, let a finished one expire now; return what to tell.

    ``owner``: it has to be theirs (None: anyone's). Raises Refusal (400, 403, 404).
    """
    async with database.writing() as session:
        # Work before compose, as workers do, so that nobody waits for each other.
        await session.execute(
            select(Work.id).where(Work.kind == COMPOSE, Work.subject_id == id).with_for_update()
        )
        row = await session.get(Compose, id, with_for_update=True)
        if row is None:
            raise Refusal(404, f"There is no compose {id}")
        if owner is not None and row.owner != owner:
            raise Refusal(403, f"{owner} is not allowed to remove compose {id} of {row.owner}")
        state = State(row.state)
        if state in FINISHED:
            row.time_to_expire = now()
            row.removed_by = by
            return f"The delete request for compose (id={id}) has been accepted and will be processed later."
        if state is State.removed:
            raise Refusal(
                400, f"Compose (id={id}) can not be removed, its state need to be in done, failed or wait."
            )
        await _cancel(session, row, by)
        return f"Compose (id={id}) has been canceled."


async def _cancel(session: AsyncSession, row: Compose, by: str) -> None:
    # Without its row in the queue, a worker that has it finds out at its next sign of life.
    gone = await session.execute(
        delete(Work).where(Work.kind == COMPOSE, Work.subject_id == row.id).returning(Work.id, Work.fence)
    )
    if (work := gone.first()) is not None:
        row.attempt = attempt(*work)
    await over(session, row, State.failed, f"Canceled by {by}", follow=False)
    await return_followers(session, row.id)


async def return_followers(
    session: AsyncSession, id: int, which: Callable[[Compose], bool] = lambda _: True
) -> None:
    """Put those that wait for a compose that is not made, or of something else, back into the queue, where they were:
    they are somebody else's."""
    followers = await session.scalars(
        select(Compose)
        .where(Compose.reused_id == id, Compose.state == int(State.generating))
        .order_by(Compose.id)
        .with_for_update()
    )
    for other in filter(which, followers):
        other.reused_id, other.state, other.state_reason = None, int(State.wait), None
        other.time_started = None
        session.add(submitted(COMPOSE, other.id, other.owner, other.time_submitted))


async def over(
    session: AsyncSession, row: Compose, state: State, reason: str | None, *, follow: bool = True
) -> None:
    """Write that a compose is done or failed, and with ``follow`` those that share its files.

    ``time_to_expire`` counts from now on (A2 of ODCS).
    """
    rows = [row]
    if follow:
        # Locked first: a compose that is about to follow this one either is seen here or sees it finished.
        await session.execute(
            update(Compose)
            .where(Compose.id == row.id)
            .values(state=int(state))
            .execution_options(synchronize_session=False)
        )
        found = await session.scalars(
            select(Compose)
            .where(Compose.reused_id == row.id, Compose.state == int(State.generating))
            .order_by(Compose.id)
            .with_for_update()
        )
        rows += list(found)
    at = now()
    for one in rows:
        one.time_to_expire = time_to_expire_when_over(record(one), at)
        one.state, one.state_reason, one.time_done = int(state), reason, at
        one.pungi_compose_id = row.pungi_compose_id
        one.result_repo, one.result_repofile = row.result_repo, row.result_repofile
