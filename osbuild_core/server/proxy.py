"""What a proxy says about a request: how clients reach the service, and who they are, for the log.

It counts from addresses that the settings name, and for addresses in answers only: who may do what never depends on
it, so the other end of the connection stays in the scope as it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

CLIENT = "osbuild_core.client"
"""In the scope: the address of the client as far as it is known."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,10}")


class Forwarded:
    """Reads ``X-Forwarded-Proto``, ``-Host``, ``-Prefix`` and ``-For``. ``root`` is what paths begin with anyway."""

    def __init__(self, app: ASGIApp, proxies: Sequence[Network], root: str) -> None:
        self._app = app
        self._proxies = proxies
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = (scope.get("client") or ("", 0))[0]
            scope[CLIENT] = peer
            if self._root:
                scope["root_path"] = self._root
            if self._trusts(peer):
                self._apply(scope)
        await self._app(scope, receive, send)

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def _apply(self, scope: Scope) -> None:
        said = _said(scope)
        if (scheme := _last(said, b"x-forwarded-proto").lower()) in ("http", "https"):
            scope["scheme"] = scheme
        if _HOST.fullmatch(host := _last(said, b"x-forwarded-host")):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*others, (b"host", host.encode())]
        if _PREFIX.fullmatch(prefix := _last(said, b"x-forwarded-prefix").rstrip("/")):
            scope["root_path"] = prefix
        # From the last one back, as far as we trust who wrote it.
        for address in reversed(said.get(b"x-forwarded-for", [])):
            try:
                scope[CLIENT] = str(ipaddress.ip_address(address))
            except ValueError:
                return
            if not self._trusts(address):
                return


def _said(scope: Scope) -> dict[bytes, list[str]]:
    """Return the values of the headers of proxies, parts of lists one by one."""
    found: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name.startswith(b"x-forwarded-"):
            found.setdefault(name, []).extend(part.strip() for part in value.decode("latin-1").split(","))
    return found


def _last(said: dict[bytes, list[str]], name: bytes) -> str:
    """Return what the proxy next to us has said; what is before that came to it from elsewhere."""
    values = said.get(name, [])
    return values[-1] if values else ""
