"""Who may do what: tokens, OpenID Connect, certificates, roles, owners, allow-lists; and what hostile senders try."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pwd
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from osbuild_core.exports.compose.client import ODCS, AuthMech
from osbuild_core.server import tokens
from osbuild_core.server.database import Database
from tests.emulator import issuer as issuers
from tests.integration.server.running import (
    PROGRAM,
    ROOT,
    Service,
    merged,
    service,
    settings_file,
)

ACCESS = {
    "admins": {"groups": ["admins"]},
    "clients": {
        "users": {
            "alice": {},
            "limited": {"source_types": ["tag"], "arches": ["x86_64"], "flags": []},
            "cert": {},
        },
        "groups": {"qa": {"source_types": ["repo"], "sources": ["http://packages.test/qa"]}},
    },
    "readers": {"users": ["reader"]},
    "builders": {"users": ["builder"]},
}
PREFIX = "https://pagure.io/odcs/"


@dataclass
class Guarded:
    service: Service
    issuer: issuers.Issuer
    tokens: dict[str, str]

    def call(self, method: str, path: str, token: str | None, document: Any = None, **headers: str) -> Any:
        if token is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        return requests.request(method, self.service.url + path, json=document, headers=headers, timeout=30)

    def ask(
        self, token: str | None, source: str = "http://packages.test/x", type: str = "repo", **more: Any
    ) -> Any:
        body = {"source": {"type": type, "source": source}, **more}
        return self.call("POST", "/api/1/composes/", token, body)

    def total(self) -> int:
        return int(self.service.get("/api/1/composes/?per_page=1").json()["meta"]["total"])


def make_tokens(data: Path, wanted: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Make tokens: name → user, groups, days, read_only."""

    async def run() -> dict[str, str]:
        database = Database(f"sqlite:///{data}/server.sqlite")
        try:
            return {
                name: await tokens.create(
                    database,
                    one.get("user", name),
                    one.get("groups", []),
                    days=one.get("days"),
                    read_only=one.get("read_only", False),
                )
                for name, one in wanted.items()
            }
        finally:
            await database.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    with issuers.running() as issuer:
        settings: dict[str, Any] = {
            "authentication": ["token", "oidc", "certificate"],
            "oidc": [{"issuer": issuer.url, "audience": "osbuild-core", "scope_prefix": PREFIX}],
            "certificate": {"trusted_proxies": ["127.0.0.2/32"]},
            "access": ACCESS,
            "limits": {"request_bytes": 100_000},
        }
        with service(directory, settings, "--no-worker") as running:
            wanted: dict[str, dict[str, Any]] = {
                "admin": {"user": "root", "groups": ["admins"]},
                "alice": {},
                "limited": {},
                "qa": {"user": "bob", "groups": ["qa"]},
                "nobody": {"user": "mallory"},
                "reader": {},
                "read-only": {"user": "alice", "read_only": True},
                "expired": {"user": "alice", "days": 0.000001},
            }
            yield Guarded(running, issuer, make_tokens(running.data, wanted))


