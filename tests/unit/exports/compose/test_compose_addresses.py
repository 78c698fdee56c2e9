import http.server
import ipaddress
import threading
from pathlib import Path

import pytest

from osbuild_core.exports.compose.addresses import EVERYTHING, check_address, is_public
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://127.0.0.1/r",
            "http://localhost/r",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data/",
        ),
        *(
            "http://10.0.0.1/",
            "https://192.168.1.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://[fd00::1]/",
        ),
        *("http://2130706433/", "http://127.1/", "http://0x7f000001/", "http://224.0.0.1/"),
        *(
            "file:///etc/passwd",
            "/etc/passwd",
            "ftp://example.org/",
            "gopher://x/",
            "data:,x",
            "http://",
            "x",
        ),
        *(
            "http://user:word@8.8.8.8/",
            "http://8.8.8.8/a b",
            "http://8.8.8.8/%2e%2e/x/../y",
            "http://8.8.8.8/\n",
        ),
        *("http://8.8.8.8:port/", "http://[::1", "file://host/etc/passwd"),
    ],
)
def test_addresses_that_nobody_may_name(address):
    with pytest.raises(ComposeError) as caught:
        check_address(address, None)
    assert caught.value.code == "compose.source"
    assert "\n" not in caught.value.detail


def test_public_addresses_may_be_named():
    assert check_address("http://8.8.8.8/repo/", None) == "http://8.8.8.8/repo/"


def test_what_is_allowed_is_allowed_by_its_beginning(tmp_path: Path):
    allowed = ("https://mirror.example/fedora", f"{tmp_path}/repos")
    (tmp_path / "repos/one").mkdir(parents=True)
    (tmp_path / "reposecret").mkdir()
    (tmp_path / "repos/link").symlink_to(tmp_path / "reposecret")
    for address in (
        "https://mirror.example/fedora/os/",
        f"{tmp_path}/repos/one",
        f"file://{tmp_path}/repos/one/",
    ):
        assert check_address(address, allowed)
    for address in (
        *(
            "https://mirror.example/fedora2/",
            "https://mirror.example.evil/fedora",
            "http://mirror.example/fedora",
        ),
        *(
            "https://mirror.example/",
            f"{tmp_path}/reposecret",
            f"{tmp_path}/repos/../reposecret",
            f"{tmp_path}/repos/link",
        ),
    ):
        with pytest.raises(ComposeError):
            check_address(address, allowed)
    assert check_address(f"{tmp_path}/reposecret", EVERYTHING)


class _Server(http.server.BaseHTTPRequestHandler):
    target = ""

    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()
        else:
            self.send_response(200 if self.path == "/file" else 503)
            self.end_headers()
            self.wfile.write(b"content")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_a_server_cannot_send_us_where_requests_may_not(server: str, tmp_path: Path):
    fetcher = Fetcher((f"{server}/redirect", f"{server}/file"), tmp_path)
    assert fetcher.read(f"{server}/file") == b"content"
    _Server.target = f"{server}/file"
    assert fetcher.read(f"{server}/redirect") == b"content"
    for target in (f"{server}/other", "file:///etc/passwd", "http://169.254.169.254/", "ftp://127.0.0.1/"):
        _Server.target = target
        with pytest.raises(ComposeError) as caught:
            fetcher.read(f"{server}/redirect")
        assert caught.value.code == "compose.source"


def test_what_is_kept_is_what_was_said(server: str, tmp_path: Path):
    fetcher = Fetcher(EVERYTHING, tmp_path / "cache")
    right = "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    path = fetcher.keep(f"{server}/file", right)
    assert path.read_bytes() == b"content"
    assert fetcher.keep(f"{server}/gone", right) == path
    with pytest.raises(ComposeError, match="not what the repository says"):
        fetcher.keep(f"{server}/file", "sha256:" + "0" * 64)
    assert {entry.name for entry in (tmp_path / "cache").iterdir()} == {path.name, ".lock"}


def test_small_files_are_small_and_trouble_may_pass(server: str, tmp_path: Path):
    fetcher = Fetcher(EVERYTHING, tmp_path)
    assert fetcher.start(f"{server}/file", 3) == b"con"
    with pytest.raises(ComposeError, match="more than 3 bytes"):
        fetcher.read(f"{server}/file", 3)
    with pytest.raises(ComposeError, match="503") as caught:
        fetcher.read(f"{server}/busy")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(("8.8.8.8", True), ("2001:4860:4860::8888", True), ("64:ff9b::808:808", True)),
        *(("::ffff:8.8.8.8", True), ("2002:808:808::1", True)),
        *(("127.0.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("192.0.0.1", False)),
        *(("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("240.0.0.1", False)),
        *(("::1", False), ("::", False), ("::127.0.0.1", False), ("::8.8.8.8", False), ("ff02::1", False)),
        *(("fe80::1", False), ("fd00:ec2::254", False), ("fec0::1", False), ("2001:db8::1", False)),
        *(("::ffff:169.254.169.254", False), ("2002:a9fe:a9fe::", False), ("64:ff9b::a9fe:a9fe", False)),
    ],
)
def test_what_is_public(address: str, public: bool):
    assert is_public(ipaddress.ip_address(address)) is public
