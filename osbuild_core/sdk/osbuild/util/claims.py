"""Locks on names, against other processes that use the same directory."""

import fcntl
import os
import struct

# Of the open file, not of the process; the constant itself came with Python 3.9.
_F_OFD_SETLK = 37


class Claims:
    """Locks on checksums: a byte for each in the file ``lock`` of ``folder``, so that they take one descriptor.

    They end with :meth:`close` or the process. They do not hold against the same object.
    """

    def __init__(self, folder):
        self._fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, checksum):
        """Tell whether the lock on ``ALGORITHM:HEXDIGITS`` could be taken; does not wait."""
        try:
            self._set(checksum, fcntl.F_WRLCK)
        except BlockingIOError:
            return False
        return True

    def give(self, checksum):
        """Give the lock back."""
        self._set(checksum, fcntl.F_UNLCK)

    def _set(self, checksum, kind):
        place = int(checksum.partition(":")[2][:15], 16)
        fcntl.fcntl(self._fd, _F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0))

    def close(self):
        os.close(self._fd)
