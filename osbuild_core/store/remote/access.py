"""Access to the blobs of a remote cache, and what follows when something is wrong with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from osbuild_core.model.errors import StoreError
from osbuild_core.store.remote.blobs import BlobStore
from osbuild_core.store.remote.failure import remote_error
from osbuild_core.store.remote.member import damaged
from osbuild_core.store.remote.patience import Patience

T = TypeVar("T")
STALL_SECONDS = 60.0

_WRITING = ("remote.full", "remote.read-only", "remote.zstd")
"""Codes of errors after which nothing is put there any more, but what is there may still be good."""


class Access:
    """May be used from any thread. Methods raise StoreError with codes that begin with ``remote.``, and Cancelled.

    ``warn`` gets one line about what is wrong. ``check`` is called all the time, and raises Cancelled where the
    run is to end; ``may_publish`` before a blob appears, and raises Cancelled where this run is not the one any
    more whose results count. ``stall_seconds`` is how long nothing may happen.
    """

    def __init__(
        self,
        blobs: BlobStore,
        *,
        read_only: bool = False,
        warn: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
        may_publish: Callable[[], None] = lambda: None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._blobs = blobs
        self._may_publish = may_publish
        self._lock = threading.Lock()
        self._writable = not read_only
        self.readable = True
        self.warn = warn
        self.patience = Patience(stall_seconds, check)

    @property
    def writable(self) -> bool:
        """Whether something can be put there, as far as is known."""
        return self.readable and self._writable

    def trouble(self, error: StoreError) -> None:
        """Warn of ``error``, once, and leave the cache alone from here on; or only put nothing there any more."""
        writing = error.code in _WRITING
        with self._lock:
            known = not (self._writable if writing else self.readable)
            if writing:
                self._writable = False
            else:
                self.readable = False
        if not known:
            rest = "nothing is put there" if writing else "going on without it"
            hint = f" ({error.hint})" if error.hint else ""
            self.warn(f"the remote cache: {error.detail}; {rest}{hint}")

    def open(self, name: str) -> BinaryIO | None:
        """Open a blob to read it, None where there is none."""
        return self._call("reading from the remote cache", lambda _: self._blobs.get(name))

    def read(self, name: str, longest: int) -> bytes | None:
        """Return the content of a blob, None where there is none."""

        def read(got_on: Callable[[], None]) -> bytes | None:
            blob = self._blobs.get(name)
            if blob is None:
                return None
            content = b""
            with blob:
                while data := blob.read(1 << 20):
                    content += data
                    if len(content) > longest:
                        raise damaged("it is too long")
                    got_on()
            return content

        return self._call("reading from the remote cache", read)

    def exists(self, name: str) -> bool:
        """Tell whether there is such a blob."""
        return self._call("looking into the remote cache", lambda _: self._blobs.exists(name))

    def put(self, name: str, source: Path) -> bool:
        """Store the content of a file; False where the name is taken."""

        def put(got_on: Callable[[], None]) -> bool:
            def check() -> None:
                got_on()
                self._may_publish()

            self._may_publish()
            return self._blobs.put(name, source, check)

        return self._call("writing to the remote cache", put, writing=True)

    def discard(self, names: Sequence[str]) -> None:
        """Remove what was found to be damaged, so that what is made in its place can go there."""
        if not self.writable:
            return

        def remove(_: Callable[[], None]) -> None:
            for name in names:
                self._blobs.remove(name)

        try:
            self._call("removing what is damaged from the remote cache", remove, writing=True)
        except StoreError as error:
            self.trouble(error)

    def _call(self, what: str, action: Callable[[Callable[[], None]], T], *, writing: bool = False) -> T:
        def call(got_on: Callable[[], None]) -> T:
            try:
                return action(got_on)
            except OSError as error:
                raise remote_error(error, what, writing=writing) from error

        return self.patience.call(call)
