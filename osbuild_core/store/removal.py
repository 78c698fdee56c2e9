"""Deletes trees that stages made: immutable files, directories without permissions, any depth."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from osbuild_core.store import inodeflags

# Deeper than this a directory is moved up before it is emptied: every level holds a descriptor.
_DEPTH = 64


def remove_tree(path: str) -> None:
    """Delete ``path`` and all below; nothing may be mounted there. A missing path is fine."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        _insist(os.unlink, path, path)
        return
    except PermissionError:
        _open_up(path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while _empty(fd, fd, path, 0):
            pass
    finally:
        os.close(fd)
    _insist(os.rmdir, path, path)


def _open_up(path: str) -> None:
    """Make ``path`` deletable: no flags and, for a directory, all permissions of its owner."""
    with suppress(FileNotFoundError, PermissionError):
        inodeflags.clear(path)
    if os.path.isdir(path) and not os.path.islink(path):
        os.chmod(path, 0o700)


def _insist(action: Callable[..., None], path: str, reach: str, fd: int | None = None) -> None:
    """Call os.unlink or os.rmdir; where it is forbidden lift what forbids it and call again."""
    try:
        action(path, dir_fd=fd)
    except FileNotFoundError:
        return
    except PermissionError:
        if fd is not None:
            _open_up(os.path.dirname(reach) + "/.")
        _open_up(reach)
        action(path, dir_fd=fd)


def _empty(fd: int, top: int, reach: str, depth: int) -> bool:
    """Delete what is in the directory ``fd``; tells whether something was moved up to ``top`` instead."""
    moved = False
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, directory in found:
        # Names are reached through the descriptor: the path as a whole may be too long.
        here = f"/proc/self/fd/{fd}/{name}"
        if not directory:
            _insist(os.unlink, name, here, fd)
        elif depth >= _DEPTH:
            _open_up(f"/proc/self/fd/{fd}/.")
            _open_up(here)
            os.rename(name, f"deep-{os.urandom(16).hex()}", src_dir_fd=fd, dst_dir_fd=top)
            moved = True
        else:
            moved |= _empty_below(fd, top, name, here, depth)
    return moved


def _empty_below(fd: int, top: int, name: str, here: str, depth: int) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        child = os.open(name, flags, dir_fd=fd)
    except PermissionError:
        _open_up(here)
        child = os.open(name, flags, dir_fd=fd)
    try:
        moved = _empty(child, top, here, depth + 1)
    finally:
        os.close(child)
    _insist(os.rmdir, name, here, fd)
    return moved
