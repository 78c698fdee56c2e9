"""Entries of the store's ``tmp/``: directories that belong to one process and vanish with its work.

An entry ``tmp/X`` is alive while somebody holds the lock of ``tmp/X.lock``, which is there before the
directory and leaves after it. So a killed process leaves entries that anybody can tell and remove.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from osbuild_core.store import locks
from osbuild_core.store.namespace import release_mounts

# Other tools keep their own things in a shared tmp/; these are ours.
_MARK = "core-"
_LOCK = ".lock"


def lock_path(tmp: Path, name: str) -> str:
    """Return the lock file called ``name``, in the form that stale ones are cleaned up in."""
    return f"{tmp}/{_MARK}{name}{_LOCK}"


class Entry:
    """One directory in ``tmp/``, mode 0755, with its lock held."""

    def __init__(self, tmp: Path, prefix: str) -> None:
        while True:
            name = f"{prefix}-{os.urandom(6).hex()}"
            self._lock_path = lock_path(tmp, name)
            fd = locks.open_locked(self._lock_path)
            if fd is not None:
                break
        self._fd = fd
        self.path = tmp / f"{_MARK}{name}"
        try:
            self.path.mkdir()
            self.path.chmod(0o755)
        except BaseException:
            self.remove()
            raise

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock; -1 after removal."""
        return self._fd

    def remove(self) -> None:
        """Unmount and delete all of it. What cannot be deleted is left to the next opening of the store."""
        if self._fd < 0:
            return
        from osbuild_core.store.removal import remove_tree

        gone = False
        with suppress(OSError):
            release_mounts(self.path)
            remove_tree(str(self.path))
            gone = True
        fd, self._fd = self._fd, -1
        if gone:
            with suppress(OSError):
                os.unlink(self._lock_path)
        os.close(fd)


def _names(tmp: Path) -> list[str]:
    return sorted({name.removesuffix(_LOCK) for name in os.listdir(tmp) if name.startswith(_MARK)})


def stale(tmp: Path) -> list[Path]:
    """Return the entries of processes that are no more."""
    found = []
    for path in (tmp / name for name in _names(tmp)):
        fd = -1
        with suppress(FileNotFoundError):
            fd = os.open(f"{path}{_LOCK}", os.O_RDWR | os.O_CLOEXEC)
        try:
            if (fd < 0 or locks.try_exclusive(fd)) and path.exists():
                found.append(path)
        finally:
            if fd >= 0:
                os.close(fd)
    return found


def remove_stale(tmp: Path) -> None:
    """Delete the entries and lock files of processes that are no more."""
    for name in _names(tmp):
        path = f"{tmp}/{name}{_LOCK}"
        with suppress(OSError):
            fd = locks.open_locked(path)
            if fd is None:
                continue
            try:
                if os.path.lexists(f"{tmp}/{name}"):
                    from osbuild_core.store.removal import remove_tree

                    release_mounts(tmp / name)
                    remove_tree(f"{tmp}/{name}")
                os.unlink(path)
            finally:
                os.close(fd)
