"""What hostile senders try: each is refused with the right status, and neither database nor files change.

Tokens, allow-lists and addresses have tables of their own in test_who_may.py, which go through the same check there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulator import issuer as issuers
from tests.integration.server.running import Service, service, until
from tests.integration.server.test_builds import manifest, mkdir
from tests.integration.server.test_who_may import ACCESS, PREFIX, Guarded, hostile_tokens, make_tokens

LIMIT = 100_000
SECRET = "a-secret-of-the-machine"
COMPOSES = "/api/1/composes/"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A service with a compose and a build of others, a file of a compose, and a secret beside the directories."""
    directory = tmp_path_factory.mktemp("hostile")
    with issuers.running() as issuer:
        settings: dict[str, Any] = {
            "authentication": ["token", "oidc"],
            "oidc": [{"issuer": issuer.url, "audience": "osbuild-core", "scope_prefix": PREFIX}],
            "access": ACCESS,
            "limits": {"request_bytes": LIMIT, "queued_per_owner": 3},
            "composes": {
                "raw_configs": {
                    "nightly": {"url": "https://robot:hunter2@git.test/x", "template": "t", "longest": 100}
                }
            },
        }
        with service(directory, settings, "--no-worker") as running:
            wanted: dict[str, dict[str, Any]] = {
                "admin": {"user": "root", "groups": ["admins"]},
                "alice": {},
                "builder": {},
                "other builder": {"user": "bob"},
                "qa": {"user": "bob", "groups": ["qa"]},
                "nobody": {"user": "mallory"},
                "reader": {},
                "read-only": {"user": "alice", "read_only": True},
                "expired": {"user": "alice", "days": 0.000001},
            }
            found = Guarded(running, issuer, make_tokens(running.data, wanted))
            top = running.data / "composes" / "odcs-1"
            top.mkdir(parents=True)
            (top / "COMPOSE_ID").write_text("odcs-1\n")
            (top / "up").symlink_to("/etc")
            (top / "absolute").symlink_to("/etc/passwd")
            (top / "climbing").symlink_to("../../secret")
            os.mkfifo(top / "pipe")
            (running.data / "composes-of-others").mkdir()
            (running.data / "composes-of-others" / "secret").write_text(SECRET)
            (running.data / "secret").write_text(SECRET)
            assert found.ask("alice").json()["id"] == 1
            body = {"manifest": manifest(mkdir("/a"))}
            assert found.call("POST", "/builds", "builder", body).json()["id"] == 1
            yield found


def trace(service: Service) -> dict[str, Any]:
    """Return all rows of the database and all names of files."""
    with closing(sqlite3.connect(service.data / "server.sqlite", timeout=30)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: sorted(map(repr, database.execute(f'SELECT * FROM "{name}"'))) for name in tables}
    names = sorted(
        str(path.relative_to(service.data))
        for path in service.data.rglob("*")
        if not path.name.startswith("server.sqlite")
    )
    return {**rows, "": names}


