"""Progress as lines of JSON in a file, for programs that follow a build: ``osbuild-core build --events FILE``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from osbuild_core.model.errors import UsageError
from osbuild_core.model.events import Event, Sink


class EventFile:
    """A sink that appends each event to the file ``path``, at once. Raises UsageError where that cannot be.

    A file that cannot be written to any more gets no further events: that is no reason for a build to end.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", buffering=1, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.events") from error
        # Most builds have no such file, and all of them would pay for the import.
        from osbuild_core.protocol.event_stream import encode

        self._encode = encode
        self._broken = False
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        self._write(self._encode(event))

    def labelled(self, manifest: str) -> Sink:
        """Return a sink for one of several builds, whose events say which ``manifest`` they are of."""
        return lambda event: self._write(self._encode(event, manifest=manifest))

    def _write(self, line: str) -> None:
        with self._lock:
            if not self._broken:
                try:
                    self._file.write(f"{line}\n")
                except OSError:
                    self._broken = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def event_file(path: Path | None) -> Iterator[EventFile | None]:
    """Give the sink that writes to ``path``; None for no path. Raises UsageError."""
    if path is None:
        yield None
        return
    file = EventFile(path)
    try:
        yield file
    finally:
        file.close()
