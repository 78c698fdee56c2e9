"""The way out for programs that fetch for somebody else: a proxy on loopback, to where a request may lead.

An address is checked before anything is fetched from it. But curl, apt and libraries resolve its name again, and
follow where servers send them. Here a name is resolved once, and what was looked at is connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from osbuild_core.exports.compose import debian, tags
from osbuild_core.exports.compose.addresses import NotPublic, is_unlimited, public_addresses
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.debarchives import read_archives
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

_BLOCK = 256 << 10
_SECONDS = 60.0
"""For a head of a request and for a connection, as the fetcher has it."""
_PORTS = {"http": 80, "https": 443}
_MIRRORS = "OSBUILD_SOURCES_CURL_MIRRORS"
_OWN = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY", "OSBUILD_SOURCES_CURL_PROXY")
_VARIABLES = (
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY"),
)
Host = tuple[str, int]


class _Refusal(Exception):
    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@contextlib.contextmanager
def gate(request: ComposeRequest, settings: ComposeSettings) -> Iterator[Mapping[str, str]]:
    """Yield the environment for programs that fetch for ``request``; the gate is open as long.

    Empty where no gate is needed: every address is allowed, only the configuration says where to go, or a proxy of
    the machine is between us and the network, which then has to know.
    """
    if not _is_needed(request, settings) or any(os.environ.get(name) for name in _OWN):
        yield {}
        return
    with _running(_hosts(settings.allowed_sources)) as port:
        address = f"http://127.0.0.1:{port}"
        yield {**dict.fromkeys(_VARIABLES, address), "no_proxy": "", "NO_PROXY": ""}


def _is_needed(request: ComposeRequest, settings: ComposeSettings) -> bool:
    if is_unlimited(settings.allowed_sources):
        return False
    if request.source_type in (SourceType.raw_config, SourceType.pulp):
        return False
    try:
        archives = request if debian.is_debian(request) else None
        if request.source_type is SourceType.tag:
            archives = tags.debian_request(request, settings)
        if archives is None or request.lookaside_repos:
            return True
        return any(archive.url is not None for archive in read_archives(archives.source, settings))
    except ComposeError:
        # What is wrong with it is told by who makes it.
        return True


def _hosts(allowed: tuple[str, ...] | None) -> frozenset[Host]:
    """Return the hosts that are allowed by name, whatever their addresses; mirrors of the machine are among them."""
    addresses = list(allowed or ())
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        mirrors = json.loads(os.environ.get(_MIRRORS) or "{}")
        addresses += [url for urls in mirrors.values() for url in urls]
    found = set()
    for address in addresses:
        with contextlib.suppress(ValueError):
            parts = urlsplit(address)
            if parts.scheme in _PORTS and parts.hostname:
                found.add((parts.hostname, parts.port or _PORTS[parts.scheme]))
    return frozenset(found)


@contextlib.contextmanager
def _running(hosts: frozenset[Host]) -> Iterator[int]:
    """Run the proxy in a thread; yield its port."""
    loop = asyncio.new_event_loop()
    # What a client that is slow does not take is not read any further.
    server = loop.run_until_complete(
        asyncio.start_server(_Connections(hosts).serve, "127.0.0.1", 0, limit=_BLOCK)
    )
    thread = threading.Thread(target=loop.run_forever, name="compose-gate", daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Connections:
    def __init__(self, hosts: frozenset[Host]) -> None:
        self._hosts = hosts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
        try:
            host, message = _read(head)
            there, out = await asyncio.wait_for(self._connected(*host), _SECONDS)
        except _Refusal as refusal:
            text = f"{refusal}\n".encode()
            writer.write(
                f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
                + text
            )
            await writer.drain()
            return
        if message is None:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            out.write(message)
        # Of requests without a tunnel there is one on a connection, and none has a body: what comes after is dropped.
        sending = asyncio.create_task(_copy(reader, out if message is None else None))
        try:
            await _copy(there, writer)
        finally:
            sending.cancel()
            out.close()

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to ``host`` at one of the addresses that were looked at. Raises _Refusal."""
        try:
            if (host, port) in self._hosts:
                return await asyncio.open_connection(host, port, limit=_BLOCK)
            addresses = await asyncio.to_thread(public_addresses, host, port)
        except NotPublic:
            raise _Refusal("403 Forbidden", f"{host} is not public") from None
        except (OSError, UnicodeError):
            raise _Refusal("502 Bad Gateway", f"{host} cannot be reached") from None
        for address in addresses:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(address, port, limit=_BLOCK)
        raise _Refusal("502 Bad Gateway", f"{host} cannot be reached")


def _read(head: bytes) -> tuple[Host, bytes | None]:
    """Return where a request goes, and what to send there (None: a tunnel was asked for). Raises _Refusal."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
        tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if tunnel else target)
        host, port = parts.hostname, parts.port or (0 if tunnel else 80)
    except ValueError:
        raise _Refusal("400 Bad Request", "that is no request") from None
    if not host or not port or not (tunnel or (method in ("GET", "HEAD") and parts.scheme == "http")):
        raise _Refusal("403 Forbidden", "only http and https lead out")
    if tunnel:
        return (host, port), None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [
        line for line in lines if line and not line.lower().startswith(("proxy-", "connection:", "host:"))
    ]
    netloc = parts.netloc.rpartition("@")[2]
    sent = [f"{method} {path} HTTP/1.1", f"Host: {netloc}", *kept, "Connection: close", "", ""]
    return (host, port), "\r\n".join(sent).encode("latin-1")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
    while data := await reader.read(_BLOCK):
        if writer is not None:
            writer.write(data)
            await writer.drain()
    if writer is not None:
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
