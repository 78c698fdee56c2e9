"""Has a process remove what nobody has used for long: indexes of repositories, and what is in stores.

A process of its own: it reads much, and what belongs to nobody is looked at by nobody (see confinement.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from osbuild_core.server import confinement
from osbuild_core.server.settings import ServerSettings

log = logging.getLogger("osbuild_core.server.maintenance")
_LOCK = "tidied"
"""Locked by who tidies, in ``data``; its time is that of the last time."""
_LONGEST = 4096


class TidyTask(TypedDict):
    """What a process is to tidy. ``store`` None: it is somebody else's. ``before`` and so on are seconds since 1970.

    Whatever was used since ``recent`` may be in use.
    """

    store: str | None
    store_before: float
    store_bytes: int | None
    indexes: str
    indexes_before: float
    indexes_bytes: int | None
    recent: float
    confine: int | None


class Tidying:
    """Any worker may do it at any time; one does at once, of those that share ``data``."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Do it, unless somebody is at it or has done it in the last ``look_seconds``."""
        data = self._settings.data
        try:
            data.mkdir(parents=True, exist_ok=True)
            with _taken(data / _LOCK, self._settings.keep.look_seconds) as handle:
                if handle is None:
                    return
                for task in self._tasks():
                    await _tidy(task)
                # Not before: what was killed in the middle is taken up at once.
                os.utime(handle)
        except OSError as error:
            log.warning("cannot tidy", extra={"data": {"reason": str(error)}})

    def _tasks(self) -> list[TidyTask]:
        settings, keep, at = self._settings, self._settings.keep, time.time()
        # Whatever takes longer is given up.
        recent = at - 2 * settings.limits.generating_seconds
        data = settings.data.absolute()
        confined = data / "confined"
        own = TidyTask(
            # Another one is looked after by whoever chose it: builds of the command line may be in it.
            store=str(data / "store") if settings.store is None else None,
            store_before=min(recent, at - keep.store_seconds),
            store_bytes=keep.store_bytes,
            indexes=str(data / "indexes"),
            indexes_before=at - keep.indexes_seconds,
            indexes_bytes=keep.indexes_bytes,
            recent=recent,
            confine=None,
        )
        if os.geteuid() != 0 or not confined.is_dir():
            return [own]
        theirs = {"store": str(confined / "store"), "indexes": str(confined / "indexes")}
        return [own, {**own, **theirs, "confine": settings.composes.first_id}]  # type: ignore[typeddict-item]


@contextlib.contextmanager
def _taken(path: Path, seconds: float) -> Iterator[int | None]:
    """Provide the lock file, None where somebody has it or it is younger than ``seconds``."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        taken = False
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = time.time() - os.fstat(handle).st_mtime >= seconds
        yield handle if taken else None
    finally:
        os.close(handle)


async def _tidy(task: TidyTask) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "osbuild_core.server.tidy_task"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=confinement.environment(confined=task["confine"] is not None),
        limit=_LONGEST,
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        line = await process.stdout.readline()
    except (ValueError, ConnectionError):
        line = b""
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    _tell(task, line)


def _tell(task: TidyTask, line: bytes) -> None:
    what = {"confined": task["confine"] is not None}
    try:
        said = json.loads(line)
        if "failed" in said:
            log.warning("cannot tidy", extra={"data": {**what, "reason": str(said["failed"])}})
        elif sum(freed := {name: int(said[name]) for name in ("store", "indexes")}.values()):
            log.info("tidied", extra={"data": {**what, "freed": sum(freed)}})
    except (ValueError, TypeError, KeyError):
        log.warning("cannot tidy", extra={"data": {**what, "reason": "the process ended"}})
