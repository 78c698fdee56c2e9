"""The directory of a run, which this machine shares with the nodes: the manifest, and a directory for each job."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from osbuild_core.exports.jobs.cluster.script import ALIVE, ATTEMPT, CANCELLED, MANIFEST
from osbuild_core.exports.jobs.planned.steps import plain
from osbuild_core.model.errors import UsageError

OLD_SECONDS = 14 * 86400.0
"""After two weeks nobody looks for the log of a job any more, and no job waits in its queue."""


def check_directory(directory: Path) -> None:
    """Make ``directory``, for the directories of runs, in one that is there.

    Raises UsageError (``cluster.directory``) where that is not there, or cannot be written to.
    """
    if not directory.parent.is_dir():
        raise UsageError(
            f"there is no directory {directory.parent}",
            code="cluster.directory",
            hint="name one that this machine and all nodes share",
        )
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(directory, error) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(directory, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _unusable(directory: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write to {directory}: {error.strerror}",
        code="cluster.directory",
        hint="name one that this machine and all nodes share, and that we may write to",
    )


def remove_old(directory: Path, seconds: float = OLD_SECONDS) -> None:
    """Remove what runs have left that showed no sign of life for so long: those that were killed, and logs."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - (path / ALIVE).stat().st_mtime > seconds:
                    shutil.rmtree(path, ignore_errors=True)


class RunFolder:
    """Made below ``directory``, of :func:`check_directory`. Raises UsageError where it cannot be written to.

    As long as it is open a thread shows the jobs, every ``beat`` seconds, that the run goes on.
    """

    def __init__(self, directory: Path, document: Any, beat: float) -> None:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            prefix = time.strftime("%Y%m%d-%H%M%S-")
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.absolute()))
            (self.path / MANIFEST).write_text(json.dumps(document))
            self._show_life(0)
        except OSError as error:
            raise _unusable(directory, error) from error
        self._lock = threading.Lock()
        self._count = 0
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._live, args=(beat,), name="cluster heart", daemon=True)
        self._heart.start()

    def _live(self, beat: float) -> None:
        number = 0
        while not self._ended.wait(beat):
            number += 1
            # Another time it may work; and the jobs are patient.
            with contextlib.suppress(OSError):
                self._show_life(number)

    def _show_life(self, number: int) -> None:
        partial = self.path / f".{ALIVE}"
        partial.write_text(f"{number}\n")
        partial.replace(self.path / ALIVE)

    def job(self, name: str) -> Path:
        """Make the directory of a job that builds the pipeline ``name``. Raises OSError."""
        with self._lock:
            self._count += 1
            path = self.path / f"{self._count}-{plain(name)}"
        path.mkdir(mode=0o700)
        return path

    @staticmethod
    def disown(folder: Path, job: str) -> None:
        """Tell the job that nobody wants it any more, even if its scheduler does not: its fence is down."""
        with contextlib.suppress(OSError):
            (folder / f"{CANCELLED}{job}").touch()
            partial = folder / f".{ATTEMPT}"
            partial.write_text("none\n")
            partial.replace(folder / ATTEMPT)

    def close(self, *, remove: bool) -> None:
        """Show no more signs of life; ``remove`` everything, which no job may use any more."""
        self._ended.set()
        self._heart.join()
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
            # The last one takes the directory of the runs along.
            with contextlib.suppress(OSError):
                os.rmdir(self.path.parent)
