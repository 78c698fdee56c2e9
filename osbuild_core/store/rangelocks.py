"""Shared locks on many numbers, in a few files, each taken once by a process, however many of its parts want it.

A process cannot have as many files open as it may want locks. And the kernel looks through all locks of a file for
each that is taken, so thousands in one file cost the square of their number.
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

_FILES = 16
_PAUSE_SECONDS = 0.001


class RangeLocks:
    """Locks in files that are called as ``path`` with a number behind. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._counts: collections.Counter[int] = collections.Counter()
        self._fds: dict[int, int] = {}

    @contextmanager
    def shared(self, numbers: Iterable[int]) -> Iterator[frozenset[int]]:
        """Hold shared locks on ``numbers`` (below 2^62); yields those that this process did not hold already.

        Waits where somebody has an exclusive one, which is never for long. Raises OSError.
        """
        taken: list[int] = []
        try:
            with self._mutex:
                new = self._take(numbers, taken)
            yield new
        finally:
            with self._mutex:
                self._give_up(taken)

    def _take(self, numbers: Iterable[int], taken: list[int]) -> frozenset[int]:
        new = []
        for number in numbers:
            if not self._counts[number]:
                shard = number % _FILES
                if shard not in self._fds:
                    self._fds[shard] = self._open(shard)
                while not locks.try_shared(self._fds[shard], number, 1):
                    time.sleep(_PAUSE_SECONDS)
                new.append(number)
            self._counts[number] += 1
            taken.append(number)
        return frozenset(new)

    def _give_up(self, taken: Iterable[int]) -> None:
        free = []
        for number in taken:
            self._counts[number] -= 1
            if not self._counts[number]:
                del self._counts[number]
                free.append(number)
        if self._counts:
            for number in free:
                locks.unlock(self._fds[number % _FILES], number, 1)
        else:
            # All at once.
            while self._fds:
                os.close(self._fds.popitem()[1])

    @contextmanager
    def exclusive(self, number: int) -> Iterator[bool]:
        """Hold the exclusive lock on ``number``; yields False where anybody has another, also here.

        Raises OSError.
        """
        fd = self._open(number % _FILES)
        try:
            yield locks.try_exclusive(fd, number, 1)
        finally:
            os.close(fd)

    def _open(self, shard: int) -> int:
        path = self._path.with_name(f"{self._path.name}-{shard}")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
