"""Immutable and append-only flags of files, as chattr sets them.

Overlayfs keeps those that a stage sets in an attribute of the layer's file, which it does not read from a
lower layer; so a commit turns them into real ones, and deletion clears them first.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

_GETFLAGS = 0x80086601
_SETFLAGS = 0x40086602
IMMUTABLE = 0x10
APPEND = 0x20
_BOTH = IMMUTABLE | APPEND
_ATTRIBUTE = "trusted.overlay.protattr"
_LETTERS = {"i": IMMUTABLE, "a": APPEND}
_UNSUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _raw(fd: int) -> int:
    buffer = bytearray(8)
    try:
        fcntl.ioctl(fd, _GETFLAGS, buffer)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return 0
        raise
    return int(struct.unpack_from("=i", buffer)[0])


def read(path: str) -> int:
    """Return IMMUTABLE and APPEND of a regular file or directory; 0 where the file system has no such."""
    fd = _open(path)
    try:
        return _raw(fd) & _BOTH
    finally:
        os.close(fd)


def write(path: str, flags: int) -> int:
    """Set exactly ``flags`` of the two; returns those that were set before."""
    fd = _open(path)
    try:
        before = _raw(fd)
        if before & _BOTH != flags:
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("=ii", (before & ~_BOTH) | flags, 0))
        return before & _BOTH
    finally:
        os.close(fd)


def clear(path: str) -> int:
    """Clear both on ``path``, if it is a file or a directory; returns what was set."""
    mode = os.lstat(path).st_mode
    return write(path, 0) if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else 0


def settle(path: str) -> bool:
    """Set for real what overlayfs noted on a layer's file; tells whether there was anything."""
    try:
        noted = os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise
    os.removexattr(path, _ATTRIBUTE, follow_symlinks=False)
    flags = 0
    for letter in noted.decode(errors="replace"):
        flags |= _LETTERS.get(letter, 0)
    write(path, flags)
    return True
