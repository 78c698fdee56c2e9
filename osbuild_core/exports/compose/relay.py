"""A proxy that leads to where it may: a name is resolved once, and what was looked at is connected to.

It knows what :class:`Way` says, and nothing of requests and settings.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.addresses import NotPublic, public_addresses

_BLOCK = 256 << 10
_HEAD = 64 << 10
_PIPE = 1 << 20
_SECONDS = 60.0
"""For a head of a request and for a connection, as the fetcher has it."""
Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Way:
    """Where connections may lead: to ``hosts``, whatever their addresses, and to whatever is public; anywhere if
    ``everywhere``. ``proxies`` of the machine, by scheme of what is asked for, come in between, but for the hosts of
    ``direct`` (as in ``no_proxy``); they have to look at addresses then."""

    hosts: frozenset[Host] = frozenset()
    everywhere: bool = False
    proxies: dict[str, str] = field(default_factory=dict)
    direct: str = ""


class _Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Relay:
    """Answers connections to ``listener``, as a task of the loop that runs."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        try:
            while True:
                try:
                    client, _ = await loop.sock_accept(listener)
                except OSError:
                    # No descriptors for now, or who asked has gone.
                    await asyncio.sleep(0.1)
                    continue
                task = loop.create_task(self._answer(client))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _answer(self, client: socket.socket) -> None:
        """Answer one request and close."""
        with client, contextlib.suppress(OSError, EOFError, TimeoutError):
            client.setblocking(False)
            async with asyncio.timeout(_SECONDS):
                head, rest = await _head(client)
            try:
                async with asyncio.timeout(_SECONDS):
                    request = _read(head)
                    there, first = await self._connected(*request)
            except _Refusal as refusal:
                await _refuse(client, refusal)
                return
            with there:
                await self._relay(client, there, first, rest, tunnel=request[1] is None)

    async def _relay(
        self, client: socket.socket, there: socket.socket, first: bytes, rest: bytes, *, tunnel: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        if first:
            await loop.sock_sendall(there, first)
        elif tunnel:
            await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
        # Of requests without a tunnel there is one on a connection, and none has a body: what comes after is dropped.
        sending = None
        if tunnel:
            if rest:
                await loop.sock_sendall(there, rest)
            sending = loop.create_task(_copy(client, there))
        try:
            await _copy(there, client)
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _connected(self, host: Host, message: bytes | None, url: str) -> tuple[socket.socket, bytes]:
        """Return a connection for a request, and what is to be sent there first. Raises _Refusal."""
        proxy = self._proxy(host, "https" if message is None else "http")
        if proxy is None:
            return await self._direct(*host), message or b""
        parts = urlsplit(proxy)
        there = await _open((parts.hostname or "", parts.port or 80))
        if there is None:
            raise _Refusal(502, "the proxy of the machine cannot be reached")
        return there, _for_proxy(host, message, url, parts.username, parts.password)

    def _proxy(self, host: Host, scheme: str) -> str | None:
        found = self._way.proxies.get(scheme) or self._way.proxies.get("all")
        if found is None:
            return None
        passed = urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
            f"{host[0]}:{host[1]}", {"no": self._way.direct}
        )
        return None if passed else found

    async def _direct(self, host: str, port: int) -> socket.socket:
        """Connect to ``host`` at one of the addresses that were looked at. Raises _Refusal."""
        addresses = [host]
        if not self._way.everywhere and (host, port) not in self._way.hosts:
            try:
                addresses = await asyncio.to_thread(public_addresses, host, port)
            except NotPublic:
                raise _Refusal(403, f"{host} is not public") from None
            except (OSError, UnicodeError):
                raise _Refusal(502, f"{host} cannot be reached") from None
        for address in addresses:
            there = await _open((address, port))
            if there is not None:
                return there
        raise _Refusal(502, f"{host} cannot be reached")


async def _open(where: Host) -> socket.socket | None:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(*where, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return None
    for family, kind, protocol, _, address in found:
        there = socket.socket(family, kind, protocol)
        try:
            there.setblocking(False)
            await loop.sock_connect(there, address)
        except OSError:
            there.close()
        except BaseException:
            there.close()
            raise
        else:
            return there
    return None


async def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request, and what came with it. Raises EOFError, OSError."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        part = await loop.sock_recv(client, _HEAD)
        if not part or len(data) > _HEAD:
            raise EOFError
        data += part
    return bytes(data[: end + 4]), bytes(data[end + 4 :])


async def _refuse(client: socket.socket, refusal: _Refusal) -> None:
    text = f"{refusal}\n".encode(errors="replace")
    # Clients show this line only.
    head = (
        f"HTTP/1.1 {refusal.status} {refusal}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
    )
    answer = head.encode("latin-1", errors="replace") + b"Connection: close\r\n\r\n" + text
    await asyncio.get_running_loop().sock_sendall(client, answer)


def _read(head: bytes) -> tuple[Host, bytes | None, str]:
    """Return where a request goes, what to send there (None: a tunnel was asked for), and the address that it names.

    Raises _Refusal.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
        tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if tunnel else target)
        host, port = parts.hostname, parts.port or (0 if tunnel else 80)
    except ValueError:
        raise _Refusal(400, "that is no request") from None
    if not host or not port or not (tunnel or (method in ("GET", "HEAD") and parts.scheme == "http")):
        raise _Refusal(403, "only http and https lead out")
    if not host.isascii() or any(character <= " " for character in host):
        raise _Refusal(400, "that is no name of a host")
    if tunnel:
        return (host, port), None, ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [
        line for line in lines if line and not line.lower().startswith(("proxy-", "connection:", "host:"))
    ]
    netloc = parts.netloc.rpartition("@")[2]
    sent = [f"{method} {path} HTTP/1.1", f"Host: {netloc}", *kept, "Connection: close", "", ""]
    return (host, port), "\r\n".join(sent).encode("latin-1"), f"http://{netloc}{path}"


def _for_proxy(host: Host, message: bytes | None, url: str, user: str | None, password: str | None) -> bytes:
    """Return the request as a proxy of the machine wants it, with what that one knows us by."""
    known = ""
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        known = f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}\r\n"
    if message is None:
        name = f"[{host[0]}]" if ":" in host[0] else host[0]
        return f"CONNECT {name}:{host[1]} HTTP/1.1\r\nHost: {name}:{host[1]}\r\n{known}\r\n".encode()
    first, _, rest = message.partition(b"\r\n")
    return b"%s %s HTTP/1.1\r\n%s%s" % (first.split(b" ")[0], url.encode("latin-1"), known.encode(), rest)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes, through a pipe and not through us, as fast as ``target`` takes it."""
    out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        while True:
            try:
                size = os.splice(source.fileno(), into, _PIPE)
            except BlockingIOError:
                await _ready(source, write=False)
                continue
            if size == 0:
                break
            while size:
                try:
                    size -= os.splice(out, target.fileno(), size)
                except BlockingIOError:
                    await _ready(target, write=True)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
    finally:
        os.close(out)
        os.close(into)


async def _ready(one: socket.socket, *, write: bool) -> None:
    """Wait until ``one`` can be read or written."""
    loop = asyncio.get_running_loop()
    # Another one than asyncio's own, so that both ways can be waited for.
    ready = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(one, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(one)
