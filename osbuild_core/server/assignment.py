"""One piece of work from its lease to its result: a process does it, the lease is kept, the database is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import importlib
import json
import logging
import os
import pickle
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.generate import Place
from osbuild_core.exports.compose.request import ComposeRequest, from_columns
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.model.errors import OsbuildError
from osbuild_core.server import builds, composes, confinement, guard, reuse
from osbuild_core.server.compose_document import target_url
from osbuild_core.server.guard import Plan
from osbuild_core.server.keeping import Keeping, Outcome
from osbuild_core.server.queue import BUILD, COMPOSE, Lease, LeaseLost, Queue, finish
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.signatures import signed
from osbuild_core.server.storage import Storage
from osbuild_core.server.tables import Build, Compose
from osbuild_core.server.task_protocol import LONGEST, BuildTask, ComposeTask

log = logging.getLogger("osbuild_core.server.worker")
GRACE = 10.0
"""Seconds that a process has for ending by itself."""
TELL = 0.5
"""Seconds after which what happened in a build is written down, for who follows it."""
BACKOFF = (1.0, 5.0, 20.0, 60.0)
LONGEST_REASON = 4000


class Assignment:
    """Does what ``lease`` is for."""

    def __init__(
        self, settings: ServerSettings, queue: Queue, lease: Lease, storage: Storage | None = None
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._queue = queue
        self._database = queue.database
        self._lease = lease
        self._process: asyncio.subprocess.Process | None = None
        self._cancelled_by: str | None = None
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._flushing = asyncio.Lock()
        self._request: ComposeRequest | None = None
        self._kept = lease.since
        self._keeping: Keeping | None = None
        self._home: Path | None = None

    async def run(self) -> None:
        """Do it. Never raises but for cancellation, with which the work is given back."""
        name = {"kind": self._lease.kind, "id": self._lease.subject_id}
        log.info("begins", extra={"data": name})
        keeper = asyncio.create_task(self._keep())
        worker = asyncio.create_task(self._do())
        try:
            done, _ = await asyncio.wait({keeper, worker}, return_when=asyncio.FIRST_COMPLETED)
            if worker in done:
                worker.result()
            else:
                # The lease is lost, or the work was cancelled: whoever did that has written it down.
                log.info("is not ours any more", extra={"data": name})
        except LeaseLost:
            log.info("is not ours any more", extra={"data": name})
        except asyncio.CancelledError:
            await self._end(keeper, worker)
            with contextlib.suppress(Exception):
                await self._queue.release(self._lease, attempted=False)
            raise
        except Exception:
            log.exception("failed inside", extra={"data": name})
            await self._end(keeper, worker)
            with contextlib.suppress(Exception):
                await self._queue.release(self._lease, after=self._backoff())
        finally:
            await self._end(keeper, worker)
            log.info("ends", extra={"data": name})

    async def _end(self, *tasks: asyncio.Task[None]) -> None:
        if self._keeping is not None:
            self._keeping.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._kill()
        if self._home is not None:
            await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)

    async def _keep(self) -> None:
        """Keep the lease; end where it is lost. The process hears of every time that it was kept."""
        seconds = self._queue.seconds
        while True:
            await asyncio.sleep(seconds / 4)
            asked = time.monotonic()
            try:
                if await asyncio.wait_for(self._queue.renew(self._lease), seconds / 2) is not None:
                    return
            except LeaseLost:
                return
            except Exception:
                # The process ends itself if this goes on.
                log.warning("cannot reach the database")
                continue
            self._kept = asked
            await self._pulse()
            try:
                await self._flush()
            except LeaseLost:
                return
            except Exception:
                # It was kept all the same; they are written the next time.
                log.warning("cannot write down what happened")

    async def _pulse(self) -> None:
        # A little less than the lease, which began after it was asked for.
        left = self._queue.seconds * 0.9 - (time.monotonic() - self._kept)
        await self._say({"pulse": max(0.0, left)})

    async def _say(self, message: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def _flush(self) -> None:
        # One after the other, so that what happened first is written first, and all before the end.
        async with self._flushing:
            if self._lease.kind == BUILD and self._events:
                happened, self._events = self._events, []
                try:
                    await builds.noted(self._database, self._lease, happened)
                except BaseException:
                    self._events = happened + self._events
                    raise

    async def _tell(self) -> None:
        """Write down what happens while it does. What cannot be written now is tried again; who keeps the lease
        finds out what is wrong."""
        while True:
            await asyncio.sleep(TELL)
            with contextlib.suppress(Exception):
                await self._flush()

    async def _do(self) -> None:
        if self._lease.kind == COMPOSE:
            await self._compose()
        else:
            await self._build()

    # Composes

    async def _compose(self) -> None:
        row = await reuse.started(self._database, self._lease)
        if row is None:
            return
        if self._lease.attempts > self._settings.limits.attempts:
            await self._compose_failed(f"Given up: {self._lease.attempts - 1} workers have ended while at it")
            return
        self._request = request = composes.record(row).request
        settings, plan = self._settings.compose_settings(), None
        place = Place(confinement.target_path(self._settings, request), row.id)
        if not confinement.is_wanted(self._settings, request, row.owner, again=row.locked is not None):
            await asyncio.to_thread(confinement.reclaim, place.directory)
        else:
            try:
                self._home = home = confinement.home_of(self._settings, row.id)
                plan = confinement.plan(self._settings, request, settings, home)
                prepare = partial(confinement.prepared, self._settings, settings, place.directory, home)
                settings = await asyncio.to_thread(prepare)
            except confinement.ConfinementError as error:
                await self._compose_failed(f"{error.detail} ({error.hint})")
                return
        task = ComposeTask(
            kind=COMPOSE,
            id=row.id,
            generator=self._settings.composes.generator,
            request=_columns(row),
            locked=row.locked,
            is_resolved=row.locked is not None,
            target_dir=str(place.target_dir),
            url=target_url(self._settings, self._url(), request.target_dir) or None,
            settings=base64.b64encode(pickle.dumps(settings)).decode(),
            signs=plan is not None and self._settings.composes.signing_key is not None,
        )
        if self._storage is not None and request.target_dir == "default":
            self._keeping = Keeping(self._storage, self._lease.attempt, place)
        await self._start(task, plan)
        outcome = await self._outcome()
        if plan is not None:
            # What it has left changes nothing any more from here on.
            await self._kill()
        if outcome is not None and self._keeping is not None:
            outcome = await self._keeping.keep(*outcome)
        if outcome is None:
            return
        kind, data = outcome
        if kind == "done":
            await self._compose_done(data)
        elif data.get("retryable") and self._lease.attempts < self._settings.limits.attempts:
            await self._queue.release(self._lease, after=self._backoff())
            return
        else:
            await self._compose_failed(str(data["detail"]))
        if self._keeping is not None:
            # What is left here is removed by maintenance.
            generator = importlib.import_module(self._settings.composes.generator)
            with contextlib.suppress(OsbuildError, OSError):
                await asyncio.to_thread(generator.remove, self._keeping.place)

    def _url(self) -> str:
        settings = self._settings
        return (settings.url or f"http://{settings.host}:{settings.port}").rstrip("/")

    async def _compose_done(self, data: Mapping[str, Any]) -> None:
        async with self._database.writing() as session:
            await finish(session, self._lease)
            row = await session.get(Compose, self._lease.subject_id, with_for_update=True)
            assert row is not None
            row.attempt = self._lease.attempt if self._keeping is not None else None
            row.pungi_compose_id = data["pungi_compose_id"]
            row.result_repo, row.result_repofile = data["result_repo"], data["result_repofile"]
            row.locked = data["locked"]
            if row.source_type == SourceType.pulp:
                # What the content sets are for and are signed with is known only now.
                row.arches = " ".join(data["arches"])
                row.sigkeys = " ".join(data["locked"].get("extra", {}).get("sigkeys", [])) or row.sigkeys
            await composes.over(session, row, State.done, "Compose is generated successfully")

    async def _compose_failed(self, reason: str) -> None:
        async with self._database.writing() as session:
            await finish(session, self._lease)
            row = await session.get(Compose, self._lease.subject_id, with_for_update=True)
            assert row is not None
            row.attempt = self._lease.attempt if self._keeping is not None else None
            await composes.over(session, row, State.failed, plain(reason))

    async def _resolved(self, columns: Mapping[str, Any]) -> bool:
        """Tell whether the compose is to be made, now that its source is known."""
        found = from_columns(columns)
        assert self._request is not None
        # Nothing else is for that process to say: of a request for something else, more might be believed.
        request = dataclasses.replace(self._request, source=found.source, koji_event=found.koji_event)
        generator = importlib.import_module(self._settings.composes.generator)
        changed = None
        if request.source_type is SourceType.tag:
            changed = generator.tag_changed(self._settings.compose_settings(), request.arches)
        decision = await reuse.decide(self._database, self._lease, request, changed)
        if isinstance(decision, reuse.After):
            await self._queue.release(self._lease, attempted=False, waits_for=decision.id)
        else:
            self._queue.decided()
        return decision is reuse.Decision.generate

    # Builds

    async def _build(self) -> None:
        row = await builds.started(self._database, self._lease)
        if row is None:
            return
        if self._lease.attempts > self._settings.limits.attempts:
            reason = f"Given up: {self._lease.attempts - 1} workers have ended while at it"
            await builds.over(self._database, self._lease, State.failed, reason, None)
            return
        await self._start(self._build_task(row))
        teller = asyncio.create_task(self._tell())
        try:
            outcome = await self._outcome()
            await self._flush()
        finally:
            teller.cancel()
        if outcome is None:
            return
        kind, data = outcome
        if kind == "failed":
            await builds.over(self._database, self._lease, State.failed, plain(str(data["detail"])), None)
            return
        why = None
        if not data["success"]:
            why = plain(str((data["errors"] or [{"message": "failed"}])[0]["message"]))
        state = State.done if data["success"] else State.failed
        await builds.over(self._database, self._lease, state, why, data)

    def _build_task(self, row: Build) -> BuildTask:
        settings = self._settings
        return BuildTask(
            kind=BUILD,
            id=row.id,
            manifest=row.manifest,
            exports=row.exports,
            output=str(settings.builds / f"build-{row.id}"),
            settings={
                "store": str(settings.store or settings.data / "store"),
                "library": str(settings.library) if settings.library else None,
                "jobs": settings.jobs,
            },
        )

    # The process

    async def _start(self, task: Mapping[str, Any], plan: Plan | None = None) -> None:
        environment = confinement.environment(confined=plan is not None)
        if plan is not None:
            environment[guard.VARIABLE] = json.dumps(dataclasses.asdict(plan))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "osbuild_core.server.task" if plan is None else "osbuild_core.server.guard",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            limit=LONGEST,
        )
        await self._say(task)
        await self._pulse()

    async def _outcome(self) -> Outcome | None:
        """Return what came of the process, None where there is nothing to do for it."""
        process = self._process
        assert process is not None and process.stdout is not None
        async for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                # One that was ended while it spoke; its guard says why.
                continue
            if "resolved" in message:
                if not await self._resolved(message["resolved"]):
                    return None
                await self._say({"go": True})
            elif "sign" in message:
                await self._say(
                    await asyncio.to_thread(signed, self._settings, message["sign"], message["text"])
                )
            elif "event" in message:
                self._events.append((message["event"], message["data"]))
                if len(self._events) >= 200:
                    await self._flush()
                    self._events.clear()
            else:
                kind = "done" if "done" in message else "failed"
                return kind, message[kind]
        status = await process.wait()
        detail = f"the process that made it ended with status {status}"
        return "failed", {"code": "crashed", "detail": detail, "retryable": True}

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            pass
        finally:
            # Its whole session: what it has started does not outlive it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _backoff(self) -> float:
        return BACKOFF[min(self._lease.attempts, len(BACKOFF)) - 1]


def plain(reason: str) -> str:
    """Return ``reason`` as every database takes it; names of files may have anything in them."""
    return reason[:LONGEST_REASON].encode(errors="replace").decode().replace("\0", "?")


def _columns(row: Compose) -> dict[str, Any]:
    from osbuild_core.exports.compose.request import columns

    return columns(composes.record(row).request)
