"""The web page as the server writes it: what is on it, for whom, and that what others wrote stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from osbuild_core.server.page.answer import DIRECTORY
from tests.integration.server.running import Service, merged, service, until
from tests.integration.server.stages import library
from tests.integration.server.test_builds import finished, manifest, mkdir
from tests.integration.server.test_who_may import ACCESS, make_tokens

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PAGES = ("/", "/ui/composes", "/ui/builds", "/ui/new", "/docs", "/ui/nothing")
VOID = {"meta", "link", "input", "img", "br"}


class Parsed(HTMLParser):
    """A page: its elements, whether they are closed as they have to be, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def checked(reply: requests.Response) -> Parsed:
    """Return a page that is as all of them have to be."""
    assert reply.headers["content-type"] == "text/html; charset=utf-8", reply.text
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["cache-control"] == "no-store"
    parsed = Parsed(reply.text)
    # One script of ours, nothing inline, nothing from elsewhere.
    assert [set(script) for script in parsed.all("script")] == [{"type", "src"}]
    assert parsed.all("style") == []
    for tag, attributes in parsed.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in ("src", "href", "action"):
            value = attributes.get(name) or ""
            assert not value.startswith(("http", "//", "javascript:", "data:")) or "/composes/odcs-" in value
    # What can be read aloud.
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert parsed.all("html")[0]["lang"] == "en"
    assert len(parsed.all("h1")) == 1
    for _, attributes in parsed.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert name not in attributes or attributes[name] in ids, attributes
    return parsed


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("page")) as found:
        yield found


def test_pages_are_as_they_have_to_be(served: Service) -> None:
    id = served.wait(served.create("shown")["id"])["id"]
    served.wait(served.create("fail")["id"])
    for path in (*PAGES, f"/ui/composes/{id}"):
        reply = served.get(path)
        assert reply.status_code == (404 if path.endswith("nothing") else 200), path
        checked(reply)
    for path, status in (("/ui/composes/99999", 404), ("/ui/builds/x", 404), ("/ui/builds?page=0", 400)):
        reply = served.get(path)
        assert reply.status_code == status
        checked(reply)


def test_static_files(served: Service) -> None:
    files = sorted(path.name for path in (DIRECTORY / "static").iterdir())
    assert {"page.js", "page.css", "icon.svg"} <= set(files)
    for name in files:
        reply = served.get(f"/ui/static/{name}")
        assert reply.status_code == 200
        assert reply.headers["x-content-type-options"] == "nosniff"
        # No address but ours: what is imported lies beside it.
        assert not re.search(r"https?://(?!www\.w3\.org/)", reply.text)
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", reply.text
        )
        etag = reply.headers["etag"]
        assert served.get(f"/ui/static/{name}", headers={"If-None-Match": etag}).status_code == 304
    assert served.get("/ui/static/page.js").headers["content-type"].partition(";")[0].endswith("/javascript")
    for name in ("nothing", "..%2Froutes.py", "%2e%2e/answer.py"):
        assert served.get(f"/ui/static/{name}").status_code == 404


def test_a_compose(served: Service) -> None:
    source = {"type": "repo", "source": "http://packages.test/one", "packages": ["ed"]}
    id = served.wait(served.post("/api/1/composes/", {"source": source}).json()["id"])["id"]
    page = checked(served.get(f"/ui/composes/{id}"))
    for text in ("done", "http://packages.test/one", "Compose is generated successfully", f"odcs-{id}.repo"):
        assert text in page.words
    assert "osbuild-core compose create repo http://packages.test/one --package ed" in page.words
    assert f"compose {id} of http://packages.test/one" in page.words, "the log"
    methods = {form.get("data-method") for form in page.all("form")} | {
        button.get("data-method") for button in page.all("button")
    }
    assert {"PATCH", "DELETE"} <= methods
    failed = served.wait(served.create("hostile")["id"])["id"]
    reply = served.get(f"/ui/composes/{failed}")
    page = checked(reply)
    assert HOSTILE in page.words
    assert "<script>alert" not in reply.text


def test_lists_are_filtered(served: Service) -> None:
    done = served.wait(served.create("listed")["id"])["id"]
    failed = served.wait(served.create("fail")["id"])["id"]

    def rows(query: str) -> set[str]:
        page = checked(served.get(f"/ui/composes?{query}"))
        return {str(row["id"]).removeprefix("compose-") for row in page.all("tr") if "id" in row}

    assert {str(done), str(failed)} <= rows("")
    assert str(failed) not in rows("state=done")
    assert str(done) not in rows("state=failed&source_type=&owner=")
    assert rows("source_type=tag") == set()
    assert rows("owner=nobody%3Cscript%3E") == set()
    assert served.get("/ui/composes?state=nonsense").status_code == 400
    assert checked(served.get("/ui/composes?owner=%00")).words


