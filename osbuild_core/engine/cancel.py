"""Cancellation: a flag that threads can ask, that poll() can wait for, and that ends what cannot do either."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancel:
    """Set once, never cleared. Its descriptor becomes readable when it is set."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._set = False
        # No lock guards it: set() may run as a signal handler, in the middle of whatever its thread does.
        self._stops: dict[object, Callable[[], None]] = {}

    def set(self) -> None:
        """Cancel. May be called from any thread and from signal handlers, more than once."""
        if self._set:
            return
        self._set = True
        if self._writing >= 0:
            os.write(self._writing, b"c")
        for stop in list(self._stops.values()):
            stop()

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Have ``stop`` called if it is, or was, cancelled while this lasts; perhaps twice, from any thread."""
        entry = object()
        self._stops[entry] = stop
        try:
            if self._set:
                stop()
            yield
        finally:
            del self._stops[entry]

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        return self._reading

    def close(self) -> None:
        """Give the descriptor back. :meth:`set` may still be called."""
        reading, writing = self._reading, self._writing
        self._reading = self._writing = -1
        os.close(reading)
        os.close(writing)
