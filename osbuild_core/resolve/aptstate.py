"""The directories in which apt's indexes are kept between runs: made, locked, and removed when nobody uses them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r".+-[0-9a-f]{16}")
_GONE = ".gone-"
"""Begins the names of directories that are being removed."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make the directory and hold its lock; wait for it."""
    while (handle := _taken(directory)) is None:
        # It was unused for long, and was removed this moment.
        continue
    try:
        for name in ("etc/sources.list.d", "lists/partial", "cache/archives/partial", "log"):
            (directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        yield
    finally:
        os.close(handle)


def _taken(directory: Path) -> int | None:
    """Return what holds the lock of ``directory``, None where it was removed meanwhile. Raises OSError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, FileExistsError):
        if os.path.lexists(directory) and not directory.is_dir():
            raise
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(handle), os.stat(directory / "lock")):
            return handle
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def drop_unused(state_dir: Path, before: float) -> None:
    """Remove the indexes of entries that nobody has resolved against since ``before`` (seconds since 1970).

    Others may do the same meanwhile; what they leave that are killed goes the next time. Raises OSError.
    """
    for directory in state_dir.iterdir() if state_dir.is_dir() else ():
        if _NAME.fullmatch(directory.name) and not directory.name.startswith(_GONE):
            with contextlib.suppress(FileNotFoundError):
                _put_aside(directory, before)
    for directory in state_dir.glob(f"{_GONE}*"):
        shutil.rmtree(directory, ignore_errors=True)


def _put_aside(directory: Path, before: float) -> None:
    """Give the directory another name, unless somebody uses it or has used it since: half of it would be found."""
    if directory.stat().st_mtime >= before or not directory.is_dir():
        return
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(directory / "lock")):
            directory.rename(directory.with_name(f"{_GONE}{os.urandom(8).hex()}"))
    except BlockingIOError:
        pass
    finally:
        os.close(handle)
