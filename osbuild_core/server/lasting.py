"""Answers that take long: whether who asked may still have them is looked at again while they are sent.

A token may be revoked or expire meanwhile, and lose its groups.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable

from osbuild_core.server.refusal import Refusal

AGAIN = 3.0
"""Seconds between looks."""


class Cut(Exception):
    """The rest of an answer is refused: the connection is closed, so that nobody takes what came for the whole."""


class Standing:
    """Whether what was asked for may still be had: ``allowed`` raises Refusal where not."""

    def __init__(self, allowed: Callable[[], Awaitable[object]]) -> None:
        self._allowed = allowed
        self._looked = time.monotonic()

    async def refused(self) -> Refusal | None:
        """Return why it may not be had any more, None where it may or that was looked at a moment ago."""
        if time.monotonic() - self._looked < AGAIN:
            return None
        try:
            await self._allowed()
        except Refusal as refusal:
            return refusal
        self._looked = time.monotonic()
        return None

    async def stream(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield ``parts`` as long as they may be had. Raises Cut."""
        async for part in parts:
            if await self.refused() is not None:
                raise Cut
            yield part
