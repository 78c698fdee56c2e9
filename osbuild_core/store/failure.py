"""Turns what the operating system refuses into errors that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from osbuild_core.model.errors import StoreError

_KNOWN = {
    errno.ENOSPC: ("store.full", "free some space, or lower --cache-max-size", True),
    errno.EDQUOT: ("store.full", "free some space, or raise the quota", True),
    errno.EROFS: ("store.read-only", "name a store directory on a writable file system", False),
    errno.EACCES: ("store.read-only", "name a store directory that you may write to", False),
    errno.EBUSY: ("store.busy", "something still uses the tree; a process may have been left behind", True),
}


def store_error(error: OSError, what: str) -> StoreError:
    """Return ``error`` as a StoreError; ``what`` says which action failed."""
    code, hint, retryable = _KNOWN.get(error.errno or 0, ("store.io", None, False))
    reason = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename else ""
    return StoreError(f"{what}: {reason}{where}", code=code, hint=hint, retryable=retryable)


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Raise an OSError of the body as a StoreError."""
    try:
        yield
    except OSError as error:
        raise store_error(error, what) from error
