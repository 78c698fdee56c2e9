"""Who sent a request: a token, a certificate that a proxy has checked, or a user of this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from osbuild_core.server.access import LOCAL, Identity
from osbuild_core.server.database import Database
from osbuild_core.server.listen import LOCAL_NAMES, is_own, peer_uid
from osbuild_core.server.oidc import ProviderError, Providers
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.settings import Certificates, ServerSettings
from osbuild_core.server.tokens import PREFIX, identified

_PART = re.compile(r"(?:[^,\\]|\\.)+")
Address = tuple[str, int]


class Doorkeeper:
    """Identifies senders by what the settings say counts."""

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._providers = Providers(settings.oidc)

    async def identify(
        self, headers: Headers, peer: Address | None, mine: Address | None, *, reading: bool
    ) -> Identity | None:
        """Return who it is, None for nobody. Raises Refusal (401, 403, 503) for what pretends and is not right.

        Without authentication every user of this machine may be ``reading``.
        """
        if not self._settings.authentication:
            return self._local(headers, peer, mine, reading)
        authorization = headers.get("authorization")
        if authorization is not None:
            return await self._bearer(authorization)
        if "certificate" in self._settings.authentication and self._settings.certificate is not None:
            return _certificate(self._settings.certificate, headers, peer)
        return None

    def _local(self, headers: Headers, peer: Address | None, mine: Address | None, reading: bool) -> Identity:
        # A page in a browser can make a name of its own lead here; it cannot choose this header.
        host = re.sub(r":[0-9]*$", "", headers.get("host", "")).lower()
        if host not in LOCAL_NAMES and host not in self._settings.hosts:
            raise Refusal(403, "This service is for this machine: use localhost in the address")
        # Nor this one: which page it is that asks.
        page = headers.get("origin")
        if page is not None and not self._is_ours(page):
            raise Refusal(403, "This service is for this machine, not for pages from elsewhere")
        if reading:
            return LOCAL
        if peer is None or mine is None or not is_own(peer_uid(peer, mine)):
            raise Refusal(403, "This service has no authentication and serves the user who started it")
        return LOCAL

    def _is_ours(self, page: str) -> bool:
        try:
            host = urlsplit(page).hostname or ""
        except ValueError:
            return False
        return host in LOCAL_NAMES or host in self._settings.hosts

    async def _bearer(self, authorization: str) -> Identity:
        kind, _, token = authorization.partition(" ")
        token = token.strip()
        who: Identity | None = None
        methods = self._settings.authentication
        if kind.lower() == "bearer" and token:
            if token.startswith(PREFIX):
                who = await identified(self._database, token) if "token" in methods else None
            elif "oidc" in methods:
                who = await self._oidc(token)
        if who is None:
            raise Refusal(401, "The token is not valid", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return who

    async def _oidc(self, token: str) -> Identity | None:
        try:
            found = await self._providers.identified(token)
        except ProviderError as error:
            raise Refusal(503, error.detail, {"Retry-After": "30"}) from None
        if found is None:
            return None
        who, settings = found
        if settings.scope_prefix is None:
            return Identity(who.user, who.groups)
        own = {
            scope.removeprefix(settings.scope_prefix)
            for scope in who.scopes or ()
            if scope.startswith(settings.scope_prefix)
        }
        return Identity(who.user, who.groups, frozenset(own))


def _certificate(settings: Certificates, headers: Headers, peer: Address | None) -> Identity | None:
    """Return whom a proxy has seen; whatever others send in those headers is nothing."""
    if peer is None:
        return None
    try:
        address = ipaddress.ip_address(peer[0])
    except ValueError:
        return None
    if not any(address in network for network in settings.trusted_proxies):
        return None
    # A proxy that adds its header to those of the client, instead of replacing them, vouches for nobody.
    verified, subjects = headers.getlist(settings.verify_header), headers.getlist(settings.subject_header)
    if verified != ["SUCCESS"] or len(subjects) != 1:
        return None
    names = common_names(subjects[0])
    if len(names) != 1 or not names[0].isprintable() or len(names[0]) > 200:
        return None
    return Identity(names[0])


def common_names(subject: str) -> list[str]:
    """Return the common names of a subject in the form of RFC 2253, in which commas within a value are escaped.

    None in one with quotation marks: that is an older form, in which they are not.
    """
    if '"' in subject:
        return []
    parts = [part.strip() for part in _PART.findall(subject)]
    return [part[3:].strip() for part in parts if part.upper().startswith("CN=") and part[3:].strip()]
