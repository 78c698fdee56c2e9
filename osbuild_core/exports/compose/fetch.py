"""Reads small files, such as metadata of repositories, from addresses that are allowed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.addresses import check_address, check_redirect
from osbuild_core.exports.compose.errors import ComposeError

LIMIT = 2 << 30
"""Bytes of the largest file of metadata."""

SMALL = 64 << 20
NEW = ".new-"
"""Begins the names of what is being written."""
_LOCK = ".lock"
_SECONDS = 60
_BUFFER = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, allowed: tuple[str, ...] | None) -> None:
        self._allowed = allowed

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        check_redirect(newurl, self._allowed)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Fetcher:
    """Fetches from what ``allowed`` says (see addresses.py); what has a checksum is kept in ``cache``."""

    def __init__(self, allowed: tuple[str, ...] | None, cache: Path) -> None:
        self.allowed = allowed
        self.cache = cache
        # Only what handles http and https: the default opener reads ftp and data, too.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(allowed),
        ):
            self._opener.add_handler(handler)

    def read(self, address: str, limit: int = SMALL) -> bytes:
        """Return the content of a small file. Raises ComposeError ``compose.source``."""
        url = check_address(address, self.allowed)
        try:
            with self._open(url) as stream:
                data = stream.read(limit + 1)
        except (OSError, HTTPException) as error:
            raise _failed(url, error) from error
        if len(data) > limit:
            raise ComposeError(f"{url} has more than {limit} bytes", code="compose.source")
        return data

    def start(self, address: str, length: int) -> bytes:
        """Return the first ``length`` bytes of a file."""
        url = check_address(address, self.allowed)
        try:
            with self._open(url, {"Range": f"bytes=0-{length - 1}"}) as stream:
                return stream.read(length)
        except (OSError, HTTPException) as error:
            raise _failed(url, error) from error

    def keep(self, address: str, checksum: str) -> Path:
        """Return the path of the file with that checksum (``sha256:…``), fetched if it is not there yet.

        Raises ComposeError ``compose.source``, also where the content has another checksum.
        """
        url = check_address(address, self.allowed)
        algorithm, _, wanted = checksum.partition(":")
        target = self.cache / f"{algorithm}-{wanted}"
        self.cache.mkdir(parents=True, exist_ok=True)
        with _held(self.cache, fcntl.LOCK_SH), contextlib.suppress(FileNotFoundError):
            os.utime(target)
            return target
        with tempfile.NamedTemporaryFile(dir=self.cache, prefix=NEW) as file:
            found, size = hashlib.new(algorithm), 0
            try:
                with self._open(url) as stream:
                    while block := stream.read(_BUFFER):
                        found.update(block)
                        size += len(block)
                        if size > LIMIT:
                            raise ComposeError(f"{url} has more than {LIMIT} bytes", code="compose.source")
                        file.write(block)
            except (OSError, HTTPException) as error:
                raise _failed(url, error) from error
            if found.hexdigest() != wanted.lower():
                raise ComposeError(
                    f"{url} is not what the repository says that it is",
                    code="compose.source",
                    hint="it is being updated, or broken; try again",
                    retryable=True,
                )
            file.flush()
            publish(file.name, target)
        return target

    def _open(self, url: str, headers: dict[str, str] | None = None) -> IO[bytes]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return open(unquote(parts.path), "rb")
        request = urllib.request.Request(url, headers={"User-Agent": "osbuild-core", **(headers or {})})
        response: IO[bytes] = self._opener.open(request, timeout=_SECONDS)
        return response


def publish(temporary: str, target: Path) -> None:
    """Give the whole temporary file its name, also where there is one already; it keeps its own."""
    os.link(temporary, f"{temporary}.done")
    os.replace(f"{temporary}.done", target)


@contextlib.contextmanager
def _held(cache: Path, how: int) -> Iterator[None]:
    """Hold the lock of ``cache``: so nobody removes a file while somebody notes its use."""
    handle = os.open(cache / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def drop_unused(cache: Path, before: float, *, max_size: int | None = None, recent: float) -> int:
    """Remove what nobody has fetched or asked for since ``before`` and then, the oldest use first, what is more than
    ``max_size`` bytes; return how many bytes that were.

    What was used since ``recent`` stays: somebody may read it. Times are seconds since 1970; others may do the same
    meanwhile. Raises OSError.
    """
    found: list[tuple[float, int, str]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(cache) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if entry.name != _LOCK and entry.is_file(follow_symlinks=False):
                    found.append((status.st_mtime, status.st_blocks * 512, entry.path))
    size, freed = sum(one[1] for one in found), 0
    for used, bytes_, path in sorted(found):
        is_leftover = os.path.basename(path).startswith(NEW)
        is_too_much = max_size is not None and size - freed > max_size
        limit = recent if is_leftover or is_too_much else min(before, recent)
        if used < limit and _dropped(cache, path, used):
            freed += bytes_
    return freed


def _dropped(cache: Path, path: str, used: float) -> bool:
    """Remove a file unless it was used after ``used``; tells whether it did."""
    with _held(cache, fcntl.LOCK_EX):
        try:
            if os.lstat(path).st_mtime > used:
                return False
            os.unlink(path)
        except FileNotFoundError:
            return False
    return True


def _failed(url: str, error: Exception) -> ComposeError:
    if isinstance(error, urllib.error.HTTPError):
        reason, retryable = f"the server says {error.code} {error.reason}", error.code in _PASSING
    elif isinstance(error, FileNotFoundError):
        reason, retryable = "there is no such file", False
    elif isinstance(error, urllib.error.URLError):
        reason, retryable = str(error.reason), True
    else:
        reason, retryable = getattr(error, "strerror", None) or str(error) or type(error).__name__, True
    return ComposeError(
        f"cannot read {url}: {reason}",
        code="compose.source",
        hint="is the address right?",
        retryable=retryable,
    )
