"""How many rows a filter finds: exact where that is quick, a moment old where there are many.

PostgreSQL counts by looking at every row. Whoever lists a hundred thousand composes is not to wait for that on each
page, and nobody sees the difference.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

MANY = 2_000
"""Rows above which a total may be old."""
SECONDS = 5.0
_KEPT = 1000


class Totals:
    """Totals that one server process has counted."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    async def of(self, filters: Hashable, count: Callable[[], Awaitable[int]]) -> int:
        """Return how many rows there are for ``filters``, by ``count`` unless that was just asked."""
        known = self._kept.get(filters)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        found = await count()
        self._kept.pop(filters, None)
        if found > MANY:
            self._kept[filters] = (time.monotonic() + SECONDS, found)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found
