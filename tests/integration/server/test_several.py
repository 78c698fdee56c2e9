"""Several servers behind a proxy: whichever answers, the answer is the same, and its addresses lead to the proxy."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from osbuild_core.model.errors import UsageError
from osbuild_core.server.proxy import CLIENT, Forwarded
from osbuild_core.server.settings_file import load_settings
from tests.integration.server.reverse_proxy import PREFIX, proxy
from tests.integration.server.running import (
    DEFAULTS,
    PROGRAM,
    Form,
    Service,
    address,
    ended,
    merged,
    settings_file,
    started,
)

pytestmark = pytest.mark.xdist_group("rabbitmq")


@dataclass
class Several:
    """Two servers and a worker behind a proxy; ``served`` is what clients see."""

    served: Service
    directory: Path
    processes: list[subprocess.Popen[str]]

    def log(self) -> list[dict[str, Any]]:
        lines = (self.directory / "server.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture(scope="module")
def several(form: Form, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    directory = tmp_path_factory.mktemp("several")
    settings = {
        **form.settings,
        "data": str(directory / "data"),
        "authentication": ["token"],
        "access": {"admins": {"users": ["alice"]}},
        "proxies": ["127.0.0.0/8"],
        "log_format": "json",
    }
    settings_file(directory, merged(DEFAULTS, settings))
    more = {"environment": form.environment}
    command = [str(PROGRAM), "serve", "--config", str(directory / "server.toml")]
    subprocess.run([*command, "migrate"], check=True, capture_output=True)
    token = subprocess.run([*command, "token", "alice"], check=True, capture_output=True, text=True).stdout
    processes = [started(directory, "--port", "0", "--no-worker", **more) for _ in range(2)]
    processes.append(started(directory, command="worker", **more))
    try:
        servers = [address(process, directory) for process in processes[:2]]
        with proxy(servers) as url:
            served = Service(url, directory / "data", processes[0], form=form)
            served.session.headers["Authorization"] = f"Bearer {token.strip()}"
            yield Several(served, directory, processes)
    finally:
        for process in processes:
            ended(process)


def test_whichever_server_answers(several: Several) -> None:
    served = several.served
    by = set()
    ids = [served.create(f"several-{number}", label="several")["id"] for number in range(4)]
    for number, id in enumerate(ids):
        assert served.wait(id)["state_name"] == "done"
        for _ in range(2):
            reply = served.get("/api/1/composes/?label=several&per_page=1")
            by.add(reply.headers["X-Served-By"])
            assert reply.json()["meta"]["total"] == 4, number
    assert len(by) == 2
    # What one has taken in the other one cancels, and both tell the same of it.
    id = served.create("slow-30")["id"]
    served.delete(f"/api/1/composes/{id}")
    assert {served.compose(id)["state_reason"] for _ in range(4)} == {"Canceled by alice"}


def test_addresses_lead_to_the_proxy(several: Several) -> None:
    served = several.served
    ids = [served.create(f"led-{number}", label="led")["id"] for number in range(2)]
    done = [served.wait(id) for id in ids]
    assert done[0]["toplevel_url"] == f"{served.url}/composes/odcs-{ids[0]}"
    assert served.session.get(done[0]["result_repofile"]).text.startswith(f"[odcs-{ids[0]}]")
    meta = served.get("/api/1/composes/?label=led&per_page=1").json()["meta"]
    following = served.session.get(meta["next"]).json()
    assert [item["id"] for item in following["items"]] == [ids[0]]
    # Not asked for by way of the proxy, but with its prefix.
    assert served.get(f"{PREFIX}/health").json() == {"status": "ok"}


def test_the_log_names_the_client(several: Several) -> None:
    several.served.get("/health", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
    seen = [line for line in several.log() if line.get("path") == "/health"]
    assert seen[-1]["client"] == "198.51.100.7", seen[-1]


def test_one_that_is_killed_is_not_missed(several: Several) -> None:
    several.processes[0].kill()
    several.processes[0].wait()
    served = several.served
    assert served.wait(served.create("alone")["id"])["state_name"] == "done"
    assert {served.get("/ready").status_code for _ in range(3)} == {200}


def seen_by_the_application(peer: str, headers: dict[str, str], root: str = "") -> dict[str, Any]:
    """Return the scope that the application gets for a request with these headers."""
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    networks = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")]
    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1234),
        "headers": [(b"host", b"inside"), *((k.encode(), v.encode()) for k, v in headers.items())],
    }
    anyio.run(Forwarded(application, networks, root), scope, None, None)
    return dict(scopes[0])


SAID = {
    "x-forwarded-proto": "https",
    "x-forwarded-host": "outside.example.org",
    "x-forwarded-prefix": "/osbuild/",
    "x-forwarded-for": "203.0.113.9, 192.0.2.77",
}


@pytest.mark.parametrize("peer", ["192.0.2.5", "2001:db8::1"])
def test_what_a_proxy_says_counts(peer: str) -> None:
    scope = seen_by_the_application(peer, SAID)
    assert (scope["scheme"], scope["root_path"]) == ("https", "/osbuild")
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"outside.example.org"]
    # Over a second proxy that is one of ours; who holds the connection stays the same.
    assert scope[CLIENT] == "203.0.113.9"
    assert scope["client"] == (peer, 1234)


@pytest.mark.parametrize("peer", ["198.51.100.1", "", "unix:", "::ffff:198.51.100.1"])
def test_what_others_say_does_not(peer: str) -> None:
    scope = seen_by_the_application(peer, SAID, root="/fixed")
    assert (scope["scheme"], scope["root_path"]) == ("http", "/fixed")
    assert (b"host", b"inside") in scope["headers"]
    assert scope[CLIENT] == peer


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "evil.example.org/path", "x-forwarded-proto": "javascript"},
        {"x-forwarded-host": "a b", "x-forwarded-prefix": "//evil.example.org"},
        {"x-forwarded-host": "", "x-forwarded-prefix": "/../x\r\n"},
        {"x-forwarded-for": "not an address"},
    ],
)
def test_what_makes_no_sense_does_not_count_either(headers: dict[str, str]) -> None:
    scope = seen_by_the_application("192.0.2.5", headers)
    assert scope["scheme"] == "http"
    assert "root_path" not in scope
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"inside"]
    assert scope[CLIENT] == "192.0.2.5"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"proxies": ["127.0.0.1"]}, "needs authentication"),
        ({"root_path": "osbuild"}, "begin with a slash"),
        ({"storage": {"bucket": "b", "prefix": "composes"}}, "end with a slash"),
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_settings(None, given)
    assert complaint in refused.value.detail