def test_tokens_are_made_listed_and_revoked(guarded: Guarded) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        command = [
            str(PROGRAM),
            "serve",
            "--config",
            str(guarded.service.data.parent / "server.toml"),
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == status, done.stderr
        return done.stdout

    token = run("token", "alice", "--group", "qa", "--days", "30").strip()
    assert guarded.ask(token).status_code == 200
    id = token.split("_")[1]
    assert f"{id}  alice  qa  read-write  20" in run("tokens")
    assert id not in run("tokens", "--revoke", id)
    assert guarded.ask(token).status_code == 401
    run("tokens", "--revoke", id, status=1)


def test_only_hashes_of_tokens_are_kept(guarded: Guarded) -> None:
    for path in guarded.service.data.glob("server.sqlite*"):
        assert path.stat().st_mode & 0o077 == 0, path
    content = b"".join(path.read_bytes() for path in guarded.service.data.glob("server.sqlite*"))
    for token in guarded.tokens.values():
        secret = token.rpartition("_")[2]
        assert re.fullmatch(r"obc_[0-9a-f]{12}_.{43}", token)
        assert token.encode() not in content
        assert token[17:].encode() not in content, secret


def test_roles_and_owners(guarded: Guarded) -> None:
    mine = guarded.ask("alice").json()
    assert mine["owner"] == "alice"
    path = f"/api/1/composes/{mine['id']}"
    assert guarded.call("GET", path, None).status_code == 200, "reading is for everyone here"
    before = guarded.call("GET", path, None).json()
    for token, status in (("qa", 403), ("nobody", 403), ("reader", 403), ("read-only", 403), (None, 401)):
        reply = guarded.call("DELETE", path, token)
        assert (reply.status_code, reply.json()["status"]) == (status, status), token
    assert guarded.call("GET", path, None).json() == before
    assert guarded.call("DELETE", path, "admin").status_code == 202
    assert guarded.call("GET", path, None).json()["state_reason"] == "Canceled by root"
    own = guarded.ask("alice").json()["id"]
    assert guarded.call("DELETE", f"/api/1/composes/{own}", "alice").status_code == 202
    assert guarded.call("PATCH", f"/api/1/composes/{own}", "nobody").status_code == 403
    assert guarded.call("PATCH", f"/api/1/composes/{own}", "qa").status_code == 403, (
        "its source is not theirs"
    )
    assert guarded.call("PATCH", f"/api/1/composes/{own}", "alice").status_code == 200


@pytest.mark.parametrize(
    ("token", "request_", "status"),
    [
        ("limited", {"type": "tag", "source": "f32"}, 200),
        ("limited", {"type": "repo"}, 403),
        ("limited", {"type": "tag", "source": "f32", "arches": ["s390x"]}, 403),
        ("limited", {"type": "tag", "source": "f32", "multilib_arches": ["i686"]}, 403),
        ("limited", {"type": "tag", "source": "f32", "flags": ["no_deps"]}, 403),
        ("qa", {"source": "http://packages.test/qa"}, 200),
        ("qa", {"source": "http://packages.test/qa http://packages.test/other"}, 403),
        ("qa", {"source": "http://packages.test/qa/../other"}, 400),
        ("nobody", {}, 403),
        ("reader", {}, 403),
        ("read-only", {}, 403),
        ("expired", {}, 401),
        (None, {}, 401),
    ],
)
def test_allow_lists(guarded: Guarded, token: str | None, request_: dict[str, Any], status: int) -> None:
    before = guarded.total()
    reply = guarded.ask(token, **request_)
    assert reply.status_code == status, reply.text
    assert guarded.total() == before + (status == 200)


def test_tokens_of_a_provider(guarded: Guarded) -> None:
    scope = f"openid {PREFIX}new-compose"
    reply = guarded.ask(guarded.issuer.token(scope=scope))
    assert (reply.status_code, reply.json().get("owner")) == (200, "alice")
    path = f"/api/1/composes/{reply.json()['id']}"
    assert guarded.call("DELETE", path, guarded.issuer.token(scope=scope)).status_code == 403, "another scope"
    admin = guarded.issuer.token(
        preferred_username="boss", groups=["admins"], scope=f"{PREFIX}delete-compose"
    )
    assert guarded.call("DELETE", path, admin).status_code == 202
    assert guarded.ask(guarded.issuer.token(aud=["other", "osbuild-core"], scope=scope)).status_code == 200
    assert guarded.ask(guarded.issuer.token(kid=None, scope=scope)).status_code == 200
    odcs = ODCS(
        guarded.service.url,
        auth_mech=AuthMech.OpenIDC,
        openidc_token=lambda: guarded.issuer.token(scope=scope),
    )
    assert odcs.new_compose("f32", "tag")["owner"] == "alice"


def without_signature(issuer: issuers.Issuer, algorithm: str) -> str:
    parts = [{"alg": algorithm, "kid": "first"}, issuer.claims(scope=f"{PREFIX}new-compose")]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


def hostile_tokens(issuer: issuers.Issuer) -> dict[str, str]:
    scope = f"{PREFIX}new-compose"
    now = int(time.time())
    good = issuer.token(scope=scope)
    header, _, signature = good.split(".")
    changed = base64.urlsafe_b64encode(json.dumps(issuer.claims(groups=["admins"], scope=scope)).encode())
    return {
        "expired": issuer.token(scope=scope, exp=now - 3600),
        "without expiry": issuer.token(scope=scope, exp=None),
        "not yet": issuer.token(scope=scope, nbf=now + 3600),
        "another audience": issuer.token(scope=scope, aud="other"),
        "no audience": issuer.token(scope=scope, aud=None),
        "another issuer": issuer.token(scope=scope, iss="https://evil.test"),
        "another key": issuer.token(scope=scope, key=issuer.other),
        "a key that is not known": issuer.token(scope=scope, key=issuer.later, kid="nope", algorithm="ES256"),
        "no signature": without_signature(issuer, "none"),
        "None signature": without_signature(issuer, "None"),
        "public key as secret": issuer.forged_with_public_key(),
        "changed": f"{header}.{changed.decode().rstrip('=')}.{signature}",
        "cut": good[:-20],
        "user of no kind": issuer.token(scope=scope, preferred_username=["alice"]),
        "user with a line feed": issuer.token(scope=scope, preferred_username="alice\nroot"),
        "two parts": ".".join(good.split(".")[:2]),
        "no JSON": "aaa.bbb.ccc",
        "claims that are a list": "e30.W10.eA",
        "empty": "",
        "long": "x" * 50_000,
        "static, wrong secret": "obc_000000000000_" + "A" * 43,
        "static, malformed": "obc_'; DROP TABLE composes; --",
    }


def test_tokens_that_do_not_count(guarded: Guarded) -> None:
    before = guarded.total()
    for name, token in hostile_tokens(guarded.issuer).items():
        reply = guarded.ask(token)
        # A header that long is too long for HTTP already.
        assert reply.status_code == 401 or (name == "long" and reply.status_code in (400, 401, 431)), name
        if reply.status_code == 401:
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert token[:40] not in reply.text or not token
    stolen = guarded.tokens["alice"][:17] + guarded.tokens["nobody"][17:]
    assert guarded.ask(stolen).status_code == 401
    assert guarded.call("GET", "/api/1/composes/", None, Authorization="Basic YTpi").status_code == 401
    assert guarded.total() == before
    log = (guarded.service.data.parent / "server.log").read_text()
    assert "Traceback" not in log
    for token in (*guarded.tokens.values(), guarded.issuer.token()):
        assert token[-30:] not in log


def test_keys_that_a_provider_adds_later(guarded: Guarded, tmp_path: Path) -> None:
    with issuers.running() as issuer:
        settings = {
            "authentication": ["oidc"],
            "oidc": [{"issuer": issuer.url, "audience": "osbuild-core", "keys_seconds": 0.0}],
            "access": ACCESS,
        }
        issuer.broken = True
        with service(tmp_path, settings, "--no-worker") as running:
            other = Guarded(running, issuer, {})
            assert other.ask(issuer.token()).status_code == 503
            issuer.broken = False
            assert other.ask(issuer.token()).status_code == 200
            issuer.published.append(issuer.later)
            # A group is a name, a string of several words too.
            words = issuer.token(preferred_username="x", groups="no admins")
            assert other.ask(words).status_code == 403
            assert other.ask(issuer.token(preferred_username="x", groups="admins")).status_code == 200
            token = issuer.token(key=issuer.later, kid="later", algorithm="ES256")
            assert other.ask(token).status_code == 200
            # Static tokens are not asked for here.
            assert other.ask(guarded.tokens["alice"]).status_code == 401


def test_a_provider_that_is_away_is_not_waited_for_each_time(tmp_path: Path) -> None:
    with issuers.running() as issuer:
        settings = {
            "authentication": ["oidc"],
            "oidc": [{"issuer": issuer.url, "audience": "osbuild-core", "keys_seconds": 2}],
            "access": ACCESS,
        }
        with service(tmp_path, settings, "--no-worker") as running:
            other = Guarded(running, issuer, {})
            assert other.ask(issuer.token()).status_code == 200
            issuer.broken = True
            time.sleep(2.1)
            asked = len(issuer.asked)
            for _ in range(5):
                assert other.ask(issuer.token()).status_code == 200, "its keys are there"
            assert len(issuer.asked) == asked + 1


def test_certificates_count_from_the_proxy_only(guarded: Guarded) -> None:
    headers = {"X-SSL-Client-S-DN": "CN=cert,O=Example", "X-SSL-Client-Verify": "SUCCESS"}
    assert guarded.call("POST", "/api/1/composes/", None, {}, **headers).status_code == 401
    body = {"source": {"type": "repo", "source": "http://packages.test/x"}}

    def through_proxy(twice: tuple[str, str] | None = None, **changes: str) -> int:
        import http.client

        where = guarded.service.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(where[0], int(where[1]), source_address=("127.0.0.2", 0))
        sent = {**headers, "Content-Type": "application/json", **changes}
        data = json.dumps(body).encode()
        connection.putrequest("POST", "/api/1/composes/")
        for name, value in (*sent.items(), *([twice] if twice else []), ("Content-Length", str(len(data)))):
            connection.putheader(name, value)
        connection.endheaders(data)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert through_proxy() == 200
    assert through_proxy(**{"X-SSL-Client-Verify": "FAILED"}) == 401
    assert through_proxy(**{"X-SSL-Client-S-DN": "CN=nobody"}) == 403
    for subject in (
        *("O=x", "CN=cert,CN=alice", r"O=x\,CN=cert", "CN=", "CN=" + "a" * 500, 'O="x,CN=cert,y"'),
        # What an older form has.
        "/O=x/CN=cert",
    ):
        assert through_proxy(**{"X-SSL-Client-S-DN": subject}) == 401, subject
    # A proxy that adds its own behind what the client has sent.
    for name, value in (("X-SSL-Client-S-DN", "CN=alice"), ("X-SSL-Client-Verify", "FAILED")):
        assert through_proxy(twice=(name, value)) == 401, name


ADDRESSES = [
    "file:///etc/passwd",
    "/etc",
    "http://127.0.0.1/repo",
    "http://127.1/repo",
    "http://2130706433/repo",
    "http://0x7f.0.0.1/repo",
    "http://0/repo",
    "http://[::1]/repo",
    "http://[::ffff:127.0.0.1]/repo",
    "http://[fe80::1]/repo",
    "http://localhost/repo",
    "http://localhost./repo",
    "http://service.localhost/repo",
    "http://169.254.169.254/latest/meta-data",
    "http://10.0.0.1/repo",
    "http://192.168.1.1/repo",
    "http://172.16.0.1/repo",
    "http://100.64.0.1/repo",
    "http://metadata.google.internal/",
    "http://printer.local/",
    "ftp://packages.test/repo",
    "gopher://packages.test/repo",
    "http://",
    "http:///repo",
    "packages.test/repo",
    "--upload-pack=touch",
    "ext::sh",
    "http://packages.test/a/../b",
    "http://packages.test/%2e%2e/b",
    "http://packages.test:99999/repo",
    "http://user:secret@packages.test/repo",
    "http://packages.test\\@127.0.0.1/",
    "http://packages.test/\r\nHost: evil",
    "deb http://127.0.0.1/debian bookworm main",
    "deb file:///etc bookworm main",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_that_no_worker_may_go_to(guarded: Guarded, address: str) -> None:
    before = guarded.total()
    assert guarded.ask("alice", address).status_code == 400
    assert guarded.ask("alice", lookaside_repos=[address]).status_code == 400
    assert guarded.total() == before


@pytest.mark.parametrize(
    "more",
    [
        {"target_dir": "../../etc"},
        {"target_dir": "/etc"},
        {"compose_type": "../../etc"},
        {"compose_type": ".."},
        {"label": "x" * 200_000},
        {"label": "a\nb"},
        {"label": "$(reboot)"},
        {"arches": ["x86_64/../.."]},
        {"arches": ["-o"]},
        {"results": ["../iso"]},
        {"seconds_to_live": -1},
        {"seconds_to_live": 1 << 70},
        {"seconds_to_live": True},
        {"respin_of": {"$ne": 1}},
        {"parent_pungi_compose_ids": [[]]},
    ],
)
def test_values_that_would_be_names_or_commands(guarded: Guarded, more: dict[str, Any]) -> None:
    before = guarded.total()
    assert guarded.ask("alice", **more).status_code in (400, 413)
    assert guarded.total() == before


@pytest.mark.parametrize(
    "source",
    [
        "nightly#--upload-pack=x",
        "nightly#-x",
        "nightly#../x",
        "../nightly#abc",
        "nightly#abc#def",
        "nightly#a b",
    ],
)
def test_git_is_not_tricked(guarded: Guarded, source: str) -> None:
    before = guarded.total()
    assert guarded.ask("alice", source, type="raw_config").status_code == 400
    assert guarded.total() == before


def test_bodies_that_are_too_large(guarded: Guarded) -> None:
    before = guarded.total()
    large = {"source": {"type": "tag", "source": "f32"}, "label": "x" * 200_000}
    assert guarded.call("POST", "/api/1/composes/", "alice", large).status_code == 413
    headers = {"Authorization": f"Bearer {guarded.tokens['alice']}", "Content-Type": "application/json"}

    def endless() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000

    address = guarded.service.url + "/api/1/composes/"
    assert requests.post(address, data=endless(), headers=headers, timeout=30).status_code == 413
    assert guarded.total() == before


def test_a_service_that_is_not_open_for_reading(tmp_path: Path) -> None:
    settings = {"authentication": ["token"], "access": {**ACCESS, "public_read": False}}
    with service(tmp_path, settings, "--no-worker") as running:
        made = make_tokens(running.data, {"reader": {}, "stranger": {}, "alice": {}})
        closed = Guarded(running, None, made)  # type: ignore[arg-type]
        for path in ("/api/1/composes/", "/api/1/about", "/api/1/metrics/", "/composes/odcs-1/COMPOSE_ID"):
            assert closed.call("GET", path, None).status_code == 401
            assert closed.call("GET", path, "stranger").status_code == 403
            assert closed.call("GET", path, "reader").status_code in (200, 404)
            assert closed.call("GET", path, "alice").status_code in (200, 404)
        assert closed.call("GET", "/health", None).status_code == 200


def test_an_address_for_everyone_takes_authentication(tmp_path: Path) -> None:
    settings_file(tmp_path, {"data": str(tmp_path / "data")})
    command = [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml"), "--port", "0", "--host"]
    for host in ("0.0.0.0", "::"):
        done = subprocess.run([*command, host], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "without authentication" in done.stderr
        assert "Traceback" not in done.stderr


def test_without_authentication_it_serves_its_own_user(running: Service) -> None:
    body = {"source": {"type": "repo", "source": "http://packages.test/own"}}
    wrong = running.post("/api/1/composes/", body, headers={"Host": "evil.test"})
    assert wrong.status_code == 403
    assert running.get("/api/1/composes/", headers={"Host": "evil.test"}).status_code == 403
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    other = pwd.getpwnam("nobody")
    command = [
        *("setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups"),
        *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json"),
    ]
    address = running.url + "/api/1/composes/"
    before = running.get("/api/1/composes/?per_page=1").json()["meta"]["total"]
    sent = subprocess.run(
        [*command, "-d", json.dumps(body), address], capture_output=True, text=True, cwd="/"
    )
    assert sent.stdout == "403"
    read = subprocess.run([*command, address], capture_output=True, text=True, cwd="/")
    assert read.stdout == "200"
    # What builds make may have in it what others of the machine must not read.
    for path in (
        "/builds",
        "/builds/1",
        "/builds/1/files/tree/etc/shadow",
        "/builds/1/log",
        "/builds/1/events",
    ):
        read = subprocess.run([*command, running.url + path], capture_output=True, text=True, cwd="/")
        assert read.stdout == "403", path
    assert running.get("/api/1/composes/?per_page=1").json()["meta"]["total"] == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"authentication": ["oidc"]}, "issuer"),
        ({"authentication": ["certificate"]}, "trusted_proxies"),
        ({"authentication": ["kerberos"]}, "authentication"),
        ({"oidc": [{"issuer": "http://example.org", "audience": "x"}]}, "https"),
        ({"nonsense": 1}, "nonsense"),
        ({"port": 99999}, "port"),
        ({"database": "mysql://user:secret@host/db"}, "not supported"),
        ({"database": "secret"}, "no address"),
        ({"access": {"clients": {"users": {"x": {"colour": ["red"]}}}}}, "colour"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    settings_file(tmp_path, merged({"data": str(tmp_path / "data")}, settings))
    done = subprocess.run(
        [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml"), "--port", "0"]
        if "port" not in settings
        else [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_what_is_being_sent_ends_with_the_right_to_it(tmp_path: Path) -> None:
    """Who followed hears why; who reads a log or a file is cut off, and cannot take it for the whole."""
    settings = {"authentication": ["token"], "access": {**ACCESS, "public_read": False}}
    with service(tmp_path, settings, "--no-worker") as running:
        days = 2 / 86400
        admins = {"user": "root", "groups": ["admins"]}
        wanted: dict[str, dict[str, Any]] = {
            **{"builder": {}, "expiring": {"user": "builder", "days": days}, "revoked": {"user": "builder"}},
            **{"admin": admins, "reader": {}},
        }
        made = make_tokens(running.data, wanted)
        opened = contextlib.ExitStack()

        def begin(path: str, who: str) -> requests.Response:
            headers = {"Authorization": f"Bearer {made[who]}"}
            return opened.enter_context(
                requests.get(running.url + path, headers=headers, stream=True, timeout=30)
            )

        builder = Guarded(running, None, made)  # type: ignore[arg-type]
        body = {"manifest": {"version": "2", "pipelines": []}}
        id = builder.call("POST", "/builds", "builder", body).json()["id"]
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
        text = "json_object('text', hex(zeroblob(16384)))"
        running.sql(
            f"INSERT INTO build_events (build_id, kind, data) {numbers} SELECT {id}, 'output', {text} FROM n"
        )
        log = running.data / "composes" / "odcs-1" / "pungi-stderr.log"
        file = running.data / "builds" / f"build-{id}" / "file"
        for path in (log, file):
            path.parent.mkdir(parents=True)
            with path.open("wb") as sparse:
                sparse.truncate(64 << 20)
        last = running.sql("SELECT max(id) FROM build_events")[0]
        with opened:
            events = [
                begin(f"/builds/{id}/events?after={last}", who) for who in ("revoked", "expiring", "admin")
            ]
            stays = begin(f"/builds/{id}/events?after={last}", "builder")
            cut = [begin(f"/builds/{id}/log", "revoked"), begin(f"/builds/{id}/files/file", "revoked")]
            cut.append(begin("/composes/odcs-1/pungi-stderr.log", "reader"))
            parts = [reply.iter_content(100_000) for reply in cut]
            assert all(next(some) for some in parts)
            for name in ("revoked", "reader"):
                running.sql(f"DELETE FROM api_tokens WHERE id = '{made[name].split('_')[1]}'")
            running.sql("UPDATE api_tokens SET groups = '[]' WHERE user = 'root'")
            begun = time.monotonic()
            for reply, status in zip(events, (401, 401, 403), strict=True):
                text = reply.text
                assert text.startswith(f"id: {last}\nevent: refused\ndata: "), text
                assert json.loads(text.partition("data: ")[2])["status"] == status
            assert time.monotonic() - begun < 8
            for some in parts:
                with pytest.raises(requests.RequestException, match=r"ended|broken"):
                    list(some)
            # Theirs goes on.
            builder.call("DELETE", f"/builds/{id}", "builder")
            assert "event: end" in stays.text
