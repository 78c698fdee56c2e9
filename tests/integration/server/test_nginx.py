"""The configurations of nginx that we give, with the real nginx: only addresses and paths are other ones."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from osbuild_core.server import tokens
from osbuild_core.server.database import Database
from tests.docs.pages import blocks_of
from tests.emulator import nginx
from tests.emulator.rabbitmq import free_ports
from tests.integration.server.running import (
    DEFAULTS,
    ROOT,
    Service,
    address,
    ended,
    merged,
    settings_file,
    started,
    until,
)
from tests.integration.server.stages import library

pytestmark = pytest.mark.root
LIMIT = 4 << 20
SLEEPER = {
    "version": "2",
    "pipelines": [{"name": "p", "runner": "org.osbuild.linux", "stages": [{"type": "org.osbuild.sleeper"}]}],
}


@dataclass
class Proxied:
    """Two servers and a worker behind nginx. ``root`` is by the example, ``prefixed`` by that of the page."""

    root: Service
    prefixed: Service
    directory: Path
    processes: list[subprocess.Popen[str]]

    def as_who(self, name: str, **headers: str) -> dict[str, Any]:
        """Return what ``Service.call`` takes to come with the client certificate of ``name``, and no token."""
        files = (str(self.directory / f"{name}.crt"), str(self.directory / f"{name}.key"))
        return {"cert": files, "headers": {"Authorization": None, **headers}}

    def log(self) -> list[dict[str, Any]]:
        lines = (self.directory / "server.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """Return a configuration with other addresses and paths. Each has to be in it."""
    for known, new in changes.items():
        assert known in text, known
        text = text.replace(known, new)
    return text


def certificate(directory: Path, name: str, *signed: str, subject: str | None = None) -> None:
    """Make a key and a certificate for ``subject``; without more options it signs itself."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    files = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject or f"/O=Example/CN={name}"]
    subprocess.run([*command, *files, *signed], cwd=directory, check=True, capture_output=True)


