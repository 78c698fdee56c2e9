"""``/builds``: a manifest is submitted, followed, fetched and cancelled."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.server.running import Service, merged, service, until
from tests.integration.server.stages import library
from tests.integration.server.test_who_may import ACCESS, Guarded, make_tokens

pytestmark = pytest.mark.root


def manifest(*stages: dict[str, Any]) -> dict[str, Any]:
    pipeline = {"name": "tree", "runner": "org.osbuild.linux", "stages": list(stages)}
    return {"version": "2", "pipelines": [pipeline]}


def mkdir(path: str) -> dict[str, Any]:
    return {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": path}]}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("builds")) as found:
        yield found


def events(served: Service, id: int, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the events that are sent until the last one."""
    found = []
    with served.get(f"/builds/{id}/events", headers={"Last-Event-ID": str(after)}, stream=True) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for block in _blocks(reply):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def _blocks(reply: requests.Response) -> Iterator[str]:
    text = ""
    for part in reply.iter_content(None, decode_unicode=False):
        text += part.decode()
        *whole, text = text.split("\n\n")
        yield from whole


def finished(served: Service, id: int) -> dict[str, Any]:
    return until(
        lambda: served.get(f"/builds/{id}").json(), lambda found: found["state_name"] in ("done", "failed")
    )


def test_a_build_from_manifest_to_files(served: Service) -> None:
    body = {"manifest": manifest(mkdir("/first"), mkdir("/second")), "exports": ["tree"]}
    reply = served.post("/builds", body)
    assert reply.status_code == 202, reply.text
    build = reply.json()
    assert (build["state_name"], build["owner"], build["exports"]) == ("wait", "unknown", ["tree"])
    assert reply.headers["location"] == f"/builds/{build['id']}"
    seen = events(served, build["id"])
    kinds = [kind for _, kind, _ in seen]
    assert kinds[0] == "run"
    assert kinds[-1] == "end"
    assert kinds.count("stage-finished") == 2
    assert seen[-1][2] == {"state": "done", "reason": None}
    # Cut off in the middle, it goes on where it was.
    middle = seen[len(seen) // 2][0]
    assert events(served, build["id"], middle) == [event for event in seen if event[0] > middle]
    done = finished(served, build["id"])
    assert done["state_name"] == "done"
    assert done["result"]["success"] is True
    stages = done["result"]["pipelines"][0]["stages"]
    assert [stage["type"] for stage in stages] == ["org.osbuild.mkdir"] * 2
    assert (served.data / "builds" / f"build-{build['id']}" / "tree" / "second").is_dir()
    again = finished(served, served.post("/builds/", body).json()["id"])
    assert all(stage["cached"] for stage in again["result"]["pipelines"][0]["stages"])
    items = served.get("/builds?per_page=1").json()
    assert items["meta"]["total"] >= 2
    assert [item["id"] for item in items["items"]] == [again["id"]]


def test_files_and_log(served: Service) -> None:
    stage = {"type": "org.osbuild.hostname", "options": {"hostname": "built"}}
    tree = manifest(mkdir("/etc"), stage)
    id = served.post("/builds", {"manifest": tree, "exports": ["tree"]}).json()["id"]
    done = finished(served, id)
    assert done["state_name"] == "done", done
    files = served.get(f"/builds/{id}/files").json()["files"]
    assert {"path": "tree/etc/hostname", "size": 6} in files
    assert served.get(f"/builds/{id}/files/tree/etc/hostname").text == "built\n"
    for path in ("../../server.sqlite", "%2e%2e/%2e%2e/server.sqlite", "tree/etc", "nothing"):
        assert served.get(f"/builds/{id}/files/{path}").status_code == 404
    assert served.get(f"/builds/{id}/log").headers["content-type"].startswith("text/plain")


def test_a_build_that_fails_tells_why(served: Service) -> None:
    bad = {"type": "org.osbuild.chmod", "options": {"items": {"/nothing": {"mode": "0644"}}}}
    id = served.post("/builds", {"manifest": manifest(bad), "exports": ["tree"]}).json()["id"]
    failed = finished(served, id)
    assert failed["state_name"] == "failed"
    assert failed["state_reason"]
    assert failed["result"]["success"] is False
    assert served.get(f"/builds/{id}/log").text != ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "manifest"),
        ({"manifest": []}, "manifest"),
        ({"manifest": {"version": "2"}, "exports": "tree"}, "exports"),
        ({"manifest": {"version": "2"}, "store": "/"}, "store"),
        ({"manifest": manifest({"type": "org.osbuild.nothing"})}, "org.osbuild.nothing"),
        ({"manifest": manifest(mkdir("/a")), "exports": ["nothing"]}, "nothing"),
    ],
)
def test_what_is_no_build(served: Service, body: Any, message: str) -> None:
    reply = served.post("/builds", body)
    assert reply.status_code == 400, reply.text
    assert message in reply.json()["message"]


