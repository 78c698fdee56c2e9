"""The logs of a compose, under the names that ODCS clients look for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from osbuild_core.model.errors import OsbuildError

OUTPUT = "pungi-stdout.log"
ERRORS = "pungi-stderr.log"


class Journal:
    """Writes lines to a directory's logs and to ``also``. Use as a context manager.

    ``watch_logs`` of the client follows the second one, so what happens goes to both.
    """

    def __init__(self, directory: Path, also: Callable[[str], None] | None = None) -> None:
        self._files = [open(directory / name, "a", buffering=1) for name in (OUTPUT, ERRORS)]  # noqa: SIM115
        self._also = also

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def say(self, text: str) -> None:
        """Write ``text``, one or more lines, with the time in front."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for line in text.splitlines() or [""]:
            for file in self._files:
                file.write(f"{stamp} {line}\n")
            if self._also is not None:
                self._also(line)

    def fail(self, text: str) -> None:
        """Write why the compose failed."""
        self.say(f"ERROR: {text}")

    def fail_with(self, error: OsbuildError) -> None:
        """Write why the compose failed, and what can be done."""
        self.fail(error.detail + (f"\nhint: {error.hint}" if error.hint else ""))


def note_failure(directory: Path, error: OsbuildError) -> None:
    """Write to the logs in ``directory`` why a request came to nothing before anything was made of it."""
    directory.mkdir(parents=True, exist_ok=True)
    with Journal(directory) as journal:
        journal.fail_with(error)
