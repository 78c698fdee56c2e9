"""``/api/1``: shapes, statuses, filters, order, pages and errors as clients of ODCS expect them, faults mended."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from osbuild_core import __version__
from tests.integration.server.running import Service

FIELDS = set(
    (
        "id owner source_type source state state_name state_reason time_to_expire time_submitted "
        "time_started time_done time_removed removed_by result_repo result_repofile toplevel_url flags "
        "results sigkeys koji_event koji_task_id packages builds arches multilib_arches multilib_method "
        "lookaside_repos modular_koji_tags module_defaults_url label compose_type pungi_compose_id "
        "target_dir scratch_modules parent_pungi_compose_ids scratch_build_tasks modules respin_of "
        "base_module_br_name base_module_br_stream base_module_br_stream_version_lte "
        "base_module_br_stream_version_gte"
    ).split()
)


def refused(reply: Any, status: int) -> str:
    """Check that it is an error in the shape that clients read; return its message."""
    assert reply.status_code == status, reply.text
    document = reply.json()
    assert set(document) == {"status", "error", "message"}
    assert document["status"] == status
    return document["message"]


def test_a_compose_from_request_to_files(running: Service) -> None:
    asked = running.create(
        "shapes",
        seconds_to_live=600,
        flags=["no_deps", "no_reuse"],
        results=["iso"],
        arches=["x86_64", "ppc64le"],
        label="RC-1.0",
        lookaside_repos=["http://packages.test/more"],
    )
    assert set(asked) == FIELDS
    assert (asked["state"], asked["state_name"], asked["owner"]) == (0, "wait", "unknown")
    assert asked["source_type"] == 3
    assert asked["arches"] == "x86_64 ppc64le"
    assert asked["flags"] == ["no_deps", "no_reuse"]
    assert asked["results"] == ["repository", "iso"]
    assert asked["toplevel_url"] == f"{running.url}/composes/odcs-{asked['id']}"
    done = running.wait(asked["id"])
    assert (done["state"], done["state_name"]) == (2, "done")
    assert set(done) == FIELDS | {"pungi_config_dump"}
    assert done["koji_event"] == 7
    assert json.loads(done["pungi_config_dump"]) == {"packages": [], "event": 7, "made": done["id"]}
    for name in ("time_submitted", "time_started", "time_done", "time_to_expire"):
        assert len(done[name]) == 20, done[name]
        assert done[name].endswith("Z")
    assert done["time_removed"] is None
    repo = running.session.get(done["result_repofile"])
    assert repo.status_code == 200
    assert repo.text.startswith(f"[odcs-{done['id']}]")
    assert done["result_repo"] in done["result_repofile"]


def test_a_failed_compose_tells_why_and_has_a_log(running: Service) -> None:
    failed = running.wait(running.create("fail")["id"])
    assert (failed["state"], failed["state_name"]) == (4, "failed")
    assert failed["state_reason"] == "package ed is missing"
    log = running.session.get(failed["toplevel_url"] + "/pungi-stderr.log")
    assert "package ed is missing" in log.text
    assert log.headers["content-type"].startswith("text/plain")
    unknown = running.wait(running.create("unknown")["id"])
    assert "is not there" in unknown["state_reason"]


def test_a_failure_that_may_pass_is_tried_again(running: Service) -> None:
    assert running.wait(running.create("flaky")["id"])["state_name"] == "done"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "No JSON"),
        ([], "No JSON"),
        ({"source": {}}, "Missing type in source configuration"),
        ({"source": {"type": "nope", "source": "x"}}, 'Unknown source type "nope"'),
        ({"source": {"type": "tag"}}, "No source provided for 1"),
        ({"source": {"type": "tag", "source": "f32"}, "flags": ["x"]}, "Unknown flag"),
        ({"source": {"type": "tag", "source": "f32"}, "seconds_to_live": "60"}, "should be an integer"),
        ({"source": {"type": "tag", "source": None}}, "null"),
        ({"source": {"type": "tag", "source": "f;32"}}, "not allowed"),
        ({"source": {"type": "tag", "source": "f32"}, "target_dir": "x"}, "Unknown target_dir"),
        ({"source": {"type": "raw_config", "source": "nightly"}}, "name#commit"),
        ({"source": {"type": "raw_config", "source": "other#abc"}}, "does not match any configured"),
        ({"source": {"type": "module", "source": "x"}}, "Module definition"),
        ({"source": {"type": "tag", "source": "f32"}, "label": {"a": 1}}, "dict"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(running: Service, body: Any, message: str) -> None:
    before = running.get("/api/1/composes/?per_page=1").json()["meta"]["total"]
    assert message in refused(running.post("/api/1/composes/", body), 400)
    assert running.get("/api/1/composes/?per_page=1").json()["meta"]["total"] == before


def test_bodies_that_are_no_json(running: Service) -> None:
    path = "/api/1/composes/"
    kind = {"Content-Type": "application/json"}
    assert "decode" in refused(running.call("POST", path, data="{", headers=kind), 400)
    assert "decode" in refused(running.call("POST", path, data="[" * 100_000, headers=kind), 400)
    assert "decode" in refused(running.call("POST", path, data='{"source": NaN}', headers=kind), 400)
    # What a form in a page on the web can send.
    form = {"Content-Type": "text/plain"}
    body = '{"source": {"type": "tag", "source": "f32"}}'
    assert "Content-Type" in refused(running.call("POST", path, data=body, headers=form), 400)


def test_the_time_to_live_as_the_command_line_of_odcs_sends_it(running: Service) -> None:
    source = {"type": "tag", "source": "f32"}
    reply = running.post("/api/1/composes/", {"source": source, "seconds-to-live": "60"})
    assert reply.status_code == 200
    long = running.post("/api/1/composes/", {"source": source, "seconds_to_live": 10**9}).json()
    day = [int(long[name][8:10]) for name in ("time_submitted", "time_to_expire")]
    assert long["time_to_expire"] > long["time_submitted"]
    assert day[0] != day[1], "three days at most"


def test_lists_are_filtered_ordered_and_paged(running: Service) -> None:
    ids = [running.create(f"listed-{n}", label="listed", compose_type=f"kind{n % 2}")["id"] for n in range(5)]
    for id in ids:
        running.wait(id)

    def found(query: str) -> list[int]:
        reply = running.get(f"/api/1/composes/?label=listed&{query}")
        assert reply.status_code == 200, reply.text
        return [item["id"] for item in reply.json()["items"]]

    assert found("") == ids[::-1]
    assert found("order_by=id") == ids
    assert found("order_by=-time_done") == ids[::-1]
    assert found("compose_type=kind1&order_by=id") == ids[1::2]
    assert found("state=2&order_by=id") == ids
    # ODCS finds nothing by the name of a state.
    assert found("state=done&order_by=id") == ids
    assert found("state=wait") == found("owner=nobody") == found("source_type=1") == []
    assert found("source_type=repo&source=http://packages.test/listed-3") == [ids[3]]
    assert found("page=2&per_page=2") == [ids[2], ids[1]]
    assert found("page=9&per_page=2") == []
    for order in ("id", "-id", "time_done", "-time_done", "-koji_event", "owner", "state", "-time_removed"):
        pages = [found(f"order_by={order}&page={page}&per_page=2") for page in (1, 2, 3)]
        assert [id for page in pages for id in page] == found(f"order_by={order}"), order
    reply = running.get("/api/1/composes/?label=listed&page=2&per_page=2&order_by=id")
    meta = reply.json()["meta"]
    assert {name: meta[name] for name in ("page", "pages", "per_page", "total")} == {
        "page": 2,
        "pages": 3,
        "per_page": 2,
        "total": 5,
    }
    following = urlsplit(meta["next"])
    assert meta["next"].startswith(running.url)
    assert parse_qs(following.query) == {
        "label": ["listed"],
        "order_by": ["id"],
        "per_page": ["2"],
        "page": ["3"],
    }
    assert running.session.get(meta["last"]).json()["meta"]["next"] is None
    assert running.session.get(meta["first"]).json()["meta"]["prev"] is None
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "pungi_config_dump" not in reply.json()["items"][0]


@pytest.mark.parametrize(
    "query",
    [
        "order_by=nope",
        "order_by=--id",
        "order_by=source_Type",
        "order_by=locked",
        "page=0",
        "page=x",
        "per_page=-1",
        "state=7777777777777777777777777",
        "state=x",
        "source_type=-1",
        "koji_task_id=abc",
        "page=99999999999999999999",
    ],
)
def test_queries_that_make_no_sense(running: Service, query: str) -> None:
    refused(running.get(f"/api/1/composes/?{query}"), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/1/composes/999999", 404),
        ("GET", "/api/1/composes/abc", 404),
        ("GET", "/api/1/composes/-1", 404),
        ("GET", "/api/1/composes/99999999999999999999999", 404),
        ("PATCH", "/api/1/composes/999999", 404),
        ("DELETE", "/api/1/composes/999999", 404),
        ("GET", "/api/1/nothing", 404),
        ("GET", "/api/2/composes/", 404),
        ("PUT", "/api/1/composes/", 405),
        ("DELETE", "/api/1/about/", 405),
        ("GET", "/composes/", 404),
    ],
)
def test_what_is_not_there(running: Service, method: str, path: str, status: int) -> None:
    refused(running.call(method, path), status)


@pytest.mark.parametrize("path", ["/api/1/composes", "/api/1/about", "/api/1/metrics"])
def test_a_slash_at_the_end_changes_nothing(running: Service, path: str) -> None:
    for address in (path, path + "/"):
        reply = running.get(address, allow_redirects=False)
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == "*"


def test_about(running: Service) -> None:
    about = running.get("/api/1/about").json()
    assert about["version"] == __version__
    assert about["auth_backend"] == "noauth"
    assert about["raw_config_urls"] == {"nightly": {"url": "http://packages.test/git"}}
    assert about["allowed_clients"] == {"users": {}, "groups": {}}
    assert about["sigkeys"] == []


def test_health_metrics_and_description(running: Service) -> None:
    assert running.get("/health").json() == {"status": "ok"}
    assert running.get("/ready").json() == {"status": "ok"}
    running.wait(running.create("counted")["id"])
    text = running.get("/api/1/metrics/").text
    assert 'composes_total{source_type="repo",state="done"}' in text
    assert "workers_total 1.0" in text
    assert 'http_requests_total{method="POST",route="/api/1/composes/",status="200"}' in text
    described = running.get("/openapi.json").json()
    assert {"get", "post"} <= set(described["paths"]["/api/1/composes/"])
    assert {"get", "patch", "delete"} <= set(described["paths"]["/api/1/composes/{id}"])
    for page in ("/", "/api/1/", "/docs"):
        assert running.get(page).headers["content-type"].startswith("text/html")


def test_a_log_is_read_from_where_one_was(running: Service) -> None:
    id = running.create("slow-1.5")["id"]
    path = f"/composes/odcs-{id}/pungi-stderr.log"
    running.wait(id, "generating")
    seen = b""
    last = time.monotonic() + 60
    while running.compose(id)["state_name"] != "done":
        assert time.monotonic() < last
        reply = running.get(path, headers={"Range": f"bytes={len(seen)}-"})
        if reply.status_code == 206:
            assert reply.headers["content-range"].startswith(f"bytes {len(seen)}-")
            seen += reply.content
        else:
            assert reply.status_code in (404, 416), reply.text
    # What makes it may have a last word after it is done.
    for _ in range(20):
        whole = running.get(path)
        time.sleep(0.5)
        unchanged = running.get(path, headers={"If-None-Match": whole.headers["etag"]})
        if unchanged.status_code == 304:
            break
    assert unchanged.status_code == 304
    assert whole.content.startswith(seen)
    assert seen.count(b"still at it") > 3
    assert running.get(path, headers={"Range": "bytes=-4"}).content == whole.content[-4:]
    assert running.get(path, headers={"Range": "bytes=2-5"}).content == whole.content[2:6]
    assert running.get(path, headers={"Range": "bytes=99999-"}).status_code == 416
    assert running.get(path, headers={"Range": "lines=1-"}).status_code == 200
    assert running.call("HEAD", path).headers["content-length"] == str(len(whole.content))


def test_nothing_outside_of_the_composes_is_served(running: Service) -> None:
    compose = running.wait(running.create("secret")["id"])
    base = f"/composes/odcs-{compose['id']}/compose/Temporary"
    assert (running.data / "composes" / base.removeprefix("/composes/") / "passwd").is_symlink()
    (running.data / "outside").write_text("outside")
    for path in (
        f"{base}/passwd",
        f"{base}/up/passwd",
        "/composes/../outside",
        "/composes/%2e%2e/outside",
        "/composes/..%2foutside",
        "/composes/%2fetc/passwd",
        "/composes//etc/passwd",
        f"/composes/odcs-{compose['id']}/../../outside",
        f"/composes/odcs-{compose['id']}%00",
        f"/composes/odcs-{compose['id']}",
        "/composes/" + "a/" * 3000,
    ):
        # As it is: no library between us and the server is to tidy the path.
        reply = raw(running, path)
        assert b" 404 " in reply.split(b"\r\n")[0] or b" 400 " in reply.split(b"\r\n")[0], (path, reply[:200])
        assert b"root:" not in reply
        assert b"outside" not in reply.partition(b"\r\n\r\n")[2] or b"There is no" in reply


def raw(service: Service, path: str) -> bytes:
    import socket

    where = urlsplit(service.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while part := connection.recv(65536):
            found += part
    return found