def test_what_is_not_there(served: Service) -> None:
    for path in ("/builds/999999", "/builds/999999/events", "/builds/x", "/builds/999999/files/a"):
        assert served.get(path).status_code == 404
    assert served.delete("/builds/999999").status_code == 404


def test_cancelling_ends_the_stage(tmp_path: Path) -> None:
    with service(tmp_path, {"library": str(library(tmp_path))}) as served:
        id = served.post("/builds", {"manifest": manifest({"type": "org.osbuild.sleeper"})}).json()["id"]
        seen: list[Any] = []
        follower = threading.Thread(target=lambda: seen.extend(events(served, id)))
        follower.start()
        until(lambda: served.get(f"/builds/{id}/log").text, lambda text: "asleep" in text)
        assert served.delete(f"/builds/{id}").status_code == 202
        assert finished(served, id)["state_reason"] == "Canceled by unknown"
        assert served.delete(f"/builds/{id}").status_code == 409
        follower.join(60)
        assert seen[-1][1:] == ("end", {"state": "failed", "reason": "Canceled by unknown"})

        def asleep() -> list[str]:
            found = []
            for process in Path("/proc").iterdir():
                try:
                    if b"org.osbuild.sleeper" in (process / "cmdline").read_bytes():
                        found.append(process.name)
                except OSError:
                    continue
            return found

        until(asleep, lambda found: not found)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_builds_are_for_who_is_trusted(tmp_path: Path) -> None:
    settings = merged({"authentication": ["token"], "access": ACCESS}, {})
    with service(tmp_path, settings, "--no-worker") as running:
        made = make_tokens(
            running.data, {"builder": {}, "alice": {}, "other": {"user": "root", "groups": ["admins"]}}
        )
        guarded = Guarded(running, None, made)  # type: ignore[arg-type]
        body = {"manifest": manifest(mkdir("/a"))}
        assert guarded.call("POST", "/builds", None, body).status_code == 401
        # A client for composes is not trusted with the rights of a worker.
        assert guarded.call("POST", "/builds", "alice", body).status_code == 403
        reply = guarded.call("POST", "/builds", "builder", body)
        assert reply.status_code == 202
        # Nobody works here: it waits, and the figures say so.
        assert "queue_oldest_seconds 0.0\n" not in running.get("/metrics").text
        path = f"/builds/{reply.json()['id']}"
        for rest in ("", "/events", "/log", "/files", "/files/tree"):
            assert guarded.call("GET", path + rest, None).status_code == 401
            assert guarded.call("GET", path + rest, "alice").status_code == 403
        assert guarded.call("GET", "/builds", "alice").json()["items"] == []
        assert guarded.call("GET", path, "other").status_code == 200
        assert guarded.call("DELETE", path, "alice").status_code == 403
        assert guarded.call("DELETE", path, "builder").status_code == 202
        # Who follows does not keep a server from stopping, and hears a proper end of what it was sent.
        path = f"/builds/{guarded.call('POST', '/builds', 'builder', body).json()['id']}"
        headers = {"Authorization": f"Bearer {made['builder']}"}
        following = running.get(f"{path}/events", headers=headers, stream=True)
        assert following.status_code == 200
    assert following.content == b""
