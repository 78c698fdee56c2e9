"""The HTTP server: control calls, the gate, our services, and moto behind them."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.core.base_backend import BackendDict
from moto.core.request import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server

from . import dump, patches
from .blocks import blocks_class
from .ec2 import ec2_class
from .errors import Answer
from .gate import Call, Gate, Lost, call_of
from .marketplace import catalog_class
from .world import ACCOUNT, World

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

OWN_HEADERS = {"status", "server", "date", "content-length"}
"""What the HTTP server writes itself, or what is not for the wire."""

REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently"}


class Handler(MotoRequestHandler):
    """Does not print requests: they are in the gate's log."""

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)


class Application:
    """The WSGI application."""

    def __init__(self) -> None:
        self.world = World()
        self.gate = Gate(self.world)
        patches.apply(self.world)
        patches.new_account()
        self.own: dict[str, Any] = {
            "ec2": ec2_class(self.world),
            "ebs": blocks_class(self.world),
            "aws-marketplace": catalog_class(self.world),
        }
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = read_body(environ)
        if environ.get("PATH_INFO", "").startswith("/emulator/"):
            return send(self.control(environ, body), start_response)
        call = call_of(environ, body)
        if call is None:
            return send(Answer(403, "text/plain", b"the request is not signed"), start_response)
        try:
            refusal, afterwards = self.gate.enter(call, environ)
            time.sleep(self.world.settings.latency)
            chunks = send(refusal, start_response) if refusal else self.perform(call, environ, start_response)
            self.gate.leave(call, afterwards)
            return chunks
        except Lost:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("the emulator cut the connection") from None

    def perform(self, call: Call, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Carry out a request that the gate let in."""
        if call.service == "s3" and (answer := self.elsewhere(call, environ)):
            return send(answer, start_response)
        if call.service in self.own:
            request = Request(environ)
            status, headers, body = self.own[call.service].dispatch(request)
            data = body.encode() if isinstance(body, str) else body
            kind = headers.pop("Content-Type", headers.pop("content-type", "text/xml"))
            named = tuple(
                (name, str(value)) for name, value in headers.items() if name.lower() not in OWN_HEADERS
            )
            return send(Answer(int(status), kind, data, named), start_response)
        # The body of the application is read whole, so that an answer may be lost after the work was done.
        return list(self.moto(environ, start_response))

    def elsewhere(self, call: Call, environ: Environ) -> Answer | None:
        """Send a request for a bucket of another region there, as S3 does and moto does not."""
        bucket = environ.get("PATH_INFO", "/").strip("/").split("/")[0]
        found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
        if (
            found is None
            or found.region_name == call.region
            or call.action in ("CreateBucket", "GetBucketLocation")
        ):
            return None
        text = "The bucket you are attempting to access must be addressed using the specified endpoint."
        body = (
            f"<Error><Code>PermanentRedirect</Code><Message>{text}</Message><Bucket>{bucket}</Bucket></Error>"
        )
        data = b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()
        return Answer(301, "application/xml", data, (("x-amz-bucket-region", found.region_name),))

    def control(self, environ: Environ, body: bytes) -> Answer:
        """Answer a call of the test itself."""
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        given = json.loads(body) if body else {}
        result: Any = {}
        match environ["PATH_INFO"].removeprefix("/emulator/"):
            case "settings":
                with self.world.lock:
                    self.world.settings.update(given)
                    result = self.world.settings.document()
                if "seed" in given:
                    self.gate.reseed()
            case "state":
                result = dump.state(self.world)
            case "log":
                result = self.gate.log
            case "forget-log":
                self.gate.log = []
            case "held":
                result = {"held": self.gate.wait_held(float(query["seconds"]))}
            case "release":
                self.gate.release()
            case "clock":
                self.world.clock.offset += float(given["advance"])
            case "reset":
                self.reset()
            case other:
                return Answer(404, "text/plain", f"there is no control {other}".encode())
        return Answer(200, "application/json", json.dumps(result).encode())

    def reset(self) -> None:
        """Begin again with nothing."""
        with self.world.lock:
            BackendDict.reset()
            patches.new_account()
            self.world.reset()
        self.gate.reset()


def read_body(environ: Environ) -> bytes:
    """Read the body whole and put it back. Raises: ConnectionResetError if the client stopped in it."""
    stream = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body: bytes = stream.read()
        del environ["HTTP_TRANSFER_ENCODING"]
    else:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = stream.read(length) if length else b""
        if len(body) < length:
            raise ConnectionResetError("the client stopped while it sent")
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    return body


def send(answer: Answer, start_response: StartResponse) -> list[bytes]:
    """Answer with what is known whole."""
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
    ]
    start_response(f"{answer.status} {REASONS.get(answer.status, 'Error')}", headers)
    return [answer.body]


def server(port: int) -> BaseWSGIServer:
    """Return the server on loopback; port 0 takes a free one."""
    return make_server("127.0.0.1", port, Application(), threaded=True, request_handler=Handler)
