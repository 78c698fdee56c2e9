"""System calls that Python has no function for."""

import ctypes
import os
import sys

# linux/fs.h; PowerPC is the one architecture here whose numbers of reading and writing are the other way round.
_POWERPC = os.uname().machine.startswith("ppc")
FS_IOC_GETFLAGS = 0x40086601 if _POWERPC else 0x80086601
FS_IOC_SETFLAGS = 0x80086602 if _POWERPC else 0x40086602
FS_IMMUTABLE_FL = 0x10
BLK_IOC_FLSBUF = 0x20001261 if _POWERPC else 0x1261

_libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """Call the C library's function ``name`` with strings, bytes, None and integers; return what it returns.

    Raises OSError where it returns -1, NotImplementedError where the C library does not have it.
    """
    try:
        function = getattr(_libc, name)
    except AttributeError:
        raise NotImplementedError("the C library has no {}".format(name)) from None
    result = function(*[_c_value(arg) for arg in args])
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, "{}: {}".format(name, os.strerror(code)))
    return result


def _c_value(value):
    if isinstance(value, int):
        return ctypes.c_ulong(value & (2 ** (8 * ctypes.sizeof(ctypes.c_ulong)) - 1))
    if isinstance(value, str):
        return os.fsencode(value)
    return value


def ioctl_get_immutable(fd):
    """Tell whether the file ``fd`` has the immutable flag. Raises OSError."""
    return bool(_inode_flags(fd) & FS_IMMUTABLE_FL)


def ioctl_toggle_immutable(fd, set_to):
    """Give the file ``fd`` the immutable flag, or take it away where ``set_to`` is false. Raises OSError."""
    import fcntl

    flags = _inode_flags(fd)
    wanted = flags | FS_IMMUTABLE_FL if set_to else flags & ~FS_IMMUTABLE_FL
    if wanted != flags:
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, wanted.to_bytes(4, sys.byteorder) + bytes(4))


def ioctl_blockdev_flushbuf(fd):
    """Write out what is cached of the block device ``fd`` and drop it. Raises OSError."""
    import fcntl

    fcntl.ioctl(fd, BLK_IOC_FLSBUF, 0)


def _inode_flags(fd):
    import fcntl

    # The kernel fills an int, whatever the size in the request's number says.
    answer = fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8))
    return int.from_bytes(answer[:4], sys.byteorder)
