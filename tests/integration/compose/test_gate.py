"""The way out for programs that fetch: wherever servers and names send them, they get to what is allowed only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings, PackageTag
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.gate import gate
from osbuild_core.exports.compose.generate import resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.keys import Key

LARGE = os.urandom(8 << 20)


@dataclass
class Site:
    """A server: ``/redirect`` leads to ``elsewhere``, ``/large`` is large; ``asked`` is what it was asked for.

    With ``root`` the files there are served instead; without, all that apt asks for leads ``elsewhere``, too.
    """

    port: int = 0
    root: Path | None = None
    elsewhere: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = LARGE if self.path.startswith("/large") else b"content"
            if found.root is not None:
                file = found.root / self.path.lstrip("/")
                body = file.read_bytes() if file.is_file() else b""
                self.send_response(200 if file.is_file() else 404)
            elif self.path == "/redirect" or "/dists/" in self.path:
                self.send_response(302)
                self.send_header("Location", found.elsewhere + self.path.lstrip("/"))
                body = b""
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def curl(environment: Mapping[str, str], *arguments: str) -> tuple[int, bytes, str]:
    """Return status, content and complaints of curl."""
    command = ["curl", "--disable", "--silent", "--show-error", "--fail", "--location", *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


REQUEST = ComposeRequest(SourceType.repo, "http://packages.test/")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_allowed_is_fetched_and_nothing_that_it_leads_to() -> None:
    with site() as good, site() as inner:
        good.elsewhere = inner.url
        settings = ComposeSettings(allowed_sources=(good.url,))
        with gate(REQUEST, settings) as environment:
            assert curl(environment, good.url)[:2] == (0, b"content")
            status, content, _ = curl(environment, f"{good.url}large?1", f"{good.url}large?2")
            assert (status, content) == (0, LARGE + LARGE)
            for address in (f"{good.url}redirect", inner.url, f"http://localhost:{inner.port}/"):
                status, content, complaint = curl(environment, address)
                assert (status, content) == (22, b""), address
                assert "403" in complaint
            # A tunnel, as for https, of which nothing but the host is seen.
            assert curl(environment, "--proxytunnel", good.url)[:2] == (0, b"content")
            for address in (inner.url, f"https://127.0.0.1:{inner.port}/", f"https://[::1]:{inner.port}/"):
                assert curl(environment, "--proxytunnel", address)[0] in (22, 56), address
            assert curl(environment, f"ftp://127.0.0.1:{inner.port}/")[0] != 0
        assert inner.asked == []
        assert good.asked.count("/redirect") == 1
        # It is closed: what it was for is over.
        assert curl(environment, good.url)[0] == 7


def test_without_a_list_only_what_is_public_is_reached() -> None:
    with site() as inner, gate(REQUEST, ComposeSettings()) as environment:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0", "127.1"):
            address = f"http://{host}:{inner.port}/"
            assert curl(environment, address)[:2] == (22, b""), host
        assert inner.asked == []


def test_a_library_goes_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as good, site() as inner:
        good.elsewhere = inner.url
        settings = ComposeSettings(allowed_sources=(good.url,))
        with gate(REQUEST, settings) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            fetcher = Fetcher(settings.allowed_sources, tmp_path)
            assert fetcher.read(good.url) == b"content"
            with pytest.raises(ComposeError):
                fetcher.read(f"{good.url}redirect")
        assert inner.asked == []


def test_where_no_gate_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is allowed, only the configuration says where to go, or a proxy of the machine is in between."""
    public = ComposeSettings(tags={"bookworm": PackageTag(("deb bookworm main",))})
    for request, settings in (
        (REQUEST, ComposeSettings(allowed_sources=("https://", "/"))),
        (ComposeRequest(SourceType.raw_config, "nightly#abc"), public),
        (ComposeRequest(SourceType.repo, "deb bookworm main"), public),
        (ComposeRequest(SourceType.tag, "bookworm"), public),
    ):
        with gate(request, settings) as environment:
            assert environment == {}
    for source in ("deb bookworm main deb http://packages.test/ ./", "http://packages.test/"):
        with gate(ComposeRequest(SourceType.repo, source), public) as environment:
            assert environment["https_proxy"].startswith("http://127.0.0.1:"), source
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    with gate(REQUEST, public) as environment:
        assert environment == {}


