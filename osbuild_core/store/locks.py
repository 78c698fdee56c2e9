"""Open-file-description locks.

They belong to one ``open()``, so they exclude threads and processes alike, survive nothing (a killed
process drops them at once) and are not lost when some other descriptor of the same file is closed. Every
descriptor here is close-on-exec, so programs that we start cannot keep a lock alive.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from osbuild_core.model.errors import Cancelled

POLL_SECONDS = 0.02

# struct flock on 64-bit machines: type, whence, start, length, pid (0 for these locks), padding.
_FLOCK = "hhqqi0q"


def _set(fd: int, kind: int, start: int, length: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def try_shared(fd: int, start: int = 0, length: int = 0) -> bool:
    """Take a shared lock on ``length`` bytes from ``start`` (0: to the end), or return False."""
    return _set(fd, fcntl.F_RDLCK, start, length)


def try_exclusive(fd: int, start: int = 0, length: int = 0) -> bool:
    """Take an exclusive lock, or turn our shared one into it; on False what we had stays as it was."""
    return _set(fd, fcntl.F_WRLCK, start, length)


def unlock(fd: int, start: int = 0, length: int = 0) -> None:
    """Give up the lock on that range."""
    _set(fd, fcntl.F_UNLCK, start, length)


def is_still(fd: int, path: str) -> bool:
    """Tell whether ``path`` names the file that is open as ``fd``: it may have been replaced or removed."""
    try:
        there = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    here = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def open_locked(path: str) -> int | None:
    """Create the lock file ``path`` and take it exclusively; None where somebody else has it.

    Its owner unlinks a lock file before giving it up, so one that was taken is checked to be there still.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            taken = try_exclusive(fd)
            if taken and is_still(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if not taken:
            return None


@contextmanager
def waiting_lock(path: str, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file ``path`` exclusively; raises Cancelled when ``cancelled()`` turns true first."""
    while (fd := open_locked(path)) is None:
        if cancelled():
            raise Cancelled("cancelled while waiting for another build of the same stage")
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(fd)
