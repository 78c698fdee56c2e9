"""What a key has to know of the machine: its architecture and, for stages on its own /usr, what is installed."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")

# Package databases by distribution family. The text ones are read; a file of an rpm database may have
# hundreds of megabytes, so there its size and time of change stand for it.
_READ = ("/var/lib/dpkg/status",)
_STAT = (
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/var/lib/pacman/local",
)


@cache
def os_release() -> dict[str, str]:
    """Return the host's os-release(5) as a dictionary; empty where it has none."""
    for path in _OS_RELEASE:
        try:
            text = Path(path).read_text()
        except OSError:
            continue
        pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name.strip(): value.strip().strip("\"'") for name, value in pairs}
    return {}


@cache
def fingerprint() -> str:
    """Return a digest that changes when the host's packages or its release do."""
    state = hashlib.sha256()
    for path in (*_OS_RELEASE, *_READ):
        try:
            state.update(Path(path).read_bytes())
        except OSError:
            continue
        state.update(path.encode())
    for path in _STAT:
        try:
            info = os.stat(path)
        except OSError:
            continue
        state.update(f"{path} {info.st_size} {info.st_mtime_ns}".encode())
    return state.hexdigest()


def architecture() -> str:
    """Return the machine's architecture as uname(2) names it."""
    return os.uname().machine
