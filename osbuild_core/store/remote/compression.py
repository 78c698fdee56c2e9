"""The zstd program as a pipe: what is written to it is compressed, what is read from it was, and is what it was."""

from __future__ import annotations

import hashlib
import io
import os
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from osbuild_core.model.errors import StoreError
from osbuild_core.store.remote.failure import remote_error
from osbuild_core.store.remote.member import CHUNK, damaged
from osbuild_core.store.remote.patience import POLL_SECONDS, Patience, stalled

_LEVEL = "-3"


def _start(*arguments: str, stdout: int) -> subprocess.Popen[bytes]:
    try:
        # In a process group of its own, so that an interrupt on the terminal comes to us alone.
        return subprocess.Popen(
            ["zstd", "--quiet", "--stdout", *arguments],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "LC_ALL": "C"},
            process_group=0,
        )
    except FileNotFoundError:
        raise StoreError(
            "there is no zstd program", code="remote.no-zstd", hint="install the package zstd"
        ) from None


def _close(stream: IO[bytes] | None) -> None:
    assert stream is not None
    with suppress(BrokenPipeError):
        stream.close()


def _end(program: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for the program, whose input has ended; return its status and what it said last."""
    assert program.stderr is not None
    lines = program.stderr.read().decode(errors="replace").strip().splitlines()
    return program.wait(), lines[-1] if lines else "zstd failed"


class Counting(io.RawIOBase):
    """Counts what is written to ``out``."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = self._out.write(data)
        self.count += written
        return written


@contextmanager
def compressed(target: Path) -> Iterator[tuple[BinaryIO, Counting]]:
    """Yield a stream, and what counts its bytes; what is written to it is in the new file ``target`` afterwards.

    Raises StoreError (``remote.zstd``, ``remote.no-zstd``), OSError.
    """
    with open(target, "xb") as file:
        program = _start(_LEVEL, "--check", stdout=file.fileno())
        assert program.stdin is not None
        try:
            counting = Counting(program.stdin)
            with suppress(BrokenPipeError):
                stream = io.BufferedWriter(counting, CHUNK)
                yield cast(BinaryIO, stream), counting
                stream.flush()
            _close(program.stdin)
            status, said = _end(program)
            if status:
                raise StoreError(f"compressing a layer: {said}", code="remote.zstd")
        finally:
            program.kill()
            program.wait()
            _close(program.stdin)
            _close(program.stderr)


@contextmanager
def decompressed(source: BinaryIO, digest: str, patience: Patience) -> Iterator[BinaryIO]:
    """Yield a stream of what is compressed in ``source``; it is read to its end, and closed, by the time that
    this ends.

    Whatever the body made of it counts only if this raises nothing: StoreError ``remote.damaged`` where the
    SHA-256 is not ``digest``, ``remote.slow``, or what :func:`remote_error` makes of an OSError while reading.
    """
    program = _start("--decompress", stdout=subprocess.PIPE)
    assert program.stdin is not None and program.stdout is not None
    pump = _Pump(source, program.stdin)
    try:
        pump.start()
        stream = io.BufferedReader(_Patient(program.stdout.fileno(), patience), CHUNK)
        try:
            yield cast(BinaryIO, stream)
            while stream.read(CHUNK):
                pass
        except StoreError as error:
            if error.code == "remote.damaged" and pump.error is not None:
                raise pump.error from error
            raise
        status, said = _end(program)
        pump.join()
        if pump.error is not None:
            raise pump.error
        if status or pump.digest.hexdigest() != digest:
            raise damaged(said if status else "its layer does not have the digest that it should have")
    finally:
        program.kill()
        program.wait()
        _close(program.stdout)
        _close(program.stderr)


class _Pump(threading.Thread):
    """Carries from ``source`` to the program, and hashes meanwhile. Closes both."""

    def __init__(self, source: BinaryIO, sink: IO[bytes]) -> None:
        super().__init__(name="remote cache", daemon=True)
        self._source = source
        self._sink = sink
        self.digest = hashlib.sha256()
        self.error: StoreError | None = None

    def run(self) -> None:
        try:
            with self._source:
                self._carry()
        except OSError as error:
            self.error = remote_error(error, "reading from the remote cache")
        finally:
            _close(self._sink)

    def _carry(self) -> None:
        while data := self._source.read(CHUNK):
            self.digest.update(data)
            view = memoryview(data)
            try:
                while view:
                    view = view[self._sink.write(view) :]
            except BrokenPipeError:
                # Whoever read has found a fault, or the program has.
                return


class _Patient(io.RawIOBase):
    """Reads a pipe for as long as something comes."""

    def __init__(self, fd: int, patience: Patience) -> None:
        self._fd = fd
        self._patience = patience
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        waited_from = time.monotonic()
        while not self._poll.poll(POLL_SECONDS * 1000):
            self._patience.check()
            if time.monotonic() - waited_from > self._patience.seconds:
                raise stalled(self._patience.seconds)
        return os.readv(self._fd, [buffer])
