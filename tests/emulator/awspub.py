"""awspub, the program that ours is compared with: in an environment of its own, outside of the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.0.16"
PACKAGES = (
    "boto3",
    "boto3-stubs[ec2,marketplace-catalog,s3,sns,ssm,sts]>=1.28.83,<2.0.0",
    "pydantic>=2,<3",
    "ruamel-yaml>=0.19.0,<0.20.0",
)
"""What it imports. It also asks for a plug-in of Sphinx, which makes its documentation and is 40 packages."""


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


def cache_directory() -> Path:
    """Return where it is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return home / "osbuild-core-tests"


def installed(cache: Path) -> Path:
    """Return the path of the program, after installing it below ``cache`` if it is not there.

    Raises: UnavailableError if pip cannot get it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"awspub-{VERSION}"
    complete = place / "complete"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(place)])
            pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
            pip += ["--quiet", "--no-input", "--retries", "1"]
            _run([*pip, *PACKAGES])
            _run([*pip, "--no-deps", f"awspub=={VERSION}"])
            complete.touch()
    return place / "bin" / "awspub"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(f"awspub {VERSION} cannot be installed: {last}")
