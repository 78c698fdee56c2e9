"""What libsolv makes of a repository's primary metadata, kept beside them: to load that takes a tenth of the time."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import NEW, publish

_DIGEST = hashlib.sha256().digest_size


class SolvIndex:
    """The index of the file of metadata ``primary``, made by the library ``maker``.

    It is a SHA-256 and what libsolv has written: a machine that crashed may have left anything in the file. One of
    another version of the library is another one. Like the metadata, it is there as long as somebody uses it.
    """

    def __init__(self, primary: Path, maker: str) -> None:
        self._primary = primary
        made = os.stat(maker)
        self._path = primary.with_name(f"{primary.name}-{made.st_mtime_ns:x}-{made.st_size:x}.solv")

    def load(self, read: Callable[[int], bool]) -> bool:
        """Have ``read`` read the index from a descriptor; tells whether there is one, and it could."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return False
        with file:
            wanted = file.read(_DIGEST)
            if hashlib.file_digest(file, "sha256").digest() != wanted:
                return False
            os.utime(file.fileno())
            os.lseek(file.fileno(), _DIGEST, os.SEEK_SET)
            return read(file.fileno())

    def write(self, write: Callable[[int], bool]) -> None:
        """Have ``write`` write the index to a descriptor. Raises ComposeError ``compose.source``, OSError."""
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=NEW) as file:
            os.lseek(file.fileno(), _DIGEST, os.SEEK_SET)
            if not write(file.fileno()):
                raise ComposeError(
                    f"the index of {self._primary.name} cannot be written",
                    code="compose.source",
                    hint="is the disk full?",
                )
            with open(file.name, "rb") as written:
                written.seek(_DIGEST)
                digest = hashlib.file_digest(written, "sha256").digest()
            os.pwrite(file.fileno(), digest, 0)
            publish(file.name, self._path)
