"""What goes wrong with a remote cache, as errors; they become warnings."""

from __future__ import annotations

import errno

from osbuild_core.model.errors import StoreError

_WRITING = {
    errno.ENOSPC: "remote.full",
    errno.EDQUOT: "remote.full",
    errno.EFBIG: "remote.full",
    errno.EROFS: "remote.read-only",
    errno.EACCES: "remote.read-only",
    errno.EPERM: "remote.read-only",
}


def remote_error(error: OSError, what: str, *, writing: bool = False) -> StoreError:
    """Return ``error`` as a StoreError; ``what`` says which action failed.

    Its code is ``remote.io``; or ``remote.full`` or ``remote.read-only``, which say nothing against reading.
    """
    where = f" ({error.filename})" if error.filename else ""
    code = _WRITING.get(error.errno or 0, "remote.io") if writing else "remote.io"
    return StoreError(f"{what}: {error.strerror or error}{where}", code=code, retryable=True)
