"""Which blocks of a snapshot are written: what an interrupted upload goes on from.

A file per snapshot: a line of JSON that says what it is about, then a record for each block that AWS has
confirmed (its index, the digest of what was sent). A record that was cut short by a crash counts for nothing.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.aws.state import HINT, State

KIND = "uploads"
_RECORD = struct.Struct("<I32s")
_SEALED = 0xFFFFFFFF
"""Stands in place of an index when the snapshot was completed."""

_SYNC_BYTES = 64 * _RECORD.size
_SYNC_SECONDS = 1.0


class Header(NamedTuple):
    """``generation`` counts the snapshots that were begun in vain; ``parent`` is what the blocks differ from."""

    name: str
    region: str
    sha256: str
    snapshot: str
    generation: int
    parent: str = ""


def _file_name(region: str, name: str) -> str:
    return f"{region}.{name}"


class Record(NamedTuple):
    """What a journal says: ``blocks`` is {index: digest}, ``sealed`` that nothing more can be written."""

    header: Header
    blocks: dict[int, bytes]
    sealed: bool


def read(state: State, region: str, name: str) -> Record | None:
    """Return what the journal of an upload says; None where there is no usable one."""
    data = state.read(KIND, _file_name(region, name))
    return None if data is None else _parse(data)


def _parse(data: bytes) -> Record | None:
    line, newline, records = data.partition(b"\n")
    try:
        document: Any = json.loads(line)
        header = Header(**document)
    except (ValueError, TypeError):
        return None
    if not newline:
        return None
    whole = len(records) - len(records) % _RECORD.size
    blocks = dict(_RECORD.iter_unpack(records[:whole]))
    sealed = blocks.pop(_SEALED, None) is not None
    return Record(header, blocks, sealed)


def headers(state: State) -> Iterator[Header]:
    """Yield what the journals that are left are about."""
    folder = state.path / KIND
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            found = None if path.name.startswith(".") else _parse(path.read_bytes())
            if found is not None:
                yield found.header


def remove(state: State, region: str, name: str) -> None:
    """Forget an upload."""
    with suppress(OSError):
        (state.path / KIND / _file_name(region, name)).unlink()


class Journal:
    """The journal of an upload that is going on. Any thread may add to it."""

    def __init__(self, path: Path, header: Header, blocks: dict[int, bytes]) -> None:
        """Write ``header`` and ``blocks`` (what an earlier run has done) and keep the file open for more."""
        self.header = header
        self.blocks = dict(blocks)
        self._lock = threading.Lock()
        self._unsynced = 0
        self._synced = time.monotonic()
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._file = open(partial, "wb", buffering=0)  # noqa: SIM115
            self._file.write(json.dumps(header._asdict()).encode() + b"\n")
            self._file.write(b"".join(_RECORD.pack(*item) for item in self.blocks.items()))
            os.fsync(self._file.fileno())
            partial.replace(path)
        except OSError as error:
            raise AwsError(f"cannot write {path}: {error.strerror}", code="aws.state", hint=HINT) from error

    @classmethod
    def create(cls, state: State, header: Header, blocks: dict[int, bytes]) -> Journal:
        """Return the journal of the upload that ``header`` is about. Raises AwsError."""
        return cls(state.file(KIND, _file_name(header.region, header.name)), header, blocks)

    def add(self, index: int, digest: bytes) -> None:
        """Note that AWS has the block ``index``."""
        with self._lock:
            self.blocks[index] = digest
            try:
                self._file.write(_RECORD.pack(index, digest))
                self._unsynced += _RECORD.size
                now = time.monotonic()
                if self._unsynced >= _SYNC_BYTES or now - self._synced > _SYNC_SECONDS:
                    os.fsync(self._file.fileno())
                    self._unsynced, self._synced = 0, now
            except OSError as error:
                raise AwsError(
                    f"cannot write the journal: {error.strerror}", code="aws.state", hint=HINT
                ) from error

    def seal(self) -> None:
        """Note that the snapshot is completed: there is only waiting left."""
        self.add(_SEALED, bytes(32))
        del self.blocks[_SEALED]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Stop writing; the file stays."""
        with self._lock:
            self._file.close()
