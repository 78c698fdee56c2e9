"""The head of an RPM package file: all that says something about the package, which its files follow, packed.

Layout (rpm's file format): a lead of 96 bytes, the signature header, padding to a multiple of 8 bytes, the header.
"""

import os
import struct

_LEAD = 96
_MAGIC = b"\xed\xab\xee\xdb"
_HEADER_MAGIC = b"\x8e\xad\xe8"
_INTRO = 16
_ENTRY = 16
_FIRST = 16 << 10
_LARGEST = 256 << 20
"""Bytes; rpm itself reads no larger header."""


class HeadError(Exception):
    """A file that is no RPM package; the text says why."""


def head(descriptor):
    """Return the head of the package file that ``descriptor`` reads from its beginning, as bytes.

    Raises HeadError, OSError.
    """
    data = os.read(descriptor, _FIRST)
    if data[:4] != _MAGIC:
        raise HeadError("it does not begin as an RPM package does")
    data, end = _header(descriptor, data, _LEAD)
    data, end = _header(descriptor, data, end + -end % 8)
    return data[:end]


def _header(descriptor, data, start):
    """Return ``data``, with what is missing of the header at ``start``, and where that ends."""
    data = _read(descriptor, data, start + _INTRO)
    if data[start : start + 3] != _HEADER_MAGIC:
        raise HeadError("it has something else where a header should be")
    entries, size = struct.unpack_from(">II", data, start + 8)
    end = start + _INTRO + _ENTRY * entries + size
    if end > _LARGEST:
        raise HeadError("it has a header that is too large")
    return _read(descriptor, data, end), end


def _read(descriptor, data, length):
    """Return ``data`` with what follows in the file, so that it has at least ``length`` bytes."""
    while len(data) < length:
        more = os.read(descriptor, length - len(data))
        if not more:
            raise HeadError("it ends in the middle of its head")
        data += more
    return data
