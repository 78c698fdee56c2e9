"""A server process: from settings to answering, with a worker as its child where that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from osbuild_core.server.app import application
from osbuild_core.server.broker import Bell
from osbuild_core.server.database import Database
from osbuild_core.server.directories import prepare
from osbuild_core.server.listen import bound
from osbuild_core.server.queue import forget
from osbuild_core.server.service import service_of
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.worker import new_name

log = logging.getLogger("osbuild_core.server")
AGAIN = 1.0
"""Seconds before a worker that ended is started again."""
GRACE = 15.0


class ChildWorker:
    """A worker that the server starts, wakes, starts again and stops."""

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._process: asyncio.subprocess.Process | None = None

    def wake(self) -> None:
        """Tell it that there is something to do."""
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(b"\n")

    async def run(self) -> None:
        """Have one, always."""
        try:
            while True:
                name = new_name()
                await self._start(name)
                assert self._process is not None
                status = await self._process.wait()
                log.error("the worker ended", extra={"data": {"status": status}})
                with contextlib.suppress(Exception):
                    # What it had can be taken at once: its processes have ended with it.
                    await forget(self._database, name)
                await asyncio.sleep(AGAIN)
        finally:
            await self._stop()

    async def _start(self, name: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "osbuild_core.server.child",
            name,
            stdin=asyncio.subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        # Not as arguments or environment, which others may read.
        document = self._settings.model_dump(mode="json", exclude_unset=True)
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            await self._process.stdin.drain()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Server(uvicorn.Server):
    """uvicorn's, without its handling of signals: ours ends the process with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave them alone."""
        yield


async def serve(settings: ServerSettings, say: Callable[[str], None], *, migrate: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. ``say`` gets the line with the address when requests are answered.

    Raises UsageError where it cannot listen there or the database is not there.
    """
    listener = bound(settings.host, settings.port, authenticated=bool(settings.authentication))
    with listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        changes: dict[str, Any] = {"port": port}
        if settings.url is None and not settings.proxies and settings.port != port:
            changes["url"] = f"http://{host}:{port}"
        settings = settings.model_copy(update=changes)
        prepare(settings)
        database = Database(settings.database_url)
        try:
            await database.prepare(migrate=migrate)
            await _serve(settings, database, listener, say, f"http://{host}:{port}/")
        finally:
            await database.close()


async def _serve(
    settings: ServerSettings, database: Database, listener: Any, say: Callable[[str], None], address: str
) -> None:
    service = service_of(settings, database)
    child = ChildWorker(settings, database) if settings.worker else None
    bell = Bell(settings.broker) if settings.broker else None

    def wake() -> None:
        if child is not None:
            child.wake()
        if bell is not None:
            bell.ring()

    service.wake = wake
    server = Server(
        uvicorn.Config(
            application(service),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
            proxy_headers=False,
            server_header=False,
        )
    )
    service.is_stopping = lambda: server.should_exit
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    worker = asyncio.create_task(child.run()) if child else None
    announcer = asyncio.create_task(_announce(server, say, address))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in (announcer, worker):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(t for t in (announcer, worker) if t is not None), return_exceptions=True)
        if bell is not None:
            await asyncio.to_thread(bell.close)


async def _announce(server: uvicorn.Server, say: Callable[[str], None], address: str) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    say(f"listening on {address}")
    # For systemd (sd_notify(3)).
    _notify("READY=1")


def _notify(state: str) -> None:
    import socket

    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier, contextlib.suppress(OSError):
        notifier.connect("\0" + path[1:] if path.startswith("@") else path)
        notifier.send(state.encode())
