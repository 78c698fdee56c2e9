"""Bearer tokens of OpenID Connect providers: discovery, keys, signature, issuer, audience, times.

OpenID Connect Discovery 1.0; RFC 7517, 7519, 9068.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from osbuild_core.model.errors import OsbuildError
from osbuild_core.server.access import Identity
from osbuild_core.server.listen import is_loopback_url
from osbuild_core.server.settings import Oidc

ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
]
"""Those with a public key; with any other, whoever knows the public key could sign."""

LEEWAY = 30
"""Seconds by which clocks may differ."""

_LONGEST = 1 << 20
_TIMEOUT = 10
_PAUSE = 30.0
"""Seconds before the keys are fetched again because a token names one that is not among them, or because the provider
did not answer."""

_TOO_OLD = 24
"""Of a provider that is away, keys count for that many times ``keys_seconds``."""


class ProviderError(OsbuildError):
    """A provider cannot be asked for its keys: tokens cannot be checked now."""

    code = "server.oidc"


class Provider:
    """One issuer; its keys are kept for a while."""

    def __init__(self, settings: Oidc) -> None:
        self.settings = settings
        self._keys: Any = None
        self._fetched = float("-inf")
        self._failed = float("-inf")
        self._error: ProviderError | None = None
        self._lock = asyncio.Lock()

    async def identified(self, token: str, header: dict[str, Any]) -> Identity | None:
        """Return who the token speaks for, None where it does not count. Raises ProviderError."""
        from joserfc.errors import JoseError

        keys = await self._current(header.get("kid"))
        try:
            claims = self._claims(token, keys)
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        user = claims.get(self.settings.username_claim) or claims.get("sub")
        groups = claims.get(self.settings.groups_claim) or []
        # A name of a group may have spaces in it; scopes are words of a string (RFC 6749, section 3.3).
        groups = [groups] if isinstance(groups, str) else groups
        scopes = claims.get("scope") or claims.get("scp") or []
        if not isinstance(user, str) or not user or len(user) > 200 or not user.isprintable():
            return None
        return Identity(user, frozenset(_words(groups)), frozenset(_words(scopes)))

    def _claims(self, token: str, keys: Any) -> dict[str, Any]:
        from joserfc import jwt

        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.audience},
            exp={"essential": True},
        )
        registry.validate(decoded.claims)
        return dict(decoded.claims)

    async def _current(self, kid: Any) -> Any:
        asked = time.monotonic()
        async with self._lock:
            if self._error is not None and self._failed >= asked:
                # Asked for in vain while this one waited.
                raise self._error
            age = time.monotonic() - self._fetched
            known = self._keys is not None and (kid is None or any(key.kid == kid for key in self._keys.keys))
            wanted = age > self.settings.keys_seconds or (not known and age > _PAUSE)
            # A provider that is away is not waited for again and again, as long as its keys are there.
            paused = self._keys is not None and time.monotonic() - self._failed < _PAUSE
            if wanted and not paused:
                try:
                    self._keys = await asyncio.to_thread(self._fetch)
                    self._fetched = time.monotonic()
                    self._failed, self._error = float("-inf"), None
                except ProviderError as error:
                    self._failed = time.monotonic()
                    # The keys that were right a moment ago are better than none.
                    if self._keys is None or age > _TOO_OLD * self.settings.keys_seconds:
                        self._keys, self._error = None, error
                        raise
            return self._keys

    def _fetch(self) -> Any:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        issuer = self.settings.issuer
        found = self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ProviderError(f"the provider at {issuer} says it is somebody else")
        address = found.get("jwks_uri")
        if not isinstance(address, str) or not (address.startswith("https://") or is_loopback_url(address)):
            raise ProviderError(f"{issuer} has no https address of its keys")
        try:
            return KeySet.import_key_set({"keys": _usable(self._json(address).get("keys"))})
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderError(f"the keys of {issuer} cannot be read") from None

    @staticmethod
    def _json(address: str) -> dict[str, Any]:
        import requests

        try:
            with requests.get(address, timeout=_TIMEOUT, allow_redirects=False, stream=True) as reply:
                body = reply.raw.read(_LONGEST + 1, decode_content=True)
                if reply.status_code != 200 or len(body) > _LONGEST:
                    raise ProviderError(f"{address} answers with status {reply.status_code}", retryable=True)
            import json

            document = json.loads(body)
        except (requests.RequestException, ValueError, OSError):
            raise ProviderError(f"{address} cannot be read", retryable=True) from None
        if not isinstance(document, dict):
            raise ProviderError(f"{address} is no JSON object")
        return document


def _usable(keys: Any) -> list[dict[str, Any]]:
    """Return the public keys for signatures; a symmetric one has no business in a published set."""
    if not isinstance(keys, list):
        raise ValueError("no keys")
    return [
        key
        for key in keys
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"
    ]


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class Providers:
    """All that are configured."""

    def __init__(self, settings: Sequence[Oidc]) -> None:
        self._by_issuer = {one.issuer: Provider(one) for one in settings}

    async def identified(self, token: str) -> tuple[Identity, Oidc] | None:
        """Return who a token speaks for and by which provider, None where it does not count."""
        import base64
        import json

        try:
            parts = token.split(".")
            if len(parts) != 3 or len(token) > 16384:
                return None
            header, claims = (json.loads(base64.urlsafe_b64decode(part + "===")) for part in parts[:2])
            # Not believed yet: it only says whose keys to check it with.
            provider = self._by_issuer.get(claims["iss"])
        except (ValueError, KeyError, TypeError):
            return None
        if provider is None or not isinstance(header, dict):
            return None
        who = await provider.identified(token, header)
        return None if who is None else (who, provider.settings)
