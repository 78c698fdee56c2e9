"""What stages print on the cluster, kept where this machine keeps the logs of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO


class StageLog:
    """Writes a file for each stage below ``folder``, named after its key (``keys``, by the number of the stage).

    A log that cannot be written is none: that is no reason for a build to fail.
    """

    def __init__(self, folder: Path, keys: Mapping[int, str]) -> None:
        self._folder = folder
        self._keys = keys
        self._open: dict[int, TextIO] = {}
        self._made: set[int] = set()

    def begin(self, number: int) -> None:
        """Begin the log of a stage, anew where there was one."""
        self._close(number)
        with contextlib.suppress(OSError, KeyError):
            path = self._folder / f"{self._keys[number]}.log"
            self._open[number] = path.open("w", encoding="utf-8", errors="surrogateescape")
            self._made.add(number)

    def write(self, number: int, text: str) -> None:
        """Add what a stage has printed."""
        file = self._open.get(number)
        if file is not None:
            with contextlib.suppress(OSError):
                file.write(text)

    def end(self, number: int) -> str | None:
        """End the log of a stage and return its path, None where there is none."""
        self._close(number)
        return self.path(number)

    def path(self, number: int) -> str | None:
        """Return the path of a stage's log, None where there is none."""
        return str(self._folder / f"{self._keys[number]}.log") if number in self._made else None

    def close(self) -> None:
        """End all."""
        for number in list(self._open):
            self._close(number)

    def _close(self, number: int) -> None:
        file = self._open.pop(number, None)
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
