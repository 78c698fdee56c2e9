"""One pass over a finished layer: modification times, inode flags, what an overlay would misread."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from osbuild_core.store import inodeflags

_TRUSTED = "trusted.overlay."
_OVERLAY = (_TRUSTED, "user.overlay.")

_LONG = 900
"""Characters of a path, of up to four bytes each: with one more name it is not too long for the kernel yet."""


class Content(NamedTuple):
    """What a plain tree holds: anything that an overlay takes for its own, files with inode flags."""

    foreign: bool
    flagged: bool


@contextmanager
def _within_reach(directory: str) -> Iterator[str]:
    """Give a short path of a directory whose own is long: that of what is below may be too long to be used."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/."
    finally:
        os.close(fd)


def _bottom_up(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, status) of ``path`` and all below, a directory after what is in it."""
    pending = [(path, False)]
    while pending:
        here, opened = pending.pop()
        status = os.lstat(here)
        if len(here) > _LONG and not opened and stat.S_ISDIR(status.st_mode):
            with _within_reach(here) as near:
                yield from _bottom_up(near)
            continue
        if opened or not stat.S_ISDIR(status.st_mode):
            yield here, status
            continue
        pending.append((here, True))
        with os.scandir(here) as entries:
            pending.extend((entry.path, False) for entry in entries)


def settle(layer: str, source_epoch: int | None, *, flags: bool) -> bool:
    """Finish an overlay layer: no time after ``source_epoch`` (seconds), and if there may be ``flags``, for real.

    Tells whether there were any. Works on whatever is in the layer: files without data and whiteouts too.
    """
    if source_epoch is not None:
        for path, status in _bottom_up(layer):
            _clamp(path, status, source_epoch * 1_000_000_000)
    flagged = False
    # One look at each file, which costs as much as all the rest of a commit.
    for path in _with_attributes(layer) if flags else ():
        flagged |= inodeflags.settle(path)
    return flagged


def nests(layer: str) -> bool:
    """Tell whether a layer that no overlay was in between of has what an overlay would take for its own.

    One look at its directories, which is what makes a commit cheap. Of a file an overlay reads one attribute only,
    which says that the data lies elsewhere; whichever overlay wrote it marked the directory around as well. Who
    sets that by hand has a file that cannot be opened.
    """
    pending = [layer]
    while pending:
        here = pending.pop()
        if len(here) > _LONG:
            with _within_reach(here) as near:
                if nests(near):
                    return True
            continue
        if any(name.startswith(_TRUSTED) for name in os.listxattr(here)):
            return True
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif not (entry.is_file(follow_symlinks=False) or entry.is_symlink()) and _is_whiteout(
                    entry.stat(follow_symlinks=False)
                ):
                    return True
    return False


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _with_attributes(layer: str) -> Iterator[str]:
    """Yield the files and directories that have extended attributes; as fast as can be, for every commit."""
    if os.listxattr(layer):
        yield layer
    pending = [layer]
    while pending:
        here = pending.pop()
        if len(here) > _LONG:
            with _within_reach(here) as near:
                yield from _with_attributes(near)
            continue
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    continue
                if os.listxattr(entry.path, follow_symlinks=False):
                    yield entry.path


def examine(tree: str, source_epoch: int | None) -> Content:
    """Finish a plain tree in the same way, and tell what is in it."""
    foreign = flagged = False
    for path, status in _bottom_up(tree):
        flags = 0
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            # Files of other owners are closed to an unprivileged store, which cannot set flags either.
            with suppress(PermissionError):
                flags = inodeflags.read(path)
            foreign = foreign or any(name.startswith(_OVERLAY) for name in _attributes(path))
        elif _is_whiteout(status):
            foreign = True
        flagged |= bool(flags)
        if source_epoch is not None:
            if flags:
                inodeflags.write(path, 0)
            _clamp(path, status, source_epoch * 1_000_000_000)
            if flags:
                inodeflags.write(path, flags)
    return Content(foreign, flagged)


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def _clamp(path: str, status: os.stat_result, latest: int) -> None:
    if status.st_mtime_ns > latest:
        os.utime(path, ns=(status.st_atime_ns, latest), follow_symlinks=False)
