"""What has to happen now and then: composes and builds expire, stuck ones are given up, files go that nobody has any
more."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from osbuild_core.exports.compose.generate import Place
from osbuild_core.exports.compose.lifetime import LONGEST_WAIT, is_expired, is_stuck, removal_reason
from osbuild_core.exports.compose.place import is_latest
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.model.errors import OsbuildError
from osbuild_core.server import builds
from osbuild_core.server.composes import BUSY, FINISHED, over, record
from osbuild_core.server.counts import add_up
from osbuild_core.server.database import Database, now
from osbuild_core.server.queue import COMPOSE, attempt
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.storage import Storage
from osbuild_core.server.tables import Compose, Work, Worker
from osbuild_core.store.removal import remove_tree

log = logging.getLogger("osbuild_core.server.maintenance")
AT_ONCE = 200
FORGOTTEN = 3600.0
"""Seconds without a sign of life after which a worker is forgotten."""
_NAME = re.compile(r"odcs-([0-9]{1,18})")
_BUILD_NAME = re.compile(r"build-([0-9]{1,18})")


class Maintenance:
    """Any worker may do it at any time; what one does, another one finds done."""

    def __init__(self, settings: ServerSettings, database: Database, storage: Storage | None = None) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage

    async def run(self) -> None:
        """Do all of it once."""
        await self._expire()
        await self._give_up()
        await self._forget()
        await add_up(self._database)
        for name, directory in self._directories().items():
            await self._remove_files(name, directory)
        await self._remove_builds()
        if self._storage is not None:
            await self._remove_stored(self._storage)

    def _directories(self) -> dict[str, Path]:
        others = {name: one.path for name, one in self._settings.target_dirs.items()}
        return {"default": self._settings.directory, **others}

    async def _expire(self) -> None:
        """Let finished composes whose time is over become ``removed``.

        The latest of a raw_config stays until there is a later one, or somebody removes it.
        """
        last = -1
        while True:
            async with self._database.writing() as session:
                found = await session.scalars(
                    select(Compose)
                    .where(
                        Compose.id > last,
                        Compose.state.in_([int(state) for state in FINISHED]),
                        Compose.time_to_expire < now(),
                    )
                    .order_by(Compose.id)
                    .limit(AT_ONCE)
                    .with_for_update(skip_locked=True)
                )
                rows = list(found)
                for row in rows:
                    mine = record(row)
                    if is_expired(mine, now()) and not await self._is_kept(row):
                        row.state, row.state_reason = int(State.removed), removal_reason(mine)
                        row.time_removed = now()
                        log.info("removed", extra={"data": {"id": row.id}})
            if len(rows) < AT_ONCE:
                return
            last = rows[-1].id

    async def _is_kept(self, row: Compose) -> bool:
        directory = self._directories().get(row.target_dir)
        if row.source_type != SourceType.raw_config or row.removed_by is not None or directory is None:
            return False
        return await asyncio.to_thread(is_latest, Place(directory, row.id))

    async def _give_up(self) -> None:
        """Let composes fail that wait or are being made for too long."""
        longest = timedelta(seconds=self._settings.limits.generating_seconds)
        at = now()
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(Compose).where(
                    or_(
                        (Compose.state == int(State.wait)) & (Compose.time_submitted < at - LONGEST_WAIT),
                        (Compose.state == int(State.generating)) & (Compose.time_started < at - 2 * longest),
                    )
                )
            )
            stuck = {row.id: is_stuck(record(row), at, longest) for row in rows if row.reused_id is None}
        for id, reason in stuck.items():
            if reason is not None:
                async with self._database.writing() as session:
                    await self._fail(session, id, reason)

    async def _fail(self, session: AsyncSession, id: int, reason: str) -> None:
        gone = await session.execute(
            delete(Work).where(Work.kind == COMPOSE, Work.subject_id == id).returning(Work.id, Work.fence)
        )
        work = gone.first()
        row = await session.get(Compose, id, with_for_update=True)
        if row is not None and work is not None:
            row.attempt = attempt(*work)
        if row is not None and State(row.state) in (State.wait, State.generating):
            await over(session, row, State.failed, reason)
            log.warning("given up", extra={"data": {"id": id}})

    async def _forget(self) -> None:
        async with self._database.writing() as session:
            await session.execute(delete(Worker).where(Worker.seen < self._database.clock() - FORGOTTEN))

    async def _remove_files(self, target_dir: str, directory: Path) -> None:
        """Remove the directories of composes that are removed and that no other one shares.

        A directory whose number no compose of the database has is left alone: the database may be another one.
        """
        names = await asyncio.to_thread(_numbered, directory, _NAME)
        for start in range(0, len(names), AT_ONCE):
            ids = names[start : start + AT_ONCE]
            if self._storage is not None and target_dir == "default":
                free = await self._over(ids, in_storage=True) | await self._unused(ids, target_dir)
            else:
                free = await self._unused(ids, target_dir)
            generator = importlib.import_module(self._settings.composes.generator)
            for id in sorted(free):
                try:
                    await asyncio.to_thread(generator.remove, Place(directory, id))
                except (OsbuildError, OSError) as error:
                    # The others are not to wait for this one.
                    log.warning("cannot remove", extra={"data": {"id": id, "reason": str(error)}})

    async def _remove_builds(self) -> None:
        """Remove builds whose time is over: first the database says so, then events and files go.

        Workers may have directories of their own: each looks at what is in its. One that no build of the database has
        is left alone, as of composes.
        """
        while gone := await builds.expire(self._database, AT_ONCE):
            log.info("removed builds", extra={"data": {"ids": gone}})
        await builds.forget_events(self._database, AT_ONCE)
        directory = self._settings.builds
        there = await asyncio.to_thread(_numbered, directory, _BUILD_NAME)
        for start in range(0, len(there), AT_ONCE):
            for id in sorted(await builds.removed(self._database, there[start : start + AT_ONCE])):
                try:
                    await asyncio.to_thread(remove_tree, str(directory / f"build-{id}"))
                except FileNotFoundError:
                    # Another worker is at it, too.
                    continue
                except OSError as error:
                    log.warning("cannot remove", extra={"data": {"build": id, "reason": str(error)}})

    async def _unused(self, ids: Sequence[int], target_dir: str) -> set[int]:
        """Return those of ``ids`` that are removed, and that no other one shares."""
        async with self._database.reading() as session:
            removed = await session.scalars(
                select(Compose.id).where(
                    Compose.id.in_(ids),
                    Compose.state == int(State.removed),
                    Compose.target_dir == target_dir,
                )
            )
            used = await session.scalars(
                select(Compose.reused_id).where(
                    Compose.reused_id.in_(ids), Compose.state != int(State.removed)
                )
            )
            return set(removed) - set(used)

    async def _over(self, ids: Sequence[int], *, in_storage: bool = False) -> set[int]:
        """Return those of ``ids`` that nothing more is made of; ``in_storage``: and whose directory nobody needs.

        What was made before there was a storage is served from its directory.
        """
        moved = Compose.attempt.is_not(None) | Compose.reused_id.is_not(None)
        async with self._database.reading() as session:
            found = await session.scalars(
                select(Compose.id).where(
                    Compose.id.in_(ids),
                    Compose.target_dir == "default",
                    Compose.state.not_in([int(state) for state in BUSY]) | Compose.reused_id.is_not(None),
                    *([moved] if in_storage else []),
                )
            )
            return set(found)

    async def _remove_stored(self, storage: Storage) -> None:
        """Remove what is in storage of composes that are removed, and of attempts that did not count.

        As long as a compose is made, all of it stays; what no compose of the database has is left alone.
        """
        there = await asyncio.to_thread(storage.attempts)
        ids = sorted(there)
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            # After the look into storage: whoever is over by now has put all of it there before.
            over = await self._over(some)
            unused = await self._unused(some, "default")
            async with self._database.reading() as session:
                counts = {
                    row.id: row.attempt
                    for row in await session.execute(
                        select(Compose.id, Compose.attempt).where(Compose.id.in_(over))
                    )
                }
            for id in sorted(over):
                gone = there[id] if id in unused else there[id] - {counts[id]}
                await asyncio.to_thread(storage.remove, id, sorted(gone))


def _numbered(directory: Path, pattern: re.Pattern[str]) -> list[int]:
    """Return the numbers in names of what is in ``directory``."""
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError:
        # Not mounted here, or nothing was made yet.
        return []
    matches = (pattern.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in matches if match)