@pytest.mark.root
def test_a_build_with_a_hostile_manifest(served: Service) -> None:
    tree = manifest(
        mkdir("/first"), {"type": "org.osbuild.chmod", "options": {"items": {"/no": {"mode": "0644"}}}}
    )
    tree["pipelines"][0]["name"] = HOSTILE
    tree["pipelines"].append({"name": "second", "build": f"name:{HOSTILE}", "stages": [mkdir("/a")]})
    id = served.post("/builds", {"manifest": tree, "exports": [HOSTILE]}).json()["id"]
    finished(served, id)
    reply = served.get(f"/ui/builds/{id}")
    page = checked(reply)
    assert HOSTILE in page.words
    assert "<script>alert" not in reply.text
    stages = [item["data-state"] for item in page.all("li") if "data-state" in item]
    assert stages == ["done", "failed", "not run"]
    assert page.all("main")[0].get("data-follow") is None
    assert HOSTILE in checked(served.get("/ui/builds")).words
    assert HOSTILE in checked(served.get("/")).words
    made = served.post("/builds", {"manifest": manifest(mkdir("/etc")), "exports": ["tree"]}).json()["id"]
    finished(served, made)
    checked(served.get(f"/ui/builds/{made}/files"))
    # The API's list takes the filters of the page.
    listed = served.get("/builds?state=failed&per_page=100").json()["items"]
    assert id in [item["id"] for item in listed]
    assert made not in [item["id"] for item in listed]
    assert served.get("/builds?owner=nobody").json()["meta"]["total"] == 0
    assert served.get("/builds?owner=%00").status_code == 400
    checked(served.get("/ui/builds?owner=%00"))


@pytest.mark.root
def test_who_follows_hears_at_once(tmp_path: Path) -> None:
    # Signs of life are far apart: they are not what brings the events.
    settings = {"library": str(library(tmp_path)), "queue": {"lease": 600.0}}
    with service(tmp_path, settings) as running:
        id = running.post("/builds", {"manifest": manifest({"type": "org.osbuild.sleeper"})}).json()["id"]
        page = until(
            lambda: checked(running.get(f"/ui/builds/{id}")),
            lambda page: "asleep" in page.words,
        )
        assert [item["data-state"] for item in page.all("li")] == ["running"]
        assert page.all("main")[0]["data-follow"] == f"/builds/{id}/events"
        assert int(page.all("main")[0]["data-after"] or 0) > 0
        (ticking, *_) = [span for span in page.all("span") if "data-ticking" in span]
        assert float(ticking["data-ticking"] or -1) >= 0
        assert running.delete(f"/builds/{id}").status_code == 202
        page = checked(running.get(f"/ui/builds/{id}"))
        assert [item["data-state"] for item in page.all("li")] == ["stopped"]


def test_who_sees_what(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"authentication": ["token"], "access": ACCESS}
    with service(tmp_path, settings, "--no-worker") as running:
        tokens = make_tokens(running.data, {"builder": {}, "alice": {}, "reader": {"read_only": True}})

        def get(path: str, name: str | None = None) -> requests.Response:
            headers = {} if name is None else {"Authorization": f"Bearer {tokens.get(name, name)}"}
            return requests.get(running.url + path, headers=headers, timeout=30)

        body = {"source": {"type": "repo", "source": "http://packages.test/x"}}
        alice = {"Authorization": f"Bearer {tokens['alice']}"}
        compose = running.post("/api/1/composes/", body, headers=alice).json()["id"]
        builder = {"Authorization": f"Bearer {tokens['builder']}"}
        build = running.post("/builds", {"manifest": manifest(mkdir("/a"))}, headers=builder).json()["id"]

        reply = get(f"/ui/builds/{build}")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        page = checked(reply)
        (field,) = [one for one in page.all("input") if one.get("type") == "password"]
        # Nothing that a form could put into an address.
        assert "name" not in field
        assert get("/ui/builds").status_code == 401
        assert get(f"/ui/builds/{build}/files").status_code == 401
        assert get(f"/ui/builds/{build}", "alice").status_code == 403
        assert get(f"/ui/builds/{build}", "nonsense").status_code == 401
        assert get(f"/ui/builds/{build}", "builder").status_code == 200

        def buttons(path: str, name: str | None) -> set[str | None]:
            page = checked(get(path, name))
            return {one.get("data-method") for tag in ("button", "form") for one in page.all(tag)} - {None}

        assert buttons(f"/ui/builds/{build}", "builder") == {"DELETE"}
        assert buttons(f"/ui/composes/{compose}", None) == set()
        assert buttons(f"/ui/composes/{compose}", "reader") == set()
        assert buttons(f"/ui/composes/{compose}", "alice") == {"DELETE"}
        assert "signed in as alice" in " ".join(checked(get("/", "alice")).words.split())
        assert f"build-{build}" not in get("/", "alice").text
        assert f"build-{build}" in get("/", "builder").text
    closed = merged(settings, {"access": {"public_read": False}, "url": "https://example.org/images/"})
    with service(tmp_path, closed, "--no-worker") as running:
        assert get(f"/ui/composes/{compose}").status_code == 401
        page = checked(get("/"))
        assert "A token is needed to see composes" in page.words
        # A proxy has put us below a path.
        links = [str(link["href"]) for tag in ("a", "link") for link in page.all(tag)]
        assert all(link.startswith(("/images/", "#")) for link in links)
        assert page.all("body")[0]["data-root"] == "/images"
        assert get(f"/ui/composes/{compose}", "alice").status_code == 200


def test_names_of_others_are_refused_as_a_page(served: Service) -> None:
    reply = served.get("/ui/composes", headers={"Host": "evil.example.org"})
    assert reply.status_code == 403
    checked(reply)
