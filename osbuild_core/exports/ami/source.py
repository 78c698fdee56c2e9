"""The image that goes up: read once, and the same from the first look to the last byte."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import struct
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from osbuild_core.exports.ami.errors import AmiError
from osbuild_core.exports.ami.state import State

ZERO = bytes(32)
"""Stands in a table for a block that has nothing but zeros."""

PLACE = ("awspub", "source", "path")
SETTLED = 0.1
"""Seconds since the last change after which a further one is sure to show in the times of a file."""

_SECTOR = 512
_NULLS = bytes(8 << 20)


class Scan(NamedTuple):
    """The digest of an image and that of each of its blocks, :data:`ZERO` for those of zeros only.

    The last block may be shorter than the others; its digest is that of what there is.
    """

    sha256: str
    block_size: int
    blocks: tuple[bytes, ...]
    cached: bool = False

    def data_blocks(self) -> list[int]:
        """Return the indexes of blocks that are not zeros only."""
        return [index for index, digest in enumerate(self.blocks) if digest != ZERO]


class Source:
    """An open image file."""

    def __init__(self, path: Path, state: State, *, image_format: str | None = None) -> None:
        """Raises AmiError ``ami.source`` where the file cannot be read or is no image."""
        self.path = path
        self._state = state
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise _error(
                f"cannot read {path}: {error.strerror}", "is the path right, and readable for you?"
            ) from error
        self._fd = self._file.fileno()
        self._stat = os.fstat(self._fd)
        try:
            if not stat.S_ISREG(self._stat.st_mode):
                raise _error(f"{path} is no regular file", "copy it into one")
            self.size = self._stat.st_size
            if self.size == 0:
                raise _error(f"{path} is empty", "did whatever makes it fail?")
            self.format = image_format or _detect(self._fd, self.size, path)
            self.virtual_size = _virtual_size(self._fd, self.size, self.format)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes, fewer at the end of the file. Any thread may call."""
        parts = []
        while length > 0:
            try:
                part = os.pread(self._fd, length, offset)
            except OSError as error:
                raise _error(f"cannot read {self.path}: {error.strerror}", "check its file system") from error
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def block(self, scan: Scan, index: int) -> bytes:
        """Return a block of ``scan``. Raises AmiError ``ami.source-changed`` where it is not what it was."""
        data = self.read(index * scan.block_size, scan.block_size)
        expected = scan.blocks[index]
        if _block_digest(data) != expected:
            raise self._changed()
        return data

    def check(self) -> None:
        """Raise AmiError ``ami.source-changed`` where the file was changed or replaced since it was opened."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise self._changed() from error
        if _identity(now) != _identity(self._stat) or _identity(os.fstat(self._fd)) != _identity(self._stat):
            raise self._changed()

    def _changed(self) -> AmiError:
        return AmiError(
            f"{self.path} was changed while it was read",
            code="ami.source-changed",
            hint="wait until it is finished, and run again",
            place=PLACE,
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
                start = os.lseek(self._fd, offset, os.SEEK_DATA)
                offset = os.lseek(self._fd, start, os.SEEK_HOLE)
            except OSError:
                # ENXIO: nothing but a hole is left.
                return
            first, last = max(following, start // block_size), (offset - 1) // block_size
            yield from range(first, last + 1)
            following = max(following, last + 1)


def known_blocks(state: State, sha256: str, block_size: int) -> tuple[bytes, ...] | None:
    """Return the digests of the blocks of an image that was read here once, None where it was not."""
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


def _error(message: str, hint: str) -> AmiError:
    return AmiError(message, code="ami.source", hint=hint, place=PLACE)


def _detect(fd: int, size: int, path: Path) -> str:
    """Return the format of an image by its first and last bytes. Raises AmiError for one that EC2 does not take."""
    head = os.pread(fd, 64, 0)
    convert = "convert it: qemu-img convert -O raw, or -O vmdk -o subformat=streamOptimized"
    if head.startswith(b"KDMV"):
        return "vmdk"
    if head.startswith(b"QFI\xfb"):
        raise _error(f"{path} is a qcow2 image, which EC2 does not take", convert)
    if head.startswith(b"vhdxfile"):
        raise _error(f"{path} is a VHDX image, which EC2 does not take as a snapshot", convert)
    if head.startswith(b"# Disk DescriptorFile"):
        raise _error(f"{path} only describes a VMDK image, its data is in other files", convert)
    if head.startswith(b"conectix") or os.pread(fd, 8, max(0, size - _SECTOR)) == b"conectix":
        return "vhd"
    return "raw"


def _virtual_size(fd: int, size: int, image_format: str) -> int:
    """Return the size of the disk that the image is of, in bytes."""
    if image_format == "vmdk":
        head = os.pread(fd, 20, 0)
        return int(struct.unpack_from("<Q", head, 12)[0]) * _SECTOR if head.startswith(b"KDMV") else size
    if image_format == "vhd":
        footer = os.pread(fd, _SECTOR, max(0, size - _SECTOR))
        return int(struct.unpack_from(">Q", footer, 48)[0]) if footer.startswith(b"conectix") else size
    return size
