"""A provider of OpenID Connect over HTTP: discovery, keys, and tokens signed with them."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey


class Issuer:
    """Its ``url`` is the issuer; ``token`` signs claims."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = RSAKey.generate_key(2048, parameters={"kid": "first", "use": "sig"})
        self.other = RSAKey.generate_key(2048, parameters={"kid": "first", "use": "sig"})
        self.later = ECKey.generate_key("P-256", parameters={"kid": "later", "use": "sig"})
        self.published = [self.key]
        self.asked: list[str] = []
        self.broken = False

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "osbuild-core",
            "sub": "1234",
            "preferred_username": "alice",
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, *, key: Any = None, algorithm: str = "RS256", kid: str | None = "first", **changes: Any
    ) -> str:
        header = {"alg": algorithm, **({"kid": kid} if kid else {})}
        return jwt.encode(header, self.claims(**changes), key or self.key, algorithms=[algorithm])

    def forged_with_public_key(self) -> str:
        """Return a token that is signed with what everyone knows, as a secret (CVE-2016-5431 and others)."""
        header = {"alg": "HS256", "kid": "first"}
        parts = [json.dumps(part).encode() for part in (header, self.claims())]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        # By hand: the library refuses to take a public key for a secret.
        digest = hmac.digest(self.key.as_pem(private=False), signed, "sha256")
        return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()

    def document(self, path: str) -> dict[str, Any] | None:
        self.asked.append(path)
        if self.broken:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            return dict(KeySet(self.published).as_dict(private=False))
        return None


@contextmanager
def running() -> Iterator[Issuer]:
    """Run one on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.document(self.path)
            body = json.dumps(document).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
