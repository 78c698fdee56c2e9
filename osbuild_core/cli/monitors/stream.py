"""The file descriptor that a monitor writes to. Whatever happens there, the build goes on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import sys
import time

CHUNK = 4096
"""Bytes that a pipe takes at once if it takes any (pipe(7), PIPE_BUF)."""

TICK = 0.2
PATIENCE = 1.0
"""Seconds for a reader that does not read, once :meth:`Stream.hurry` was called."""


class Stream:
    """Writes text to the descriptor ``fd``. Falls silent, with one warning, when that cannot be written to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._open = True
        self._hurried = False
        self._deadline: float | None = None
        try:
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if fd > 2:
                # Whoever reads the other end waits until nobody can write to it any more.
                os.set_inheritable(fd, False)
        except (OSError, OverflowError) as error:
            self._give_up(str(error))

    @property
    def terminal(self) -> bool:
        return self._open and os.isatty(self._fd)

    def hurry(self) -> None:
        """Have no patience any more with who does not read. For signal handlers too."""
        self._hurried = True

    def write(self, text: str) -> None:
        """Write ``text``; wait for who reads it, unless in a hurry."""
        data = text.encode(errors="replace")
        try:
            while data and self._open:
                if self._ready():
                    with contextlib.suppress(BlockingIOError):
                        data = data[os.write(self._fd, data[:CHUNK]) :]
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _ready(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        # In short turns: no signal wakes a thread.
        if poll.poll(TICK * 1000):
            return True
        if self._hurried:
            now = time.monotonic()
            self._deadline = self._deadline or now + PATIENCE
            if now > self._deadline:
                self._give_up("nobody reads it")
        return False

    def _give_up(self, reason: str) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            print(f"warning: no monitor from here on, file descriptor {self._fd}: {reason}", file=sys.stderr)
