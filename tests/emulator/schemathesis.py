"""Schemathesis, which sends what a description of an API allows and what not: in an environment of its own."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "4.32.5"


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


def installed(cache: Path) -> Path:
    """Return the path of the program, after installing it below ``cache`` if it is not there.

    Raises: UnavailableError if pip cannot get it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"schemathesis-{VERSION}"
    complete = place / "complete"
    with (cache / "schemathesis-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(place)])
            pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
            _run([*pip, "--quiet", "--no-input", "--retries", "1", f"schemathesis=={VERSION}"])
            complete.touch()
    return place / "bin" / "schemathesis"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(f"schemathesis {VERSION} cannot be installed: {last}")
