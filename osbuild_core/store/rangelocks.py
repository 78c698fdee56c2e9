"""Shared locks on many ranges of one file, each taken once by a process, however many of its parts want it.

The kernel looks through all locks of a file for each that is taken: of thousands, every one counts.
"""

from __future__ import annotations

import collections
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osbuild_core.store import locks

Range = tuple[int, int]
"""Offset and length."""

_PAUSE_SECONDS = 0.001


class RangeLocks:
    """Locks of the file ``path``, which is made if it is not there. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._counts: collections.Counter[Range] = collections.Counter()
        self._fd = -1

    @contextmanager
    def shared(self, ranges: Iterable[Range]) -> Iterator[None]:
        """Hold shared locks; waits where somebody has an exclusive one, which is never for long. Raises OSError."""
        taken: list[Range] = []
        try:
            with self._mutex:
                self._take(ranges, taken)
            yield
        finally:
            with self._mutex:
                self._give_up(taken)

    def _take(self, ranges: Iterable[Range], taken: list[Range]) -> None:
        if self._fd < 0:
            self._fd = self.open()
        for one in ranges:
            while not self._counts[one] and not locks.try_shared(self._fd, *one):
                time.sleep(_PAUSE_SECONDS)
            self._counts[one] += 1
            taken.append(one)

    def _give_up(self, taken: Iterable[Range]) -> None:
        free = []
        for one in taken:
            self._counts[one] -= 1
            if not self._counts[one]:
                del self._counts[one]
                free.append(one)
        if self._counts:
            for one in free:
                locks.unlock(self._fd, *one)
        elif self._fd >= 0:
            # All at once.
            os.close(self._fd)
            self._fd = -1

    def open(self) -> int:
        """Return a descriptor for locks that do not belong to those of this object. Raises OSError."""
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
