"""Checksums of files, written as ``ALGORITHM:HEXDIGITS``."""

import hashlib

_BLOCK = 256 * 1024


def hexdigest_file(path, algorithm):
    """Return the digest of the file at ``path`` in hexadecimal. Raises OSError, ValueError (unknown algorithm)."""
    state = hashlib.new(algorithm)
    with open(path, "rb", buffering=0) as file:
        block = bytearray(_BLOCK)
        view = memoryview(block)
        while True:
            count = file.readinto(block)
            if not count:
                return state.hexdigest()
            state.update(view[:count])


def verify_file(path, checksum):
    """Tell whether the file at ``path`` has ``checksum``. Raises OSError, ValueError."""
    algorithm, colon, digest = checksum.partition(":")
    if not colon:
        raise ValueError("not a checksum with its algorithm: {!r}".format(checksum))
    return hexdigest_file(path, algorithm) == digest.lower()
