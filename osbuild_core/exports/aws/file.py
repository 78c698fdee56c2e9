"""A file that goes up: read once, and the same from the first look to the last byte."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.aws.state import State
from osbuild_core.model.errors import Path as Place

ZERO = bytes(32)
"""Stands in a table for a block that has nothing but zeros."""

SETTLED = 0.1
"""Seconds since the last change after which a further one is sure to show in the times of a file."""

_NULLS = bytes(8 << 20)


class Scan(NamedTuple):
    """The digest of a file and that of each of its blocks, :data:`ZERO` for those of zeros only.

    The last block may be shorter than the others; its digest is that of what there is.
    """

    sha256: str
    block_size: int
    blocks: tuple[bytes, ...]
    cached: bool = False

    def data_blocks(self) -> list[int]:
        """Return the indexes of blocks that are not zeros only."""
        return [index for index, digest in enumerate(self.blocks) if digest != ZERO]


class LocalFile:
    """An open file of this machine."""

    def __init__(self, path: Path, state: State, *, place: Place = ()) -> None:
        """``place`` is where the file is named. Raises AwsError ``aws.source`` where it cannot be read."""
        self.path = path
        self.place = place
        self._state = state
        try:
            self._file: BinaryIO = open(path, "rb", opener=_open)  # noqa: SIM115
        except OSError as error:
            raise self.refused(
                f"cannot read {path}: {error.strerror}", "is the path right, and readable for you?"
            ) from error
        self.fd = self._file.fileno()
        self._stat = os.fstat(self.fd)
        self.size = self._stat.st_size
        if not stat.S_ISREG(self._stat.st_mode):
            self._file.close()
            raise self.refused(f"{path} is no regular file", "copy it into one")

    def refused(self, message: str, hint: str) -> AwsError:
        """Return the error for a file that cannot be used."""
        return AwsError(message, code="aws.source", hint=hint, place=self.place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes, fewer at the end of the file. Any thread may call."""
        parts = []
        while length > 0:
            try:
                part = os.pread(self.fd, length, offset)
            except OSError as error:
                raise self.refused(
                    f"cannot read {self.path}: {error.strerror}", "check its file system"
                ) from error
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def block(self, scan: Scan, index: int) -> bytes:
        """Return a block of ``scan``. Raises AwsError ``aws.source-changed`` where it is not what it was."""
        data = self.read(index * scan.block_size, scan.block_size)
        expected = scan.blocks[index]
        if _block_digest(data) != expected:
            raise self._changed()
        return data

    def check(self) -> None:
        """Raise AwsError ``aws.source-changed`` where the file was changed or replaced since it was opened."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise self._changed() from error
        if _identity(now) != _identity(self._stat) or _identity(os.fstat(self.fd)) != _identity(self._stat):
            raise self._changed()

    def _changed(self) -> AwsError:
        return AwsError(
            f"{self.path} was changed while it was read",
            code="aws.source-changed",
            hint="wait until it is finished, and run again",
            place=self.place,
        )

    def scan(self, block_size: int) -> Scan:
        """Return the digests, read from the file or, where it is as it was then, from an earlier run."""
        key = f"{hashlib.sha256(repr(_identity(self._stat)).encode()).hexdigest()[:32]}.{block_size}"
        count = -(-self.size // block_size)
        known = self._state.read("digests", key)
        if known is not None and len(known) == 32 * (count + 1):
            return Scan(known[:32].hex(), block_size, _split(known[32:]), cached=True)
        began = time.time()
        scan = self._read_all(block_size)
        self.check()
        table = bytes.fromhex(scan.sha256) + b"".join(scan.blocks)
        if max(self._stat.st_mtime, self._stat.st_ctime) < began - SETTLED:
            self._state.write("digests", key, table)
        self._state.write("tables", f"{scan.sha256}.{block_size}", table[32:])
        return scan

    def _read_all(self, block_size: int) -> Scan:
        whole = hashlib.sha256()
        blocks: list[bytes] = [ZERO] * -(-self.size // block_size)
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="digest") as pool:
            end = 0
            for index in self._blocks_with_data(block_size):
                _update_zeros(whole, index * block_size - end)
                data = self.read(index * block_size, block_size)
                end = index * block_size + len(data)
                # The digest of the block is worked out while that of the whole goes on.
                waiting.append((index, pool.submit(_block_digest, data)))
                whole.update(data)
                while len(waiting) > 16 or (waiting and waiting[0][1].done()):
                    number, future = waiting.popleft()
                    blocks[number] = future.result()
            for number, future in waiting:
                blocks[number] = future.result()
            _update_zeros(whole, self.size - end)
        return Scan(whole.hexdigest(), block_size, tuple(blocks))

    def _blocks_with_data(self, block_size: int) -> Iterator[int]:
        """Yield the indexes of blocks that are not holes altogether."""
        following = 0
        offset = 0
        while offset < self.size:
            try:
                start = os.lseek(self.fd, offset, os.SEEK_DATA)
                offset = os.lseek(self.fd, start, os.SEEK_HOLE)
            except OSError:
                # ENXIO: nothing but a hole is left.
                return
            first, last = max(following, start // block_size), (offset - 1) // block_size
            yield from range(first, last + 1)
            following = max(following, last + 1)


def _open(path: str, flags: int) -> int:
    # A pipe is to be refused, not waited for.
    return os.open(path, flags | os.O_NONBLOCK)


def known_blocks(state: State, sha256: str, block_size: int) -> tuple[bytes, ...] | None:
    """Return the digests of the blocks of a file that was read here once, None where it was not."""
    table = state.read("tables", f"{sha256}.{block_size}")
    return None if table is None or len(table) % 32 else _split(table)


def _split(table: bytes) -> tuple[bytes, ...]:
    return tuple(table[offset : offset + 32] for offset in range(0, len(table), 32))


@functools.lru_cache(maxsize=4)
def _zeros(length: int) -> bytes:
    return bytes(length)


def _block_digest(data: bytes) -> bytes:
    return ZERO if data == _zeros(len(data)) else hashlib.sha256(data).digest()


def _update_zeros(digest: hashlib._Hash, length: int) -> None:
    view = memoryview(_NULLS)
    while length > 0:
        digest.update(view[:length])
        length -= len(_NULLS)


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
