"""Where packages may come from: addresses and paths are checked before anything is read from them."""

from __future__ import annotations

import ipaddress
import os
import socket
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.errors import ComposeError

EVERYTHING = ("http://", "https://", "file:///", "/")
"""For whom may read every file and reach every address anyway."""

GATE = "gate:"
"""Among what is allowed: there is no way to any address but a gate, which looks at them. Names mean nothing here."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_public(ip: Address) -> bool:
    """Tell whether ``ip`` is one of the internet, for one host. IPv6 addresses that have one of IPv4 in them (mapped,
    6to4, NAT64) are as public as that one."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _COMPATIBLE or ip.is_site_local:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return ip.is_global and not ip.is_multicast


def gated(allowed: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the same for a process that has no network but a gate."""
    return (GATE, *(allowed or ()))


def is_unlimited(allowed: tuple[str, ...] | None) -> bool:
    """Tell whether ``allowed`` has all of http or https."""
    return allowed is not None and any(prefix in ("http://", "https://") for prefix in allowed)


def public_addresses(host: str, port: int | None = None) -> list[str]:
    """Return the addresses of ``host``. Raises OSError, UnicodeError for one that has none, and NotPublic."""
    found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    # One that is not is enough: who answers so means harm, and which one is connected to is chance.
    if not all(is_public(ipaddress.ip_address(one.partition("%")[0])) for one in addresses):
        raise NotPublic(host)
    return addresses


class NotPublic(Exception):
    """A host has an address that is not public."""


def check_address(address: str, allowed: tuple[str, ...] | None) -> str:
    """Return ``address`` (URL or absolute path) as a URL, if packages may come from there.

    ``allowed`` are prefixes, which end where a part of a path does. None allows http and https to hosts all of
    whose addresses are public. Raises ComposeError ``compose.source``.
    """
    url = _as_url(address)
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise _refused(address, "it has a user name in it", "credentials do not belong into requests")
    if allowed is None or allowed == (GATE,):
        if parts.scheme == "file":
            raise _refused(address, "paths are not allowed", "ask whoever runs this to allow the path")
        if allowed is None:
            _check_public(parts.hostname or "", address)
        return url
    candidates = [url]
    if parts.scheme == "file":
        # A link may lead out of what is allowed.
        real = os.path.realpath(unquote(parts.path))
        candidates = [real + "/" * parts.path.endswith("/")]
        allowed = tuple(
            os.path.realpath(p.removeprefix("file://")) for p in allowed if p.startswith(("/", "file:"))
        )
    if not all(any(_below(candidate, prefix) for prefix in allowed) for candidate in candidates):
        raise _refused(address, "it is not allowed", "ask whoever runs this to allow it")
    return url


def check_redirect(url: str, allowed: tuple[str, ...] | None) -> None:
    """Raise ComposeError where a server sends us somewhere that a request could not name."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise _refused(url, "a server redirects to it", None)
    if is_unlimited(allowed):
        return
    try:
        check_address(url, allowed)
    except ComposeError:
        # Mirrors are elsewhere, but never within.
        check_address(url, (GATE,) if allowed is not None and GATE in allowed else None)


def _as_url(address: str) -> str:
    if not address.isprintable() or any(character in address for character in ' "<>\\^`{|}'):
        raise _refused(address, "it has characters that no address has", None)
    if address.startswith("/"):
        return "file://" + os.path.normpath("/" + address.lstrip("/")) + "/" * address.endswith("/")
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise _refused(address, "it is no URL", None) from None
    if ".." in unquote(parts.path).split("/"):
        raise _refused(address, "it has .. in it", None)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return address
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(address, "only http, https and file are known", None)
    return address


def _below(url: str, prefix: str) -> bool:
    return url == prefix or url.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _check_public(host: str, address: str) -> None:
    try:
        public_addresses(host)
    except (OSError, UnicodeError):
        raise ComposeError(
            f"there is no host {host!r}", code="compose.source", hint="is the address right?", retryable=True
        ) from None
    except NotPublic:
        raise _refused(address, "its host is not a public one", "ask whoever runs this to allow it") from None


def _refused(address: str, reason: str, hint: str | None) -> ComposeError:
    shown = address if address.isprintable() else repr(address)
    return ComposeError(f"nothing is read from {shown[:200]}: {reason}", code="compose.source", hint=hint)
