"""Bytes of files and devices, copied as blocks."""

import errno
import os

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


def copy(source, target, count, start=0):
    """Copy ``count`` bytes of the descriptor ``source``, from ``start`` on, to the beginning of ``target``.

    ``target``, a file or a device, has to be that large already: zeros are not written where it has zeros, so that
    holes stay holes. Raises OSError, and ValueError where ``source`` has too few bytes.
    """
    there = size(source) - start
    if count > there:
        raise ValueError("there are {} bytes to copy, not {}".format(there, count))
    done = 0
    while done < count:
        data_at = min(
            _next_data(source, start + done, start + count) - start, _next_data(target, done, count)
        )
        if data_at > done:
            done = data_at
            continue
        data = os.pread(source, min(_BLOCK, count - done), start + done)
        if not data:
            raise OSError(errno.EIO, "the file has become shorter while it was copied")
        if data != _ZEROS[: len(data)] or os.pread(target, len(data), done) != data:
            _write(target, data, done)
        done += len(data)


def size(descriptor):
    """Return the size in bytes of a file or a block device."""
    return os.lseek(descriptor, 0, os.SEEK_END)


def _next_data(descriptor, place, end):
    """Return where the hole of a file at ``place`` ends, at most ``end``; ``place`` where there is no hole."""
    try:
        return min(os.lseek(descriptor, place, os.SEEK_DATA), end)
    except OSError as error:
        # There is nothing but a hole; a device does not know holes.
        return end if error.errno == errno.ENXIO else place


def _write(target, data, place):
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, place)
        view = view[written:]
        place += written
