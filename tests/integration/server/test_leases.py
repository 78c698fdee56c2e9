"""What a worker does at the edges of its lease, and what cleaning does with what cannot be removed."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from osbuild_core.exports.compose.parsing import NewCompose
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.server import builds, composes, confinement
from osbuild_core.server.assignment import Assignment
from osbuild_core.server.database import Database, now
from osbuild_core.server.maintenance import Maintenance
from osbuild_core.server.queue import Queue
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.tables import BuildEvent, Compose, Work
from tests.integration.server.running import GENERATOR

Test = Callable[[ServerSettings, Database, Queue], Awaitable[None]]


@asynccontextmanager
async def made(data: Path, **more: Any) -> AsyncIterator[tuple[ServerSettings, Database, Queue]]:
    settings = ServerSettings(data=data, composes={"generator": GENERATOR}, **more)  # type: ignore[arg-type]
    database = Database(settings.database_url)
    try:
        await database.migrate()
        yield settings, database, Queue(database, "here", 30.0)
    finally:
        await database.close()


def test_a_process_ends_when_the_lease_does_however_late_that_is_heard(tmp_path: Path) -> None:
    """The answer of the database may have taken longer than the lease: the time counts from the question on."""

    async def run() -> None:
        async with made(tmp_path) as (settings, database, queue):
            request = ComposeRequest(SourceType.repo, "http://packages.test/slow-20")
            await composes.create(database, NewCompose(request, 600), "alice", at_most=10)
            lease = await queue.take()
            assert lease is not None
            late = dataclasses.replace(lease, since=lease.since - 60)
            begun = time.monotonic()
            await Assignment(settings, queue, late).run()
            assert time.monotonic() - begun < 15
            async with database.reading() as session:
                work = (await session.scalars(select(Work))).one()
            assert (work.lease_holder, work.attempts) == (None, 1)
            assert not (tmp_path / "made").exists()

    asyncio.run(run())


def test_what_happened_is_written_before_the_end(tmp_path: Path) -> None:
    """Signs of life write it down, too: whoever comes second waits, or the end would be first."""

    async def run() -> None:
        async with made(tmp_path) as (settings, database, queue):
            await builds.submit(database, {}, [], "builder", at_most=10, seconds_to_live=60)
            lease = await queue.take()
            assert lease is not None
            assignment = Assignment(settings, queue, lease)
            assignment._events.append(("output", {"text": "last words"}))
            async with database.writing():
                # SQLite has one writer: the first one cannot write now.
                first = asyncio.create_task(assignment._flush())
                await asyncio.sleep(0.2)
                second = asyncio.create_task(assignment._flush())
                await asyncio.sleep(0.2)
                assert not second.done()
            await second
            assert first.done()
            await builds.over(database, lease, State.failed, "over", None)
            async with database.reading() as session:
                kinds = [event.kind for event in await session.scalars(select(BuildEvent))]
            assert kinds == ["output", "end"]

    asyncio.run(run())


def test_events_that_cannot_be_written_now_do_not_end_the_work(tmp_path: Path) -> None:
    """Or the process would be ended and the work lie there until its lease is over."""

    async def run() -> None:
        async with made(tmp_path) as (settings, database, _):
            queue = Queue(database, "here", 0.8)
            await builds.submit(database, {}, [], "builder", at_most=10, seconds_to_live=60)
            lease = await queue.take()
            assert lease is not None
            assignment = Assignment(settings, queue, lease)
            assignment._events.append(("output", {"text": "kept"}))
            async with database.writing() as session:
                await session.execute(text("ALTER TABLE build_events RENAME TO away"))
            keeper = asyncio.create_task(assignment._keep())
            await asyncio.sleep(0.5)
            async with database.writing() as session:
                await session.execute(text("ALTER TABLE away RENAME TO build_events"))
            await asyncio.sleep(0.5)
            assert not keeper.done()
            keeper.cancel()
            async with database.reading() as session:
                written = [event.data for event in await session.scalars(select(BuildEvent))]
            assert written == [{"text": "kept"}]

    asyncio.run(run())


def test_one_that_cannot_be_removed_does_not_keep_the_others(tmp_path: Path) -> None:
    async def run() -> None:
        async with made(tmp_path) as (settings, database, _):
            real = settings.model_copy(
                update={
                    "composes": settings.composes.model_copy(
                        update={"generator": "osbuild_core.exports.compose.generate"}
                    )
                }
            )
            at = now() - timedelta(days=1)
            async with database.writing() as session:
                for _ in range(2):
                    values = composes.row_values(ComposeRequest(SourceType.repo, "http://packages.test/x"))
                    session.add(
                        Compose(
                            **values,
                            owner="alice",
                            state=int(State.removed),
                            time_submitted=at,
                            time_to_expire=at,
                        )
                    )
            # Somebody has moved it to another disk.
            (tmp_path / "other").mkdir()
            (tmp_path / "composes").mkdir()
            (tmp_path / "composes" / "odcs-1").symlink_to(tmp_path / "other")
            (tmp_path / "composes" / "odcs-2").mkdir()
            await Maintenance(real, database).run()
            assert not (tmp_path / "composes" / "odcs-2").exists()
            assert (tmp_path / "other").is_dir()

    asyncio.run(run())


def test_a_process_says_nothing_of_its_request_but_the_source(tmp_path: Path) -> None:
    """Or one that was taken over would have the next one make what it has locked, with all rights."""

    async def run() -> None:
        async with made(tmp_path) as (settings, database, queue):
            lying = settings.composes.model_copy(update={"generator": "tests.integration.server.liar"})
            request = ComposeRequest(SourceType.repo, "http://packages.test/x")
            await composes.create(database, NewCompose(request, 600), "alice", at_most=10)
            lease = await queue.take()
            assert lease is not None
            await Assignment(settings.model_copy(update={"composes": lying}), queue, lease).run()
            row = await composes.get(database, 1)
            assert row is not None
            assert (row.state, row.source, row.koji_event) == (int(State.done), "nightly#evil", 9)
            assert (row.source_type, row.target_dir) == (int(SourceType.repo), "default")

    asyncio.run(run())


def test_whose_composes_are_made_by_nobody() -> None:
    people = {"admins": {"users": ["boss"], "groups": ["admins"]}, "builders": {"users": ["trusted"]}}
    closed = ServerSettings(authentication=["token"], access=people)  # type: ignore[arg-type]
    everyone = ServerSettings(
        authentication=["token"],
        access={"builders": {"users": ["*"]}},  # type: ignore[arg-type]
    )
    repo = ComposeRequest(SourceType.repo, "http://packages.test/x")
    raw = ComposeRequest(SourceType.raw_config, "nightly#abc")
    root = os.geteuid() == 0
    for settings, request, owner, again, wanted in (
        (closed, repo, "alice", False, True),
        (closed, repo, "boss", False, False),
        (closed, repo, "trusted", False, False),
        # What was locked may be from anybody.
        (closed, repo, "trusted", True, True),
        (closed, raw, "alice", False, False),
        (everyone, repo, "alice", False, False),
        (ServerSettings(), repo, "unknown", True, False),
        (ServerSettings(composes={"confine": True}), repo, "unknown", False, True),  # type: ignore[arg-type]
    ):
        found = confinement.is_wanted(settings, request, owner, again=again)
        assert found is (wanted and root), (request, owner, again)


@pytest.mark.root
def test_what_nobody_has_begun_is_not_gone_on_with(tmp_path: Path) -> None:
    """Settings may have changed in between, and links of nobody are not to be followed by root."""
    begun = tmp_path / "odcs-1"
    for owner, left in ((2_000_000_000, False), (0, True)):
        begun.mkdir()
        (begun / "pungi-stderr.log").symlink_to("/etc/passwd")
        os.chown(begun, owner, owner)
        confinement.reclaim(begun)
        assert begun.exists() is left
    assert Path("/etc/passwd").exists()
    confinement.reclaim(tmp_path / "nothing")
    settings = ServerSettings(data=tmp_path / "data")
    own = confinement.prepared(
        settings, settings.compose_settings(), begun, settings.data / "confined/home-1"
    )
    assert begun.stat().st_uid == own.store.stat().st_uid == settings.composes.first_id
    assert list(begun.iterdir()) == []
    assert own.store.parent.stat().st_uid == 0
