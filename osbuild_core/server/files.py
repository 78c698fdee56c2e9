"""Serves the files of composes and builds, with ranges, and nothing that is not below their directory."""

from __future__ import annotations

import asyncio
import email.utils
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from osbuild_core.server.lasting import Standing
from osbuild_core.server.refusal import Refusal

_CHUNK = 256 << 10
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_TEXT = frozenset({".log", ".repo", ".sources", ".txt", ".list", ""})


def opened(root: Path, path: str) -> int:
    """Return a descriptor of the file ``path`` below ``root``. Raises Refusal (404).

    What was opened is looked at, not what the path said before: links may change meanwhile.
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Refusal(404, "There is no such file")
    try:
        # Without waiting: a pipe would have no writer.
        fd = os.open(root.joinpath(*parts), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        raise Refusal(404, "There is no such file") from None
    real = os.readlink(f"/proc/self/fd/{fd}")
    base = os.path.realpath(root)
    if not (stat.S_ISREG(os.fstat(fd).st_mode) and real.startswith(base + "/")):
        os.close(fd)
        raise Refusal(404, "There is no such file")
    return fd


class Content(Protocol):
    """What is served: ``size`` bytes, of which ``tag`` (an ETag, quoted) tells whether they have changed.

    ``modified`` is seconds since 1970. ``close`` is for where nothing is streamed.
    """

    @property
    def size(self) -> int: ...

    @property
    def tag(self) -> str: ...

    @property
    def modified(self) -> float: ...

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class FileContent:
    """A file that is open."""

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        self._fd = fd
        self.size = status.st_size
        self.tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        self.modified = status.st_mtime

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        # An object that closes itself: a client that goes at once leaves a stream that never begins.
        return _content(os.fdopen(self._fd, "rb", buffering=0), start, end)

    def close(self) -> None:
        os.close(self._fd)


def file_response(request: Request, root: Path, path: str, standing: Standing | None = None) -> Response:
    """Return the file, or the range of it that is asked for (RFC 9110, section 14). Raises Refusal (404)."""
    return content_response(request, FileContent(opened(root, path)), path, standing)


def content_response(
    request: Request, content: Content, path: str, standing: Standing | None = None
) -> Response:
    """Return the content, or the range of it that is asked for; what it is called says what it is.

    With ``standing`` it is cut off where it may not be had any more.
    """
    size, tag = content.size, content.tag
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Last-Modified": email.utils.formatdate(content.modified, usegmt=True),
        # What a compose has in it is not to run as a page of ours.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    if request.headers.get("if-none-match") == tag:
        content.close()
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    condition = request.headers.get("if-range")
    start, end, code = 0, size, 200
    if wanted is not None and condition in (None, tag):
        found = _range(wanted, size)
        if found is not None:
            (start, end), code = found, 206
            if start >= end:
                content.close()
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        content.close()
        return Response(status_code=code, headers=headers, media_type=_media_type(path))
    parts = content.stream(start, end)
    return StreamingResponse(
        parts if standing is None else standing.stream(parts),
        status_code=code,
        headers=headers,
        media_type=_media_type(path),
    )


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Return first byte and end of a range (empty: it cannot be had), None where it is none that we know."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else size
    return None if end <= start and match[2] else (start, min(end, size))


async def _content(file: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    with file:
        while start < end:
            data = await asyncio.to_thread(os.pread, file.fileno(), min(_CHUNK, end - start), start)
            if not data:
                return
            start += len(data)
            yield data


def _media_type(path: str) -> str:
    if Path(path).suffix in _TEXT:
        return "text/plain; charset=utf-8"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
