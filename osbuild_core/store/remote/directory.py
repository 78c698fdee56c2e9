"""Blobs as files of a directory, which many machines may share over a network file system."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class DirectoryBlobs:
    """``path`` is made with the first blob, if what it is in is there.

    A blob is written beside the others, below ``tmp/``, and linked to its name when it is complete: link(2) never
    replaces anything, and works over NFS. What a killed process leaves is below ``tmp/``. Nothing waits for the
    disk: what a crash cuts short does not have its digest, so it is found out and removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self, name: str) -> bool:
        return os.path.isfile(self.path / name)

    def get(self, name: str) -> BinaryIO | None:
        try:
            # Not waiting: somebody may have put a pipe there.
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no file", str(self.path / name))
        return open(fd, "rb", buffering=0)

    def put(self, name: str, source: Path, check: Callable[[], None] = lambda: None) -> bool:
        target = self.path / name
        if os.path.lexists(target):
            return False
        self._make(target.parent)
        self._make(self.path / "tmp")
        new = str(self.path / "tmp" / f"{socket.gethostname()}-{os.getpid()}-{os.urandom(6).hex()}")
        try:
            _copy(source, new, check)
            return _link(new, str(target))
        finally:
            with suppress(OSError):
                os.unlink(new)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.path / name)

    def _make(self, directory: Path) -> None:
        # Not what the cache is in: that may be a file system which is not mounted.
        missing = []
        while directory != self.path.parent and not directory.is_dir():
            missing.append(directory)
            directory = directory.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)


def _copy(source: Path, new: str, check: Callable[[], None]) -> None:
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(source, "rb", buffering=0) as file:
            while data := file.read(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                check()
        check()
    finally:
        # Some file systems say only here that they are full.
        os.close(fd)


def _link(new: str, target: str) -> bool:
    try:
        os.link(new, target)
    except FileExistsError:
        # It may have been ourselves: over NFS a call can succeed, its answer be lost, and the call be repeated.
        return os.stat(new).st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_new(new, target)
    return True


def _rename_new(new: str, target: str) -> bool:
    """Rename to a name that is not taken, on a file system without hard links."""
    from osbuild_core.store import mountapi

    try:
        mountapi.rename_new(new, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        # Nothing is lost where two come at the same moment: both blobs are whole, and one stays.
        if os.path.lexists(target):
            return False
        os.rename(new, target)
    return True
