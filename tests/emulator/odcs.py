"""The client of ODCS, which the service has to understand: in an environment of its own, outside of the checkout."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.9.2"


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


def installed(cache: Path) -> Path:
    """Return the directory with its programs, after installing it below ``cache`` if it is not there.

    One of what it needs is compiled, for which there have to be the headers of Kerberos (libkrb5-dev).

    Raises: UnavailableError if pip cannot get it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"odcs-{VERSION}"
    complete = place / "complete"
    with (cache / "odcs-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(place)])
            pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
            _run([*pip, "--quiet", "--no-input", "--retries", "1", f"odcs[client]=={VERSION}"])
            complete.touch()
    return place / "bin"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(f"the client of ODCS {VERSION} cannot be installed: {last}")
