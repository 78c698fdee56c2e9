"""Source files by checksum, laid out as osbuild does, so that one cache serves both."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from osbuild_core.store.failure import reported
from osbuild_core.store.rangelocks import RangeLocks

FILES = "org.osbuild.files"


class SourceFile(NamedTuple):
    """One item: a file, or a directory for source types that keep those. Size in bytes on the disk."""

    path: Path
    size: int
    last_used: float


class SourceCache:
    """``path`` is ``<store>/sources``. Files in it are written by source modules.

    Those in use are locked (see rangelocks.py) in files that are called as ``lock``; a build may use thousands.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self.path = path
        self._locks = RangeLocks(lock)
        self._synced = lock.with_name("sources.synced")

    def file(self, checksum: str, content_type: str = FILES) -> Path:
        """Return where the item of that checksum (``sha256:…``) is, or would be."""
        return self.path / content_type / checksum

    def has(self, checksum: str, content_type: str = FILES) -> bool:
        """Tell whether the item is there.

        One that was written after the last sync of an earlier boot may be cut short: it is checked, and
        removed if it is.
        """
        return not self.missing((checksum,), content_type)

    def missing(self, checksums: Iterable[str], content_type: str = FILES) -> list[str]:
        """Return those of the items that are not there, see :meth:`has`."""
        found = []
        doubtful: tuple[float, float] | None = None
        for checksum in checksums:
            path = f"{self.path}/{content_type}/{checksum}"
            try:
                status = os.lstat(path)
            except OSError:
                found.append(checksum)
                continue
            if doubtful is None:
                doubtful = self._synced_until(), _booted()
            if doubtful[0] < status.st_mtime < doubtful[1] and stat.S_ISREG(status.st_mode):
                with reported("checking a source file"):
                    if not _matches(path, checksum):
                        os.unlink(path)
                        found.append(checksum)
        return found

    def mark_synced(self, until: float) -> None:
        """Note that all that was written before ``until`` (seconds since 1970) is on the disk."""
        fd = os.open(self._synced, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.utime(fd, (until, until))
        finally:
            os.close(fd)

    def _synced_until(self) -> float:
        try:
            return os.stat(self._synced).st_mtime
        except FileNotFoundError:
            # What another program brought here is taken as it is.
            self.mark_synced(time.time())
            return time.time()

    @contextmanager
    def lease(self, checksums: Iterable[str], content_type: str = FILES) -> Iterator[None]:
        """Keep these items from being evicted, and note their use. They need not be there yet."""
        wanted = list(checksums)
        numbers = [_number(content_type, checksum) for checksum in wanted]
        with contextlib.ExitStack() as held:
            with reported("holding source files"):
                new = held.enter_context(self._locks.shared(numbers))
                for checksum, number in zip(wanted, numbers, strict=True):
                    # Of those that are held already it is known.
                    if number in new:
                        self._touch(f"{self.path}/{content_type}/{checksum}")
            yield

    def _touch(self, path: str) -> None:
        # The access time only: the other one gets into trees that the file is copied to.
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns), follow_symlinks=False)

    def files(self) -> Iterator[SourceFile]:
        """Yield every item."""
        from osbuild_core.store.object import allocated

        for kind in self._entries(self.path):
            if kind.name.startswith("."):
                # Source modules keep what is not finished there, and look after it themselves.
                continue
            for entry in self._entries(kind):
                with suppress(FileNotFoundError):
                    is_dir = entry.is_dir() and not entry.is_symlink()
                    # Measured first: reading a directory counts as using it.
                    size = allocated(str(entry)) if is_dir else 0
                    status = os.lstat(entry)
                    size = size or status.st_blocks * 512
                    yield SourceFile(entry, size, max(status.st_atime, status.st_mtime))

    def _entries(self, directory: Path) -> list[Path]:
        try:
            return [directory / name for name in os.listdir(directory)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def evict(self, file: SourceFile, *, dry_run: bool = False) -> bool:
        """Delete an item, unless it is in use or was used since ``file`` was made; tells whether it could."""
        from osbuild_core.store.removal import remove_tree

        with self._locks.exclusive(_number(file.path.parent.name, file.path.name)) as ours:
            if not ours:
                return False
            with suppress(FileNotFoundError):
                status = os.lstat(file.path)
                if max(status.st_atime, status.st_mtime) > file.last_used:
                    return False
            if not dry_run:
                remove_tree(str(file.path))
            return True


def _booted() -> float:
    """Return when the machine was started, in seconds since 1970."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _matches(path: str, checksum: str) -> bool:
    algorithm, _, wanted = checksum.partition(":")
    if algorithm not in hashlib.algorithms_available:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == wanted.lower()


def _number(content_type: str, checksum: str) -> int:
    """Return what stands for an item among the locks. Two items with one number only wait for each other."""
    digest = hashlib.sha256(f"{content_type}/{checksum}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2
