"""Progress as lines of JSON in a file, for programs that follow a build: ``osbuild-core build --events FILE``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from osbuild_core.model.errors import UsageError
from osbuild_core.model.events import Event, Sink
from osbuild_core.protocol.event_stream import encode


@contextlib.contextmanager
def event_file(path: Path | None) -> Iterator[Sink | None]:
    """Give a sink that appends each event to the file ``path``, at once; None for no path. Raises UsageError.

    A file that cannot be written to any more gets no further events: that is no reason for a build to end.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("a", buffering=1, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.events") from error
    broken = False

    def sink(event: Event) -> None:
        nonlocal broken
        if not broken:
            try:
                file.write(f"{encode(event)}\n")
            except OSError:
                broken = True

    try:
        yield sink
    finally:
        with contextlib.suppress(OSError):
            file.close()
