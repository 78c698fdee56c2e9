"""Composes that follow one that is made anew and turns out to be another one's: nobody waits for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from osbuild_core.exports.compose.lifetime import GENERATING
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.server import reuse
from osbuild_core.server.composes import row_values
from osbuild_core.server.database import Database, now
from osbuild_core.server.queue import COMPOSE, Queue, submitted
from osbuild_core.server.tables import Compose, Work

REQUEST = ComposeRequest(SourceType.repo, "http://packages.test/r", koji_event=7)


def row(id: int, reused_id: int | None = None, reason: str | None = GENERATING) -> Compose:
    at = now()
    return Compose(
        **row_values(REQUEST),
        id=id,
        owner="o",
        state=int(State.generating),
        state_reason=reason,
        reused_id=reused_id,
        time_submitted=at,
        time_started=at,
        time_to_expire=at + timedelta(hours=1),
    )


def test_followers_of_a_compose_that_another_one_serves(tmp_path: Path) -> None:
    async def run() -> None:
        database = Database(f"sqlite:///{tmp_path}/followers.sqlite")
        try:
            await database.prepare(migrate=True)
            async with database.writing() as session:
                # The second one was begun by a worker that is gone; the third followed it.
                session.add_all([row(1), row(2), row(3, reused_id=2)])
                session.add(submitted(COMPOSE, 2, "o", now()))
            lease = await Queue(database, "w", 30).take()
            assert lease is not None and lease.subject_id == 2
            assert await reuse.started(database, lease) is not None
            assert await reuse.decide(database, lease, REQUEST, None) is reuse.Decision.serve
            async with database.reading() as session:
                second, third = await session.get(Compose, 2), await session.get(Compose, 3)
                assert second is not None and third is not None
                assert second.reused_id == 1
                assert (third.state, third.reused_id) == (int(State.wait), None)
                assert list(await session.scalars(select(Work.subject_id))) == [3]
        finally:
            await database.close()

    asyncio.run(run())
