"""A worker: takes work from the queue, has a process of its own do each piece, and writes down what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable

from osbuild_core.server.assignment import Assignment
from osbuild_core.server.broker import Ear
from osbuild_core.server.database import Database
from osbuild_core.server.directories import prepare, prepare_store
from osbuild_core.server.maintenance import Maintenance
from osbuild_core.server.queue import Queue
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.storage import storage_of
from osbuild_core.server.tidying import Tidying

log = logging.getLogger("osbuild_core.server.worker")
LOOK = 300.0
"""Seconds between looks whether it is time to tidy, at most."""
TROUBLE = 2.0
"""Seconds before the database is tried again."""


def new_name() -> str:
    """Return a name that no other worker has or had."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class WorkerLoop:
    """Works until it is told to stop; then it gives back what it has."""

    def __init__(self, settings: ServerSettings, database: Database, name: str) -> None:
        self._settings = settings
        self._queue = Queue(database, name, settings.queue.lease, self._look_again)
        self._storage = storage_of(settings)
        self._maintenance = Maintenance(settings, database, self._storage)
        self._tidying = Tidying(settings)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look into the queue now."""
        self._wake.set()

    def _look_again(self, after: float) -> None:
        """Look into the queue in ``after`` seconds, when there may be what could not be taken before."""
        asyncio.get_running_loop().call_later(after, self.wake)

    def stop(self) -> None:
        """Stop as soon as what is being done has been given back."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Work."""
        tasks = (self._signs_of_life(), self._maintain(), self._tidy())
        background = [asyncio.create_task(task) for task in tasks]
        try:
            while not self._stop.is_set():
                self._wake.clear()
                try:
                    taken = await self._fill()
                except Exception:
                    # A database that is gone for a while is no reason to end.
                    log.exception("cannot take work")
                    await self._pause(TROUBLE)
                    continue
                if not taken:
                    await self._pause(self._settings.queue.poll)
        finally:
            for task in (*background, *self._running):
                task.cancel()
            await asyncio.gather(*background, *self._running, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._queue.leave()

    async def _fill(self) -> bool:
        """Take work for a slot that is free; tell whether there was any."""
        if len(self._running) >= self._settings.queue.slots:
            return False
        lease = await self._queue.take()
        if lease is None:
            return False
        task = asyncio.create_task(Assignment(self._settings, self._queue, lease, self._storage).run())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work ended badly", exc_info=task.exception())
        self.wake()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _signs_of_life(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                await self._queue.seen(len(self._running), self._settings.queue.slots)
            await asyncio.sleep(10)

    async def _maintain(self) -> None:
        while True:
            try:
                await self._maintenance.run()
            except Exception:
                log.exception("maintenance failed")
            await asyncio.sleep(self._settings.queue.maintenance)

    async def _tidy(self) -> None:
        # Beside the rest: it may take minutes.
        while True:
            try:
                await self._tidying.run()
            except Exception:
                log.exception("tidying failed")
            await asyncio.sleep(min(self._settings.keep.look_seconds, LOOK))


async def work(settings: ServerSettings, *, name: str | None = None, child: bool = False) -> None:
    """Work until SIGINT or SIGTERM; as a ``child`` of a server until standard input ends, too.

    A byte on standard input wakes the worker. Raises UsageError where the database is not there.
    """
    database = Database(settings.database_url)
    loop = asyncio.get_running_loop()
    name = name or new_name()
    ear: Ear | None = None
    try:
        await database.prepare(migrate=False)
        prepare(settings)
        prepare_store(settings)
        worker = WorkerLoop(settings, database, name)
        if settings.broker:
            ear = Ear(settings.broker, name, lambda: _soon(loop, worker.wake))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, worker.stop)
        listener = asyncio.create_task(_listen(worker)) if child else None
        try:
            await worker.run()
        finally:
            if listener is not None:
                listener.cancel()
    finally:
        if ear is not None:
            await asyncio.to_thread(ear.close)
        await database.close()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call something in the loop, from another thread."""
    loop.call_soon_threadsafe(call)


async def _listen(worker: WorkerLoop) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", closefd=False)
    )
    while await reader.read(4096):
        worker.wake()
    worker.stop()
