"""Follows what a job writes into its directory, whichever attempt it is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from osbuild_core.exports.jobs.cluster.script import ATTEMPT, EVENTS
from osbuild_core.protocol.event_stream import parse
from osbuild_core.protocol.jsoncomm import ProtocolError

_CHUNK = 1 << 20


class Line(NamedTuple):
    """An event of ``attempt``, as :func:`osbuild_core.protocol.event_stream.parse` returns it."""

    attempt: str
    document: dict[str, Any]


class Follower:
    """Reads the events of the job in ``folder``: those of the attempt that counts, from its start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offset = 0
        self._rest = b""
        self.attempt = ""

    def news(self) -> Iterator[Line]:
        """Yield what has come since the last time. A line that cannot be read is left out."""
        try:
            attempt = (self._folder / ATTEMPT).read_text().strip()
        except OSError:
            # It has not begun, or the file server is away for a while.
            return
        if not attempt:
            return
        if attempt != self.attempt:
            self.attempt, self._offset, self._rest = attempt, 0, b""
        # Opened anew each time: that is when network file systems look for what others have written.
        try:
            with (self._folder / EVENTS.format(attempt)).open("rb") as file:
                file.seek(self._offset)
                while data := file.read(_CHUNK):
                    self._offset += len(data)
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    for line in lines:
                        try:
                            yield Line(attempt, parse(line.decode(errors="replace")))
                        except ProtocolError:
                            continue
        except OSError:
            return


def last_words(log: Path) -> str:
    """Return the last line that a job printed, ``""`` for none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _CHUNK))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
