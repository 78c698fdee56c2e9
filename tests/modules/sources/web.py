"""A web server for downloads that go wrong in the ways that servers do."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Web:
    """``files`` by path. ``faults`` by path are called first and may answer instead, returning True."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Callable[[BaseHTTPRequestHandler], bool]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    live: int = 0
    most: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        with self.lock:
            self.requests[path] += 1
            self.live += 1
            self.most = max(self.most, self.live)
            if "Range" in handler.headers:
                self.ranges.append((path, handler.headers["Range"]))
        try:
            if path not in self.faults or not self.faults[path](handler):
                self.send(handler, path)
        finally:
            with self.lock:
                self.live -= 1

    def send(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        """Answer as a good server does."""
        if path not in self.files:
            refuse(handler, 404)
            return
        content = self.files[path]
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            refuse(handler, 416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start:])


def refuse(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> bool:
    """Answer with ``status``."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"error")
    return True


def times(
    count: int, fault: Callable[[BaseHTTPRequestHandler], bool]
) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Return a fault that happens ``count`` times, and not again."""
    left = [count]

    def once(handler: BaseHTTPRequestHandler) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fault(handler)

    return once


def cut(content: bytes, length: int) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Return a fault: the connection ends after ``length`` bytes."""

    def fault(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:length])
        handler.close_connection = True
        return True

    return fault


def trickle(seconds: float) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Return a fault: bytes come, but for a long time."""

    def fault(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000000")
        handler.end_headers()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                handler.wfile.write(b"x" * 10_000)
                time.sleep(0.02)
        except OSError:
            handler.close_connection = True
        return True

    return fault


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Serve a new Web on a port of this machine, encrypted with ``tls``."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.answer(self)

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 200

        def handle_error(self, *_: object) -> None:
            return

    with Server(("127.0.0.1", 0), Handler) as server:
        web.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield web
        server.shutdown()
        thread.join()
