"""Where the service listens, and who may reach it there without saying who they are."""

from __future__ import annotations

import ipaddress
import os
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from osbuild_core.model.errors import UsageError

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is an address of this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Tell whether ``url`` leads to this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def bound(host: str, port: int, *, authenticated: bool) -> socket.socket:
    """Return a socket that listens. Raises UsageError where it cannot, or where it would be open to everyone."""
    if not authenticated and not is_loopback(host):
        raise UsageError(
            f"refusing to listen on {host} without authentication",
            code="server.open",
            hint="set authentication, or listen on 127.0.0.1",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: asyncio turns off Nagle's algorithm for what says that it is TCP, and answers are in two
    # parts, the second of which would wait 40 ms for the first to be acknowledged.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            code="server.address",
            hint="choose another one with --host and --port",
        ) from error
    listener.set_inheritable(False)
    return listener


def peer_uid(peer: tuple[str, int], mine: tuple[str, int]) -> int | None:
    """Return which user of this machine holds the other end of a loopback connection (proc(5), /proc/net/tcp).

    None where the kernel does not list it.
    """
    for file, parse in (("tcp", _v4), ("tcp6", _v6)):
        try:
            text = Path(f"/proc/self/net/{file}").read_text()
            local, remote = parse(peer), parse(mine)
        except (OSError, ValueError):
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            # Without the state: a closed one has lost its owner (0) and must not count as root.
            if fields[1] == local and fields[2] == remote and fields[3] == "01":
                return int(fields[7])
    return None


def is_own(uid: int | None) -> bool:
    """Tell whether a peer of that user is served without authentication: root, or who we run as."""
    return uid is not None and uid in (0, _own())


@cache
def _own() -> int:
    return os.geteuid()


def _v4(address: tuple[str, int]) -> str:
    return f"{socket.inet_aton(address[0])[::-1].hex().upper()}:{address[1]:04X}"


def _v6(address: tuple[str, int]) -> str:
    host = address[0] if ":" in address[0] else f"::ffff:{address[0]}"
    packed = socket.inet_pton(socket.AF_INET6, host)
    words = "".join(packed[n : n + 4][::-1].hex().upper() for n in range(0, 16, 4))
    return f"{words}:{address[1]:04X}"