def test_mirrors_of_the_machine_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as mirror:
        monkeypatch.setenv("OSBUILD_SOURCES_CURL_MIRRORS", f'{{"http://a.test/": ["{mirror.url}"]}}')
        with gate(REQUEST, ComposeSettings()) as environment:
            assert curl(environment, mirror.url)[:2] == (0, b"content")


REBINDING = '''
import fcntl, os, socket, struct, subprocess, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from osbuild_core.exports.compose.addresses import check_address
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.gate import gate
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

asked, reached = [], []
# Up, as ip link has it (netdevice(7)): the network is new.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sH14x", b"lo", 0x41))

def names():
    """Say 8.8.8.8 once to each question for an address, and 127.0.0.1 from then on."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        data, client = server.recvfrom(512)
        end = data.index(0, 12) + 5
        kind = int.from_bytes(data[end - 4 : end - 2], "big")
        answer = b""
        if kind == 1:
            asked.append(data)
            address = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
            answer = b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\0\\0\\x04" + socket.inet_aton(address)
        head = data[:2] + b"\\x81\\x80\\0\\x01" + (b"\\0\\x01" if answer else b"\\0\\0") + b"\\0\\0\\0\\0"
        server.sendto(head + data[12:end] + answer, client)

class Inner(BaseHTTPRequestHandler):
    def do_GET(self):
        reached.append(self.path)
        self.send_response(200)
        self.end_headers()

threading.Thread(target=names, daemon=True).start()
threading.Thread(target=HTTPServer(("127.0.0.1", 80), Inner).serve_forever, daemon=True).start()
with gate(ComposeRequest(SourceType.repo, "http://rebinding.test/"), ComposeSettings()) as environment:
    for word in (["--head"], [], ["--proxytunnel"]):
        asked.clear()
        command = ["curl", "--disable", "--silent", "--max-time", "10", *word, "http://rebinding.test/x"]
        subprocess.run(command, env={**os.environ, **environment}, capture_output=True)
        assert asked, "nobody asked for the name"
    assert reached == [], reached
    asked.clear()
    check_address("http://rebinding.test/x", None)
    # Without the gate it is what the second answer says.
    subprocess.run(["curl", "--disable", "--silent", "--noproxy", "*", "http://rebinding.test/x"])
    assert reached == ["/x"]
print("held")
'''


@pytest.mark.root
def test_a_name_that_is_something_else_the_second_time(tmp_path: Path) -> None:
    """In a network of its own, with a name server that answers so."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:2\n")
    (tmp_path / "rebinding.py").write_text(textwrap.dedent(REBINDING))
    script = (
        f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
        f" && exec {sys.executable} {tmp_path}/rebinding.py"
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def test_apt_goes_the_same_way(
    archive: Path, archive_key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site() as good, site() as inner:
        good.root, inner.root = archive, archive
        settings = ComposeSettings(
            store=tmp_path / "store",
            state_dir=tmp_path / "state",
            allowed_sources=(good.url,),
            apt_keyrings={good.url: archive_key.public},
        )
        request = ComposeRequest(SourceType.repo, f"deb {good.url} stable main")
        with gate(request, settings) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            assert resolve(request, settings).koji_event
            good.root, good.elsewhere = None, inner.url
            shutil.rmtree(tmp_path / "state")
            with pytest.raises(ComposeError):
                resolve(request, settings)
        assert inner.asked == []
        assert any(path.endswith("InRelease") for path in good.asked)