@dataclass(frozen=True)
class Attempt:
    """A request as it goes over the wire, and the statuses that it may be answered with."""

    name: str
    method: str
    target: str
    statuses: tuple[int, ...]
    token: str | None = "alice"
    body: bytes | str | dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def sent(service: Service, attempt: Attempt, authorization: str | None) -> tuple[int, bytes]:
    """Send a request as it is written; libraries would tidy it up."""
    where = urlsplit(service.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    body = json.dumps(attempt.body) if isinstance(attempt.body, dict) else attempt.body
    headers = {**({"Content-Type": "application/json"} if body is not None else {}), **attempt.headers}
    if authorization is not None:
        headers["Authorization"] = authorization
    with closing(connection):
        connection.putrequest(attempt.method, attempt.target, skip_host="Host" in headers)
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        if data is not None and "Transfer-Encoding" not in headers and "Content-Length" not in headers:
            headers["Content-Length"] = str(len(data))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if data is not None:
            # It may have heard enough before this ends.
            with contextlib.suppress(OSError):
                connection.send(data)
        reply = connection.getresponse()
        try:
            return reply.status, reply.read()
        except ConnectionResetError:
            # It has answered and closed, and what it has not read yet throws the rest of the answer away.
            return reply.status, b""


def source(**more: Any) -> dict[str, Any]:
    return {"source": {"type": "tag", "source": "f32", **more}}


def chunks(size: int) -> bytes:
    part = b"%x\r\n%s\r\n" % (10_000, b" " * 10_000)
    return part * (size // 10_000) + b"0\r\n\r\n"


FILES = [
    "../secret",
    "../composes-of-others/secret",
    "%2e%2e/secret",
    "..%2fsecret",
    "%2e%2e%2fsecret",
    "odcs-1/../../secret",
    "odcs-1/%2e%2e/%2e%2e/secret",
    "odcs-1/up/passwd",
    "odcs-1/absolute",
    "odcs-1/climbing",
    "odcs-1/pipe",
    "odcs-1/",
    "odcs-1",
    "odcs-1//COMPOSE_ID",
    "odcs-1/./COMPOSE_ID",
    "odcs-1/COMPOSE_ID%00.txt",
    "odcs-1/COMPOSE_ID/x",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "odcs-1/" + "a" * 5000,
    "odcs-1/%ff%fe",
    "",
]

ATTEMPTS = [
    # Files
    *(Attempt(f"compose file {path[:40]}", "GET", f"/composes/{path}", (400, 404), None) for path in FILES),
    *(
        Attempt(f"build file {path[:40]}", "GET", f"/builds/1/files/{path}", (400, 404), "builder")
        for path in FILES
    ),
    Attempt("path that is absolute", "GET", "//etc/passwd", (404,), None),
    Attempt("path with a back slash", "GET", "/composes/..\\secret", (404,), None),
    # Others' things
    *(
        Attempt(f"compose of alice by {token}", "DELETE", "/api/1/composes/1", (status,), token)
        for token, status in (("qa", 403), ("nobody", 403), ("read-only", 403), ("expired", 401), (None, 401))
    ),
    *(
        Attempt(f"renewal by {token}", "PATCH", "/api/1/composes/1", (status,), token)
        for token, status in (("nobody", 403), ("read-only", 403), ("expired", 401), (None, 401))
    ),
    *(
        Attempt(f"build{rest} by {token}", method, f"/builds/1{rest}", (status,), token)
        for token, status in (("alice", 403), ("other builder", 403), ("expired", 401), (None, 401))
        for method, rest in (
            *(("GET", ""), ("GET", "/events"), ("GET", "/log"), ("GET", "/files"), ("GET", "/files/tree")),
            ("DELETE", ""),
        )
    ),
    *(
        Attempt(f"build submitted by {token}", "POST", "/builds", (status,), token, {"manifest": {}})
        for token, status in (("alice", 403), ("read-only", 403), ("expired", 401), (None, 401))
    ),
    # Numbers
    *(
        Attempt(f"compose {id}", method, f"/api/1/composes/{id}", (404,))
        for method in ("GET", "PATCH", "DELETE")
        for id in ("-1", "99999999", "9223372036854775807", "9" * 30, "1.5", "x", "%00", "1%2f2", "%D9%A1", "0x1")
    ),
    *(
        Attempt(f"list with {query[:40]}", "GET", f"{COMPOSES}?{query}", (400,), None)
        for query in (
            *("page=0", "page=-1", "page=x", "per_page=0", "page=" + "9" * 40, "per_page=1e3"),
            *("order_by=id;drop", "order_by=locked", "order_by=--id", "state=99999999999", "source_type=x"),
            *("owner=a%00b", "label=%00", "koji_task_id=-1", "state=1%20or%201"),
        )
    ),
    # Bodies
    *(
        Attempt(f"body: {name}", "POST", COMPOSES, (400,), body=body)
        for name, body in {
            "empty": "",
            "no JSON": "{",
            "no UTF-8": b'{"source": "\xff"}',
            "a list": "[]",
            "a number": "1",
            "NaN": '{"source": {"type": "tag", "source": "f32"}, "seconds_to_live": NaN}',
            "infinite": '{"source": {"type": "tag", "source": "f32"}, "seconds_to_live": 1e999}',
            "deep": "[" * 40_000 + "]" * 40_000,
            "deep objects": '{"a":' * 15_000 + "1" + "}" * 15_000,
            "long number": '{"source": {"type": "tag", "source": "f32"}, "seconds_to_live": ' + "9" * 9000 + "}",
            "half a character": '{"source": {"type": "tag", "source": "\\ud800"}}',
            "a null character": '{"source": {"type": "tag", "source": "a\\u0000b"}}',
        }.items()
    ),
    *(
        Attempt(f"value: {name}", "POST", COMPOSES, (400,), body={**source(), **body})
        for name, body in {
            "long compose type": {"compose_type": "a" * 1000},
            "compose type that climbs": {"compose_type": "../x"},
            "arches without end": {"arches": [f"a{n}" for n in range(1000)]},
            "arch that climbs": {"arches": ["../../x"]},
            "options for programs": {"lookaside_repos": ["--output=/etc/passwd"]},
            "a metadata service": {"lookaside_repos": ["http://169.254.169.254/latest/"]},
            "another spelling": {"lookaside_repos": ["http://0251.0376.0251.0376/"]},
            "a file": {"lookaside_repos": ["file:///etc"]},
            "multicast": {"lookaside_repos": ["http://224.0.0.1/"]},
            "half a path": {"lookaside_repos": ["http://packages.test/..%2fx"]},
        }.items()
    ),
    *(
        Attempt(f"source: {name}", "POST", COMPOSES, (400,), body={"source": given})
        for name, given in {
            "git elsewhere": {"type": "raw_config", "source": "https://evil.test/x#master"},
            "git by a program": {"type": "raw_config", "source": "ext::sh -c id#master"},
            "git with an option": {"type": "raw_config", "source": "nightly#--upload-pack=id"},
            "a compose on this machine": {"type": "pungi_compose", "source": "http://localhost/compose/Server"},
            "a compose in files": {"type": "pungi_compose", "source": "/etc/compose/Server"},
            "defaults on this machine": {
                **{"type": "module", "source": "a:b"},
                **{"module_defaults_url": "http://127.0.0.1/x", "module_defaults_commit": "1"},
            },
            "an archive with options": {"type": "repo", "source": "deb [trusted=yes] http://packages.test/ x"},
            "an archive by a program": {"type": "repo", "source": "deb rsh://packages.test/ x main"},
            "an archive in files": {"type": "repo", "source": "deb copy:/etc ./"},
        }.items()
    ),
    Attempt("a form", "POST", COMPOSES, (400,), body="a=b", headers={"Content-Type": "text/plain"}),
    Attempt("no type", "POST", COMPOSES, (400,), body=json.dumps(source()), headers={"Content-Type": ""}),
    # Sizes
    *(
        Attempt(f"large {method} {target}", method, target, (413,), token, b" " * (2 * LIMIT))
        for method, target, token in (
            ("POST", COMPOSES, "alice"),
            ("PATCH", "/api/1/composes/1", "alice"),
            ("POST", "/builds", "builder"),
            ("GET", COMPOSES, None),
        )
    ),
    *(
        Attempt(
            f"large {method} {target} in parts", method, target, (413,), token, chunks(2 * LIMIT),
            {"Transfer-Encoding": "chunked"},
        )
        for method, target, token in (
            ("POST", COMPOSES, "alice"),
            ("PATCH", "/api/1/composes/1", "alice"),
            ("POST", "/builds", "builder"),
        )
    ),
    Attempt("length that is none", "POST", COMPOSES, (400,), body=b"{}", headers={"Content-Length": "-1"}),
    Attempt("long header", "GET", COMPOSES, (400, 431), None, headers={"X-Long": "x" * 200_000}),
    # Methods and addresses
    Attempt("a method of no kind", "PWN", COMPOSES, (405,), None),
    Attempt("TRACE", "TRACE", COMPOSES, (405,), None),
    Attempt("PUT", "PUT", "/api/1/composes/1", (405,), "admin"),
    Attempt("no such address", "GET", "/api/1/nothing", (404,), None),
    Attempt("Basic", "POST", COMPOSES, (401,), None, source(), {"Authorization": "Basic YWxpY2U6"}),
    Attempt("no kind", "POST", COMPOSES, (401,), None, source(), {"Authorization": "x"}),
    Attempt("certificate", "POST", COMPOSES, (401,), None, source(), {"X-SSL-Client-S-DN": "CN=alice"}),
]  # fmt: skip


def test_nothing_that_is_tried_leaves_a_trace(guarded: Guarded) -> None:
    before = trace(guarded.service)
    wrong = []
    for attempt in ATTEMPTS:
        token = None if attempt.token is None else f"Bearer {guarded.tokens[attempt.token]}"
        status, body = sent(guarded.service, attempt, token)
        if status not in attempt.statuses or SECRET.encode() in body or b"root:" in body:
            wrong.append((attempt.name, status, body[:200]))
        elif body and not body.startswith(b"Invalid HTTP request"):
            assert set(json.loads(body)) == {"status", "error", "message"}, (attempt.name, body[:200])
    assert wrong == []
    assert trace(guarded.service) == before
    log = (guarded.service.data.parent / "server.log").read_text()
    assert "Traceback" not in log
    assert not any(token[-30:] in log for token in guarded.tokens.values())


def test_tokens_that_do_not_count_do_not_for_anything(guarded: Guarded) -> None:
    before = trace(guarded.service)
    for name, token in hostile_tokens(guarded.issuer).items():
        if name == "long":
            continue
        for method, target in (
            *(("POST", COMPOSES), ("PATCH", "/api/1/composes/1"), ("DELETE", "/api/1/composes/1")),
            *(("GET", COMPOSES), ("POST", "/builds"), ("GET", "/builds"), ("DELETE", "/builds/1")),
        ):
            attempt = Attempt(name, method, target, (401,), body=source())
            status, body = sent(guarded.service, attempt, f"Bearer {token}")
            assert status == 401, (name, method, target, body)
    assert trace(guarded.service) == before


def test_who_asks_for_too_much_has_to_wait(guarded: Guarded) -> None:
    """The last test of the service: it leaves requests in the queue."""
    assert [guarded.ask("alice").status_code for _ in range(3)] == [200, 200, 429]
    assert guarded.ask("admin").status_code == 200


def test_methods_of_no_kind_do_not_fill_the_figures(guarded: Guarded) -> None:
    for n in range(5):
        sent(guarded.service, Attempt("", f"PWN{n}", COMPOSES, (405,)), None)
    text = guarded.service.get("/metrics").text
    assert "PWN" not in text
    assert 'method="other"' in text


def test_credentials_of_the_configuration_are_not_shown(guarded: Guarded) -> None:
    shown = guarded.service.get("/api/1/about").json()
    assert shown["raw_config_urls"] == {"nightly": {"url": "https://git.test/x"}}


def test_files_with_names_of_no_encoding_are_listed(guarded: Guarded) -> None:
    tree = guarded.service.data / "builds" / "build-1" / "tree"
    tree.mkdir(parents=True)
    (tree / os.fsdecode(b"\xff")).write_text("x")
    (tree / "link").symlink_to("/etc/passwd")
    listed = guarded.call("GET", "/builds/1/files", "builder")
    assert listed.json() == {"files": [{"path": "tree/\ufffd", "size": 1}]}


def test_a_body_that_goes_on_after_its_answer(guarded: Guarded) -> None:
    """Streams look whether their client is there, and so meet the rest of a body."""
    where = urlsplit(guarded.service.url)
    head = (
        f"GET /builds/1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {guarded.tokens['builder']}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        try:
            connection.sendall(chunks(5 * LIMIT))
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
    log = guarded.service.data.parent / "server.log"
    until(log.read_text, lambda text: "/builds/1/events status=200" in text)
    assert "Traceback" not in log.read_text()


def test_pages_from_elsewhere_reach_no_service_of_this_machine(tmp_path: Path) -> None:
    with service(tmp_path, {}, "--no-worker") as running:
        before = trace(running)
        body = {"source": {"type": "tag", "source": "f32"}}
        for origin in ("https://evil.test", "http://localhost.evil.test", "null", "http://[", "file://"):
            headers = {"Origin": origin}
            assert running.get("/api/1/composes/", headers=headers).status_code == 403, origin
            assert running.post("/api/1/composes/", body, headers=headers).status_code == 403, origin
        assert trace(running) == before
        assert running.post("/api/1/composes/", body, headers={"Origin": running.url}).status_code == 200


def test_a_renewal_lives_no_longer_than_its_configuration_says(tmp_path: Path) -> None:
    raw = {"nightly": {"url": "http://packages.test/git", "template": "t", "longest": 100}}
    with service(tmp_path, {"composes": {"raw_configs": raw}}) as running:
        first = running.wait(running.create("nightly#abc", type="raw_config")["id"])
        renewed = running.patch(f"/api/1/composes/{first['id']}", {"seconds_to_live": 3600}).json()
        assert renewed["id"] == first["id"]
        done, until_ = (_seconds(renewed[name]) for name in ("time_done", "time_to_expire"))
        assert until_ - done <= 130


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
