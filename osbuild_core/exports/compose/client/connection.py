"""Requests to the service, and what can go wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from osbuild_core.model.errors import OsbuildError

if TYPE_CHECKING:
    import requests

TIMEOUT = 60
Token = str | Callable[[], str]


class ServerError(OsbuildError):
    """The service cannot be reached (``status`` None) or refuses; codes ``compose.server`` and
    ``compose.refused``."""

    code = "compose.server"

    def __init__(self, detail: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(
            detail,
            code="compose.server" if status is None or status >= 500 else "compose.refused",
            hint=hint,
            retryable=status is None or status >= 500 or status == 429,
        )
        self.status = status


class Connection:
    """Speaks JSON to one service. ``base`` is its address, with a path below which it is or without one."""

    def __init__(
        self,
        base: str,
        *,
        token: Token | None = None,
        certificate: tuple[str, str] | str | None = None,
        verify: bool | str = True,
    ) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServerError(f"{base!r} is no address of a service", hint="such as http://localhost:8080/")
        self.base = base if base.endswith("/") else base + "/"
        self._token = token
        self._certificate = certificate
        self._verify = verify
        self._session: requests.Session | None = None

    def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the JSON that the service answers with. Raises ServerError."""
        reply = self.response(method, path, body=body, query=query)
        try:
            document = reply.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ServerError(f"{self.base} answers with something that is no JSON object")
        return document

    def response(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: tuple[int, ...] = (200, 202, 206),
    ) -> requests.Response:
        """Return the answer to a request for ``path``, which may be an address of the same service."""
        try:
            import requests
        except ImportError:
            raise ServerError(
                "the client needs requests", hint="pip install 'osbuild-core[compose]'"
            ) from None
        address = path if "://" in path else self.base + path.lstrip("/")
        sent = dict(headers or {})
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if self._token is not None and self._is_ours(address):
            token = self._token() if callable(self._token) else self._token
            sent["Authorization"] = f"Bearer {token}"
        if self._session is None:
            self._session = requests.Session()
        try:
            reply = self._session.request(
                method,
                address,
                params=query,
                data=data,
                headers=sent,
                timeout=TIMEOUT,
                cert=self._certificate,
                verify=self._verify,
                # A .netrc is not to change who we are.
                auth=lambda prepared: prepared,
                # The token would go along.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ServerError(
                _reason(error, self.base), hint="is it running, and is the address right?"
            ) from None
        if reply.status_code not in accepted:
            raise _refusal(reply)
        return reply

    def _is_ours(self, address: str) -> bool:
        mine, other = urlsplit(self.base), urlsplit(address)
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)


def _reason(error: Exception, base: str) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return f"{base} does not answer in {TIMEOUT} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"{base} has no certificate that counts here"
    return f"{base} cannot be reached"


def _refusal(reply: requests.Response) -> ServerError:
    try:
        document = reply.json()
        message = str(document["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{reply.url} answers with status {reply.status_code}"
    hints = {401: "give a token", 429: "wait for what is in the queue"}
    return ServerError(message, status=reply.status_code, hint=hints.get(reply.status_code))
