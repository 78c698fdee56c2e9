"""Which processes descend from which, and of which action they are, as proc(5) knows it."""

from __future__ import annotations

import contextlib
import os

from osbuild_core.protocol.keeper import MARKER


def children(pid: int | None = None) -> list[int]:
    """Return the processes whose parent ``pid`` is (None: we are), by birth or as their reaper (proc(5))."""
    pid = pid if pid is not None else os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        # The process has gone, or the kernel was built without this file.
        if not os.path.exists(f"/proc/{pid}"):
            return []
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if name.isdigit():
                with open(f"/proc/{name}/stat") as file:
                    # After the name of the program, which may have anything in it.
                    if file.read().rpartition(")")[2].split()[1] == str(pid):
                        found.append(int(name))
    return found


def descendants(pid: int) -> list[int]:
    """Return what descends from ``pid``, itself not included."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        new: list[int] = []
        with contextlib.suppress(OSError):
            # Each of its threads may have had some.
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as file:
                    new += [int(word) for word in file.read().split()]
        found += new
        waiting += new
    return found


def marker(pid: int) -> str:
    """Return what the environment of ``pid`` says whose it is; nothing where that cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = b"\0" + file.read()
    except OSError:
        return ""
    _, found, rest = data.partition(f"\0{MARKER}=".encode())
    return rest.partition(b"\0")[0].decode(errors="replace") if found else ""
