"""Brings what a process makes into storage: its log while it is made, everything before it is committed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from osbuild_core.exports.aws.pace import Pace
from osbuild_core.exports.compose.generate import Place
from osbuild_core.model.errors import OsbuildError
from osbuild_core.server.storage import Storage

log = logging.getLogger("osbuild_core.server.worker")
LOG_SECONDS = 1.0
"""Seconds between looks at the log."""

Outcome = tuple[str, dict[str, Any]]
"""``done`` or ``failed``, and what is to be said of it."""


class Keeping:
    """Keeps the compose in ``place`` as an ``attempt``, in ``storage``; its log from now on."""

    def __init__(self, storage: Storage, attempt: str, place: Place) -> None:
        self._storage = storage
        self._attempt = attempt
        self.place = place
        self._pace = Pace()
        self._known: dict[str, int] = {}
        self._over = asyncio.Event()
        self._following = asyncio.create_task(self._follow())

    async def keep(self, kind: str, data: dict[str, Any]) -> Outcome:
        """Put there what the outcome is to lead to; return the outcome, another one where that fails."""
        self._over.set()
        # A log of a moment ago is not to arrive after this one.
        await self._following
        try:
            if kind == "done":
                await asyncio.to_thread(
                    self._storage.put, self.place.id, self._attempt, self.place.directory, self._pace
                )
            else:
                await self._put_logs()
        except (OsbuildError, OSError) as error:
            detail = error.detail if isinstance(error, OsbuildError) else str(error)
            log.warning("cannot store", extra={"data": {"id": self.place.id, "error": detail}})
            if kind == "done":
                retryable = not isinstance(error, OsbuildError) or error.retryable
                return "failed", {"code": "storage", "detail": detail, "retryable": retryable}
        return kind, data

    def stop(self) -> None:
        """Send nothing more: it is over, or somebody else's."""
        self._pace.stop()
        self._over.set()
        self._following.cancel()

    async def _follow(self) -> None:
        while not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), LOG_SECONDS)
            except TimeoutError:
                try:
                    await self._put_logs()
                except (OsbuildError, OSError) as error:
                    # The compose is what counts; its log may come later.
                    log.warning(
                        "cannot store a log", extra={"data": {"id": self.place.id, "error": str(error)}}
                    )

    async def _put_logs(self) -> None:
        self._known = await asyncio.to_thread(
            self._storage.put_logs, self.place.id, self._attempt, self.place.directory, self._known
        )
