"""The database as the queue: leases, signs of life, fencing. Each piece of work is committed exactly once.

Whoever asked first is first, also when it is tried again: work that cannot be taken now, because it failed a moment
ago or is to be decided on after another one, lets others pass and has its old place afterwards.

A worker that takes work gets a new fencing number with it. Everything it writes about the work is in a transaction
that first checks that number, so a worker that was thought dead changes nothing any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from osbuild_core.exports.compose.lifetime import GENERATING
from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.server.database import Database
from osbuild_core.server.tables import Compose, Work, Worker

COMPOSE = "compose"
BUILD = "build"


class LeaseLost(Exception):
    """Another worker has the work by now, or it is done or cancelled."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do a piece of work: ``fence`` is its number. It was asked for at ``since`` (time.monotonic)."""

    id: int
    kind: str
    subject_id: int
    fence: int
    attempts: int
    since: float = field(default_factory=time.monotonic, compare=False)

    @property
    def attempt(self) -> str:
        """A name that no other lease has or will have."""
        return attempt(self.id, self.fence)


def attempt(id: int, fence: int) -> str:
    """Return the name of the lease ``fence`` of the work ``id``."""
    return f"{id}.{fence}"


def submitted(kind: str, subject_id: int, owner: str, since: datetime) -> Work:
    """Return the row that puts a request into the queue, behind those that came before ``since`` (naive UTC)."""
    place = since.replace(tzinfo=UTC).timestamp()
    return Work(kind=kind, subject_id=subject_id, owner=owner, place=place, ready_at=0.0, fence=0, attempts=0)


async def queued(session: AsyncSession, owner: str) -> int:
    """Return how much of an owner's is not done."""
    found = await session.scalar(select(func.count()).select_from(Work).where(Work.owner == owner))
    return int(found or 0)


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        Work.id == lease.id,
        Work.fence == lease.fence,
        Work.kind == lease.kind,
        Work.subject_id == lease.subject_id,
    )


def _is_decided() -> ColumnElement[bool]:
    """Return whether what the work waits for, if anything, is decided on: it is made, served, over or gone."""
    undecided = exists().where(
        Compose.id == Work.waits_for,
        Compose.reused_id.is_(None),
        or_(
            Compose.state == int(State.wait),
            and_(
                Compose.state == int(State.generating),
                Compose.state_reason.is_distinct_from(GENERATING),
            ),
        ),
    )
    return or_(Work.waits_for.is_(None), ~undecided)


class Queue:
    """Takes work for the worker ``holder``, each piece for ``seconds`` at a time.

    ``returned`` hears in how many seconds there may be work that could not be taken before.
    """

    def __init__(
        self,
        database: Database,
        holder: str,
        seconds: float,
        returned: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.database = database
        self.holder = holder
        self.seconds = seconds
        self._returned = returned

    async def take(self) -> Lease | None:
        """Return the oldest work that is ready and nobody has, or that who had it gave no sign of life for."""
        asked = time.monotonic()
        # Read once, not for every row that is looked at.
        clock = select(self.database.clock()).scalar_subquery()
        free = (
            select(Work.id)
            .where(
                Work.ready_at <= clock,
                or_(Work.lease_until.is_(None), Work.lease_until < clock),
                _is_decided(),
            )
            .order_by(Work.place, Work.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self.database.writing() as session:
            taken = await session.execute(
                update(Work)
                .where(Work.id == free.scalar_subquery())
                .values(
                    lease_holder=self.holder,
                    lease_until=clock + self.seconds,
                    fence=Work.fence + 1,
                    attempts=Work.attempts + 1,
                    waits_for=None,
                )
                .returning(Work.id, Work.kind, Work.subject_id, Work.fence, Work.attempts)
                .execution_options(synchronize_session=False)
            )
            row = taken.first()
        return None if row is None else Lease(*row, since=asked)

    async def renew(self, lease: Lease) -> str | None:
        """Give a sign of life; return who has cancelled the work, if somebody has. Raises LeaseLost."""
        async with self.database.writing() as session:
            kept = await session.execute(
                update(Work)
                .where(*_held(lease))
                .values(lease_until=self.database.clock() + self.seconds)
                .returning(Work.cancelled_by)
                .execution_options(synchronize_session=False)
            )
            row = kept.first()
        if row is None:
            raise LeaseLost
        return row[0]

    async def release(
        self, lease: Lease, *, after: float = 0.0, attempted: bool = True, waits_for: int | None = None
    ) -> None:
        """Give the work back, for others to take after ``after`` seconds and when the compose ``waits_for`` is
        decided on; without ``attempted`` this try is not counted."""
        async with self.database.writing() as session:
            await session.execute(
                update(Work)
                .where(*_held(lease))
                .values(
                    lease_holder=None,
                    lease_until=None,
                    ready_at=self.database.clock() + after,
                    waits_for=waits_for,
                    attempts=lease.attempts if attempted else lease.attempts - 1,
                )
                .execution_options(synchronize_session=False)
            )
        if after:
            self._returned(after)

    def decided(self) -> None:
        """Say that a compose is decided on: there may be work that waits for that."""
        self._returned(0.0)

    async def seen(self, busy: int, slots: int) -> None:
        """Show that the worker lives."""
        async with self.database.writing() as session:
            await session.merge(Worker(name=self.holder, seen=0.0, busy=busy, slots=slots))
            await session.flush()
            await session.execute(
                update(Worker)
                .where(Worker.name == self.holder)
                .values(seen=self.database.clock())
                .execution_options(synchronize_session=False)
            )

    async def leave(self) -> None:
        """Say that the worker is gone, and give back all that it has."""
        await forget(self.database, self.holder)


async def fenced(session: AsyncSession, lease: Lease) -> None:
    """Hold the work's row until the transaction ends. Raises LeaseLost where it is somebody else's."""
    held = await session.execute(
        update(Work)
        .where(*_held(lease))
        .values(fence=Work.fence)
        .returning(Work.id)
        .execution_options(synchronize_session=False)
    )
    if held.first() is None:
        raise LeaseLost


async def finish(session: AsyncSession, lease: Lease) -> None:
    """Take the work out of the queue, in the transaction that writes its result. Raises LeaseLost."""
    gone = await session.execute(
        delete(Work).where(*_held(lease)).returning(Work.id).execution_options(synchronize_session=False)
    )
    if gone.first() is None:
        raise LeaseLost


async def forget(database: Database, holder: str) -> None:
    """Give back what the worker ``holder`` has, who is known to be gone."""
    async with database.writing() as session:
        await session.execute(
            update(Work)
            .where(Work.lease_holder == holder)
            .values(lease_holder=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
        await session.execute(delete(Worker).where(Worker.name == holder))
