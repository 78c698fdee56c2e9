"""What goes wrong with a remote cache, as errors; they become warnings."""

from __future__ import annotations

import errno

from osbuild_core.model.errors import StoreError

_CODES = {
    errno.ENOSPC: "remote.full",
    errno.EDQUOT: "remote.full",
    errno.EROFS: "remote.read-only",
    errno.EACCES: "remote.read-only",
    errno.EPERM: "remote.read-only",
}


def remote_error(error: OSError, what: str) -> StoreError:
    """Return ``error`` as a StoreError; ``what`` says which action failed."""
    where = f" ({error.filename})" if error.filename else ""
    code = _CODES.get(error.errno or 0, "remote.io")
    return StoreError(f"{what}: {error.strerror or error}{where}", code=code, retryable=True)
