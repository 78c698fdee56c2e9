"""Whole copies of trees, through the cp program: sparse, hard-linked, with attributes, by reflink if possible."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable

from osbuild_core.model.errors import Cancelled, StoreError
from osbuild_core.store import inodeflags
from osbuild_core.store.failure import store_error

POLL_SECONDS = 0.1

_LEASH = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
"""Has a program end with us, however we end (setpriv(1), of util-linux)."""


def copy_tree(
    source: str, target: str, *, flags: bool, lock: int, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Make the directory ``target`` the same as ``source``, root directory included.

    ``flags``: immutable and append-only files have to be looked for. ``lock`` is the descriptor that says that
    ``target`` is in use: the program gets it too, so if we are killed nobody deletes under its hands. Raises
    StoreError, and Cancelled when ``cancelled()`` turns true.
    """
    command = [*_LEASH, "cp", "-a", "--reflink=auto", "-T", "--", source, target]
    environment = {**os.environ, "LC_ALL": "C"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        pass_fds=[lock],
    ) as program:
        said = _follow(program, cancelled)
    if program.returncode:
        if "No space left on device" in said:
            raise store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "copying a tree")
        lines = said.strip().splitlines() or [f"cp ended with {program.returncode}"]
        raise StoreError(f"copying a tree: {lines[-1]}", code="store.copy")
    if flags:
        _copy_flags(source, target)


def _follow(program: subprocess.Popen[str], cancelled: Callable[[], bool]) -> str:
    """Wait for ``program`` and return what it said on standard error; kill it when ``cancelled()``."""
    try:
        said = None
        while said is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said = program.communicate(timeout=POLL_SECONDS)[1]
            # Also when it was faster than we look: whoever cancels does not want what comes next.
            if cancelled():
                raise Cancelled("cancelled while a tree was copied")
        return said
    except BaseException:
        program.kill()
        raise


def _copy_flags(source: str, target: str) -> None:
    found = []
    for directory, _, files in os.walk(source):
        for path in [directory, *(f"{directory}/{name}" for name in files)]:
            mode = os.lstat(path).st_mode
            if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and (value := inodeflags.read(path)):
                found.append((target + path[len(source) :], value))
    # Directories last and from below: nothing can be changed in one that is immutable.
    for path, value in sorted(found, reverse=True):
        inodeflags.write(path, value)


def reflinks_work(directory: str) -> bool:
    """Try whether the file system of ``directory`` shares data between copies."""
    import fcntl

    clone = 0x40049409  # FICLONE
    names = [f"{directory}/reflink-{end}" for end in ("from", "to")]
    try:
        with open(names[0], "wb") as source, open(names[1], "wb") as target:
            source.write(b"x" * 4096)
            source.flush()
            fcntl.ioctl(target.fileno(), clone, source.fileno())
    except OSError:
        return False
    finally:
        for name in names:
            if os.path.exists(name):
                os.unlink(name)
    return True
