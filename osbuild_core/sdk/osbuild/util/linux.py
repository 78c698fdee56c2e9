"""System calls that Python has no function for."""

import ctypes
import os

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
