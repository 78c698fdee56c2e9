"""Files of metadata as repositories pack them: by gzip, xz, bzip2 or zstd, which is seen from their first bytes."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from osbuild_core.exports.compose.errors import ComposeError

LIMIT = 4 << 30
"""Bytes of the largest file of metadata when it is unpacked."""

_BUFFER = 1 << 20
_MAGIC = 6
_ENDINGS = ((b"\x1f\x8b", ".gz"), (b"\xfd7zXZ\x00", ".xz"), (b"BZh", ".bz2"), (b"\x28\xb5\x2f\xfd", ".zst"))


def ending(path: Path) -> str:
    """Return what the name of a file that is packed as ``path`` is ends in: ``.gz``, ``.xz``, ``.bz2``, ``.zst``, or
    nothing.

    Raises OSError.
    """
    with path.open("rb") as file:
        magic = file.read(_MAGIC)
    return next((name for start, name in _ENDINGS if magic.startswith(start)), "")


def blocks(path: Path, limit: int = LIMIT) -> Iterator[bytes]:
    """Yield what is in ``path`` in blocks, unpacked.

    Raises ComposeError ``compose.source`` for what is broken or has more than ``limit`` bytes, ``compose.dependency``
    where there is no program for zstd.
    """
    size = 0
    try:
        with _opened(path, ending(path)) as stream:
            while block := stream.read(_BUFFER):
                size += len(block)
                if size > limit:
                    raise ComposeError(
                        f"{path.name} has more than {limit} bytes when it is unpacked", code="compose.source"
                    )
                yield block
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise _broken(path, str(error)) from error


@contextlib.contextmanager
def descriptor(path: Path) -> Iterator[tuple[str, int]]:
    """Yield how ``path`` is packed, ``.gz`` or empty for not at all, and a descriptor to read it.

    For libsolv, which everywhere can unpack that, and not everywhere the rest: this is unpacked into a file beside
    it, which is gone afterwards. Raises ComposeError, OSError.
    """
    packed = ending(path)
    if packed in ("", ".gz"):
        with path.open("rb") as file:
            yield packed, file.fileno()
        return
    with tempfile.TemporaryFile(dir=path.parent) as copy:
        for block in blocks(path):
            copy.write(block)
        copy.seek(0)
        yield "", copy.fileno()


def _opened(path: Path, packed: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    match packed:
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".xz":
            return lzma.open(path)
        case ".bz2":
            return bz2.open(path)
        case ".zst":
            return _zstd(path)
        case _:
            return path.open("rb")


@contextlib.contextmanager
def _zstd(path: Path) -> Iterator[IO[bytes]]:
    """Yield what the zstd program makes of ``path``. Raises ComposeError where it could not."""
    try:
        program = subprocess.Popen(
            ["zstd", "--quiet", "--decompress", "--stdout", "--", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # An interrupt on the terminal comes to us alone.
            process_group=0,
        )
    except FileNotFoundError:
        raise ComposeError(
            f"{path.name} is packed with zstd, and there is no zstd program",
            code="compose.dependency",
            hint="install the package zstd",
        ) from None
    with program:
        assert program.stdout is not None and program.stderr is not None
        try:
            yield program.stdout
        except BaseException:
            program.kill()
            raise
        # So that it ends, whatever was left.
        program.stdout.close()
        said = program.stderr.read().decode(errors="replace").strip()
    if program.returncode != 0:
        raise _broken(path, said or "zstd failed")


def _broken(path: Path, reason: str) -> ComposeError:
    return ComposeError(
        f"{path.name} cannot be unpacked: {reason}", code="compose.source", hint="is the repository complete?"
    )
