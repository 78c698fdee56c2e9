"""Where the remote cache keeps its blobs: one small interface, and what an address stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from osbuild_core.model.errors import UsageError


class BlobStore(Protocol):
    """Blobs by name (``objects/0f…json``: parts of letters, digits, ``.``, ``:``, ``-``, joined by slashes).

    A blob appears at once as a whole, and never changes. May be called from any thread. Every method raises
    OSError for what is refused or broken.
    """

    def exists(self, name: str) -> bool:
        """Tell whether there is such a blob."""
        ...

    def get(self, name: str) -> BinaryIO | None:
        """Open a blob to read it from its start to its end, None where there is none. The caller closes it."""
        ...

    def put(self, name: str, source: Path, check: Callable[[], None] = lambda: None) -> bool:
        """Store the content of the file ``source``; False where the name is taken, and stays as it is.

        ``check`` is called now and then, the last time before the blob appears, and may raise.
        """
        ...

    def remove(self, name: str) -> None:
        """Delete a blob that was found to be damaged, if it is there."""
        ...


SCHEMES = ("file",)


def open_blobs(url: str) -> BlobStore:
    """Return the blobs at ``url``: ``file:///a/directory``. Nothing is looked at yet.

    Raises UsageError (``usage.remote-cache``) for any other address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise _refused("the address of the remote cache is no URL") from None
    if not parts.scheme:
        hint = f"did you mean file://{url}?" if url.startswith("/") else None
        raise _refused(f"the remote cache {url!r} has no scheme", hint)
    if parts.scheme not in SCHEMES:
        # The rest may hold a password.
        raise _refused(f"there is no remote cache for {parts.scheme}: addresses")
    path = unquote(parts.path)
    if host not in (None, "", "localhost") or not path.startswith("/") or parts.query or parts.fragment:
        raise _refused(f"{url!r} does not name a directory of this machine")
    if "\0" in path:
        raise _refused("the remote cache has a path that cannot be")
    from osbuild_core.store.remote.directory import DirectoryBlobs

    return DirectoryBlobs(Path(path))


def _refused(detail: str, hint: str | None = None) -> UsageError:
    return UsageError(
        detail,
        code="usage.remote-cache",
        hint=hint or "file:///shared/cache is what there is: a directory that all machines see",
    )