def prepared(database: str) -> str:
    """Prepare a database; return a token for the builder."""

    async def run() -> str:
        opened = Database(database)
        try:
            await opened.prepare(migrate=True)
            return await tokens.create(opened, "builder", [], days=1, read_only=False)
        finally:
            await opened.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def proxied(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    try:
        nginx.program()
    except nginx.UnavailableError as error:
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("nginx")
    certificate(directory, "composes", "-addext", "subjectAltName=IP:127.0.0.1")
    certificate(directory, "clients-ca")
    by_ca = ("-CA", "clients-ca.crt", "-CAkey", "clients-ca.key", "-addext", "basicConstraints=CA:FALSE")
    certificate(directory, "builder", *by_ca)
    # A name that could pass for another one's where commas are not escaped.
    certificate(directory, "comma", *by_ca, subject="/O=x,CN=builder/CN=comma")
    certificate(directory, "stranger", subject="/CN=builder")
    settings = {
        "database": postgres,
        "data": str(directory / "data"),
        "library": str(library(directory)),
        "authentication": ["certificate", "token"],
        "proxies": ["127.0.0.1"],
        "certificate": {"trusted_proxies": ["127.0.0.1"]},
        "access": {"clients": {"users": {"builder": {}, "comma": {}}}, "builders": {"users": ["builder"]}},
        "log_format": "json",
    }
    settings_file(directory, merged(DEFAULTS, settings))
    token = prepared(postgres)
    processes = [started(directory, "--port", "0", "--no-worker") for _ in range(2)]
    processes.append(started(directory, command="worker"))
    try:
        servers = [address(process, directory) for process in processes[:2]]
        ports = free_ports(2)
        changes = [
            {
                "10.0.0.11:8080": servers[0].removeprefix("http://"),
                "10.0.0.12:8080": servers[1].removeprefix("http://"),
                "443 ssl": f"127.0.0.1:{port} ssl",
                "/etc/nginx/": f"{directory}/",
            }
            for port in ports
        ]
        changes[0]["/var/lib/osbuild-core/composes/"] = f"{directory}/data/composes/"
        (block,) = [
            block
            for block in blocks_of(ROOT / "docs" / "service.md")
            if block.markers.get("file") == "nginx.conf"
        ]
        texts = [(ROOT / "examples" / "service" / "nginx.conf").read_text(), block.text]
        sites = [adapted(text, change) for text, change in zip(texts, changes, strict=True)]
        with nginx.running(directory / "nginx", sites, ports):
            found = []
            for port, path in zip(ports, ("", "/osbuild"), strict=True):
                made = Service(f"https://127.0.0.1:{port}{path}", directory / "data", processes[0])
                made.session.verify = str(directory / "composes.crt")
                # A bundle that the environment names would come before it.
                made.session.trust_env = False
                made.session.headers["Authorization"] = f"Bearer {token}"
                found.append(made)
            yield Proxied(*found, directory, processes)
    finally:
        for process in processes:
            ended(process)


def ask(proxied: Proxied, what: str, **more: Any) -> dict[str, Any]:
    """Ask for a compose with the client certificate of the builder, and wait for it."""
    body = {"source": {"type": "repo", "source": f"http://packages.test/{what}"}, **more}
    reply = proxied.root.post("/api/1/composes/", body, **proxied.as_who("builder"))
    assert reply.status_code == 200, reply.text
    assert reply.json()["owner"] == "builder"
    return proxied.root.wait(reply.json()["id"], "done")


def test_composes_come_through_both(proxied: Proxied) -> None:
    made = [ask(proxied, "one", label="nginx"), ask(proxied, "two", label="nginx")]
    prefixed = proxied.prefixed.create("three", label="nginx")
    proxied.prefixed.wait(prefixed["id"], "done")
    for service in (proxied.root, proxied.prefixed):
        claimed = {"X-Forwarded-Host": "evil.example.org", "X-Forwarded-Prefix": "/evil"}
        listed = service.get("/api/1/composes/?label=nginx&per_page=1", headers=claimed).json()
        assert listed["meta"]["total"] == 3
        # Addresses in answers lead to where the client came from, whatever it claims.
        assert listed["meta"]["next"].startswith(f"{service.url}/api/1/composes/?")
        second = service.session.get(listed["meta"]["next"]).json()
        assert [item["id"] for item in second["items"]] == [made[1]["id"]]
        page = service.get("/")
        assert "<h1>Builds and composes</h1>" in page.text
        links = set(re.findall(r'(?:href|src)="(/[^"]*)"', page.text))
        base = service.url.removesuffix("/osbuild")
        assert len(links) > 3
        assert {link: service.session.get(base + link).status_code for link in links} == dict.fromkeys(
            links, 200
        )


def test_a_file_by_range(proxied: Proxied) -> None:
    made = ask(proxied, "ranged")
    name = made["result_repofile"].removeprefix(proxied.root.url)
    text = proxied.prefixed.get(name).text
    assert text.startswith(f"[odcs-{made['id']}]")
    for service in (proxied.root, proxied.prefixed):
        part = service.get(name, headers={"Range": "bytes=1-4"})
        assert (part.status_code, part.text) == (206, "odcs")
        assert part.headers["Content-Range"] == f"bytes 1-4/{len(text)}"
        assert part.headers["Content-Type"].startswith("text/plain")
        assert part.headers["X-Content-Type-Options"] == "nosniff"
        assert part.headers["Content-Security-Policy"] == "sandbox"
        assert service.get(name, headers={"Range": f"bytes={len(text)}-"}).status_code == 416
        assert (
            service.get(name, headers={"If-None-Match": service.get(name).headers["ETag"]}).status_code == 304
        )


def test_nothing_else_is_served(proxied: Proxied) -> None:
    made = ask(proxied, "secret")
    top = f"{made['result_repo']}/".removeprefix(proxied.root.url)
    for service in (proxied.root, proxied.prefixed):
        assert service.get(f"{top}i686/there").text == "there\n"
        for path in ("passwd", "up/passwd", "", "..%2f..%2f..%2f..%2f..%2fserver.log"):
            assert service.get(top + path).status_code in (400, 403, 404), path


def test_events_are_not_held_back(proxied: Proxied) -> None:
    for service, who in ((proxied.root, proxied.as_who("builder")), (proxied.prefixed, {})):
        reply = service.post("/builds", {"manifest": SLEEPER}, **who)
        assert reply.status_code == 202, reply.text
        build = f"/builds/{reply.json()['id']}"
        assert service.url.endswith(reply.headers["Location"].removesuffix(build))
        begun = time.monotonic()
        with service.get(f"{build}/events", stream=True, **who) as events:
            # The stage sleeps for two minutes after this line.
            lines = events.iter_lines(1)
            assert any(b"asleep" in line for line in lines)
            assert time.monotonic() - begun < 30
            assert service.delete(build, **who).status_code == 202
            assert any(line == b"event: end" for line in lines)


def test_who_it_is_says_the_proxy_only(proxied: Proxied) -> None:
    claimed = {"X-SSL-Client-S-DN": "CN=builder", "X-SSL-Client-Verify": "SUCCESS"}
    for service in (proxied.root, proxied.prefixed):
        assert service.get("/builds", headers={**claimed, "Authorization": None}).status_code == 401
    assert proxied.root.get("/builds", **proxied.as_who("builder")).status_code == 200
    # Who signs for himself does not come in, and who has another name has that.
    stranger = proxied.root.get("/builds", **proxied.as_who("stranger", **claimed))
    assert (stranger.status_code, stranger.headers["Server"].partition("/")[0]) == (400, "nginx")
    body = {"source": {"type": "repo", "source": "http://packages.test/comma"}}
    asked = proxied.root.post("/api/1/composes/", body, **proxied.as_who("comma", **claimed))
    assert (asked.status_code, asked.json().get("owner")) == (200, "comma")


class Elsewhere(HTTPAdapter):
    """Connects from an address that is no proxy's."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=("127.0.0.5", 0))


def test_the_log_names_the_client(proxied: Proxied) -> None:
    def clients() -> list[str]:
        return [line["client"] for line in proxied.log() if line.get("path", "").endswith("/health")]

    for number, service in enumerate((proxied.root, proxied.prefixed), start=1):
        with requests.Session() as session:
            session.mount("https://", Elsewhere())
            session.trust_env, session.verify = False, service.session.verify
            session.get(f"{service.url}/health", headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60)
        # A line is written when its answer is under way.
        assert until(clients, lambda found, number=number: len(found) == number)[-1] == "127.0.0.5"


def test_bodies_have_a_limit(proxied: Proxied) -> None:
    def sent(service: Service, size: int) -> requests.Response:
        body = json.dumps({"manifest": {"version": "2", "pipelines": []}}).encode().ljust(size)
        return service.call("POST", "/builds", data=body, headers={"Content-Type": "application/json"})

    for service in (proxied.root, proxied.prefixed):
        # What the service takes comes through, and no more.
        assert sent(service, LIMIT).status_code == 202
        assert sent(service, LIMIT + 1).status_code == 413


def test_a_server_that_is_killed_is_not_missed(proxied: Proxied) -> None:
    proxied.processes[0].kill()
    proxied.processes[0].wait()
    for service in (proxied.root, proxied.prefixed):
        assert {service.get("/ready").status_code for _ in range(4)} == {200}
        ids = [service.create(f"alone-{number}")["id"] for number in range(4)]
        assert len(set(ids)) == 4
