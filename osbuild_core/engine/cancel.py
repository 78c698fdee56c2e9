"""Cancellation: a flag that threads can ask and that poll() can wait for."""

from __future__ import annotations

import os


class Cancel:
    """Set once, never cleared. Its descriptor becomes readable when it is set."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._set = False

    def set(self) -> None:
        """Cancel. May be called from any thread and from signal handlers, more than once."""
        if not self._set:
            self._set = True
            os.write(self._writing, b"c")

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        return self._reading

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
