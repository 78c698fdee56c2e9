"""A reverse proxy for tests: requests go to several servers in turn, as administrators have nginx do it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

PREFIX = "/osbuild"
_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "host",
    "date",
    "server",
}


@contextmanager
def proxy(servers: Sequence[str]) -> Iterator[str]:
    """Serve what ``servers`` do below a prefix; provide the address. A server that is gone is left out."""
    turns = itertools.cycle(servers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix(PREFIX)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            # What the client claims is kept in front, as nginx does.
            clients = [*filter(None, [self.headers.get("X-Forwarded-For")]), self.client_address[0]]
            headers |= {
                "X-Forwarded-For": ", ".join(clients),
                "X-Forwarded-Host": self.headers["Host"],
                "X-Forwarded-Proto": "http",
                "X-Forwarded-Prefix": PREFIX,
            }
            for _ in servers:
                server = next(turns)
                try:
                    answer = requests.request(
                        self.command,
                        server + path,
                        data=body,
                        headers=headers,
                        timeout=60,
                        allow_redirects=False,
                    )
                    break
                except requests.ConnectionError:
                    continue
            else:
                self.send_error(502)
                return
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("X-Served-By", server)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = do_DELETE = forward

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}{PREFIX}"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
