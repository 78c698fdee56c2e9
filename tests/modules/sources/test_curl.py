"""org.osbuild.curl against a real server."""

import hashlib
import json
import os
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from service_harness import Running, running

from osbuild_core.protocol.service import RemoteError
from osbuild_core.protocol.source_api import Downloaded, Progress, download, parse_downloaded, parse_progress

from .web import Web, cut, refuse, serving, times, trickle

FILES = "org.osbuild.files"


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def offer(web: Web, path: str, content: bytes) -> tuple[str, str]:
    """Put a file on the server; return its checksum and its URL."""
    web.files[path] = content
    return checksum(content), web.url + path


def fetch(
    items: dict[str, Any],
    cache: Path,
    environment: dict[str, str] | None = None,
    progress: list[Progress] | None = None,
) -> Downloaded:
    """Run the source for ``items``."""

    def heard(value: Any) -> None:
        update = parse_progress(value)
        assert update is not None
        if progress is not None:
            progress.append(update)

    with running("sources", "curl", environment=environment) as service:
        reply = service.call("download", download(items, {}, str(cache)), on_signal=heard)
    return parse_downloaded(reply, list(items))


def content(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (cache / FILES).iterdir()}


def left_over(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / ".partial").iterdir() if path.name != "lock")


def errors(done: Downloaded) -> dict[str, str]:
    return {item.checksum: item.error for item in done.items if item.error is not None}


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384", "sha512"])
def test_a_file_is_fetched_and_kept(algorithm: str, web: Web, tmp_path: Path) -> None:
    web.files["/file"] = b"content"
    name = checksum(b"content", algorithm)
    first = fetch({name: f"{web.url}/file"}, tmp_path)
    assert (first.success, first.output) == (True, "")
    assert [(item.checksum, item.cached) for item in first.items] == [(name, False)]
    assert content(tmp_path) == {name: b"content"}
    assert left_over(tmp_path) == []
    second = fetch({name: {"url": f"{web.url}/file"}}, tmp_path)
    assert [(item.checksum, item.success, item.cached) for item in second.items] == [(name, True, True)]
    assert web.requests == {"/file": 1}


def test_many_files_come_side_by_side(web: Web, tmp_path: Path) -> None:
    items = dict(offer(web, f"/pool/file-{n}.deb", f"content {n}".encode() * n) for n in range(500))
    for path in web.files:
        web.faults[path] = lambda handler: time.sleep(0.02) or False
    progress: list[Progress] = []
    done = fetch(items, tmp_path, progress=progress)
    assert done.success and len(done.items) == 500
    assert set(content(tmp_path)) == set(items)
    assert all(checksum(data) == name for name, data in content(tmp_path).items())
    assert max(web.requests.values()) == 1
    assert web.most > 8
    last = progress[-1]
    assert (last.done, last.total, last.received) == (500, 500, sum(map(len, web.files.values())))
    assert [update.done for update in progress] == sorted(update.done for update in progress)
    assert left_over(tmp_path) == []


def test_an_empty_file_is_a_file(web: Web, tmp_path: Path) -> None:
    assert fetch(dict([offer(web, "/empty", b"")]), tmp_path).success
    assert content(tmp_path) == {checksum(b""): b""}


def test_files_of_this_machine_are_copied(tmp_path: Path) -> None:
    folder, cache = tmp_path / "a b%é", tmp_path / "cache"
    folder.mkdir()
    items = {}
    for number, data in enumerate((b"", b"small", os.urandom(300_000))):
        path = folder / f"{number}+#?.rpm"
        path.write_bytes(data)
        items[checksum(data)] = path.as_uri()
    progress: list[Progress] = []
    # Nothing else is needed for them.
    done = fetch(items, cache, {"PATH": "/nowhere"}, progress)
    assert done.success, done.output
    assert {checksum(data): data for data in content(cache).values()} == content(cache)
    assert set(content(cache)) == set(items)
    assert not any(
        os.path.samefile(cache / FILES / name, path) for name in items for path in folder.iterdir()
    )
    assert (progress[-1].done, progress[-1].received) == (3, 300_005)
    assert left_over(cache) == []


def test_files_of_this_machine_that_cannot_be_copied_fail_alone(web: Web, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    good, wrong, fifo = tmp_path / "good", tmp_path / "wrong", tmp_path / "fifo"
    good.write_bytes(b"good")
    wrong.write_bytes(b"other")
    os.mkfifo(fifo)
    names = {what: checksum(what.encode()) for what in ("wrong", "missing", "fifo", "folder", "distant")}
    items = {
        checksum(b"good"): good.as_uri(),
        names["wrong"]: wrong.as_uri(),
        names["missing"]: (tmp_path / "missing").as_uri(),
        names["fifo"]: fifo.as_uri(),
        names["folder"]: tmp_path.as_uri(),
        names["distant"]: f"file://elsewhere.example{good}",
    }
    # What an earlier run left behind.
    (cache / ".partial").mkdir(parents=True)
    (cache / ".partial" / checksum(b"good")).write_bytes(b"something longer")
    found = errors(fetch(items, cache))
    assert set(found) == set(names.values())
    assert found[names["wrong"]].endswith(f"has {checksum(b'other')}, expected {names['wrong']}")
    assert found[names["missing"]] == f"{(tmp_path / 'missing').as_uri()}: No such file or directory"
    assert found[names["fifo"]].endswith("is no regular file")
    assert found[names["folder"]].endswith("Is a directory")
    assert content(cache) == {checksum(b"good"): b"good"}
    assert left_over(cache) == []


def test_a_mirror_stands_in_for_a_file_of_this_machine(web: Web, tmp_path: Path) -> None:
    name, _ = offer(web, "/pool/a", b"a")
    mirrors = {tmp_path.as_uri(): [web.url]}
    environment = {"OSBUILD_SOURCES_CURL_MIRRORS": json.dumps(mirrors)}
    assert fetch({name: f"{tmp_path.as_uri()}/pool/a"}, tmp_path / "cache", environment).success


def test_one_failure_does_not_lose_the_others(web: Web, tmp_path: Path) -> None:
    items = dict(offer(web, f"/{n}", f"{n}".encode()) for n in range(10))
    missing, wrong = checksum(b"missing"), checksum(b"expected")
    web.files["/wrong"] = b"other"
    items |= {missing: f"{web.url}/missing", wrong: f"{web.url}/wrong"}
    done = fetch(items, tmp_path)
    assert not done.success
    assert set(content(tmp_path)) == set(items) - {missing, wrong}
    found = errors(done)
    assert set(found) == {missing, wrong}
    assert found[missing] == f"{web.url}/missing: HTTP status 404"
    assert found[wrong] == f"{web.url}/wrong: has {checksum(b'other')}, expected {wrong}"
    assert web.requests["/missing"] == 1
    assert left_over(tmp_path) == []
    assert missing in done.output and wrong in done.output


def test_credentials_stay_out_of_messages(web: Web, tmp_path: Path) -> None:
    url = web.url.replace("//", "//user:secret@") + "/missing?token=secret#secret"
    done = fetch({checksum(b"x"): url}, tmp_path)
    assert "secret" not in json.dumps(done)
    assert "/missing?…: HTTP status 404" in done.output


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int, web: Web, tmp_path: Path) -> None:
    items = dict([offer(web, "/file", b"content")])
    web.faults["/file"] = times(2, lambda handler: refuse(handler, status))
    assert fetch(items, tmp_path).success
    assert web.requests["/file"] == 3


def test_a_server_can_say_when_to_come_back(web: Web, tmp_path: Path) -> None:
    items = dict([offer(web, "/file", b"content")])
    moments: list[float] = []

    def busy(handler: Any) -> bool:
        moments.append(time.monotonic())
        return refuse(handler, 429, Retry_After="2")

    web.faults["/file"] = times(1, busy)
    assert fetch(items, tmp_path).success
    assert time.monotonic() - moments[0] >= 2


def test_a_cut_transfer_is_resumed(web: Web, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    items = dict([offer(web, "/file", data)])
    web.faults["/file"] = times(1, cut(data, 400_000))
    assert fetch(items, tmp_path).success
    assert content(tmp_path) == {checksum(data): data}
    assert web.ranges == [("/file", "bytes=400000-")]


def partial(cache: Path, name: str, data: bytes) -> None:
    (cache / ".partial").mkdir()
    (cache / ".partial" / name).write_bytes(data)


def test_an_earlier_run_is_resumed(web: Web, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    name, url = offer(web, "/file", data)
    partial(tmp_path, name, data[:60_000])
    assert fetch({name: url}, tmp_path).success
    assert content(tmp_path) == {name: data}
    assert web.ranges == [("/file", "bytes=60000-")]


@pytest.mark.parametrize(
    "rest", [b"wrong" * n for n in (100, 20_000, 50_000)], ids=["short", "long", "longer"]
)
def test_a_wrong_beginning_is_fetched_anew(rest: bytes, web: Web, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    name, url = offer(web, "/file", data)
    partial(tmp_path, name, rest)
    assert fetch({name: url}, tmp_path).success
    assert content(tmp_path) == {name: data}
    assert left_over(tmp_path) == []


def test_a_finished_file_that_was_not_renamed_is_taken(web: Web, tmp_path: Path) -> None:
    name, url = offer(web, "/file", b"content")
    partial(tmp_path, name, b"content")
    assert fetch({name: url}, tmp_path).success
    assert content(tmp_path) == {name: b"content"}


def test_a_server_without_ranges_starts_anew(web: Web, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    name, url = offer(web, "/file", data)
    partial(tmp_path, name, data[:50_000])

    def whole(handler: Any) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        try:
            handler.wfile.write(data)
        except OSError:
            handler.close_connection = True
        return True

    web.faults["/file"] = whole
    assert fetch({name: url}, tmp_path).success
    assert content(tmp_path) == {name: data}


def mirrors(web: Web, *others: str) -> dict[str, str]:
    return {"OSBUILD_SOURCES_CURL_MIRRORS": json.dumps({f"{web.url}/debian/": list(others)})}


def test_mirrors_stand_in(web: Web, mirror: Web, tmp_path: Path) -> None:
    items = dict(offer(mirror, f"/other/pool/{n}", f"{n}".encode()) for n in range(5))
    items = {name: url.replace(f"{mirror.url}/other", f"{web.url}/debian") for name, url in items.items()}
    web.files["/debian/pool/1"] = b"wrong"
    web.faults["/debian/pool/2"] = lambda handler: refuse(handler, 500)
    done = fetch(items, tmp_path, mirrors(web, f"{mirror.url}/gone/", f"{mirror.url}/other/"))
    assert done.success, done.output
    assert set(content(tmp_path)) == set(items)
    assert all(checksum(data) == name for name, data in content(tmp_path).items())


def test_a_dead_server_is_replaced(web: Web, mirror: Web, tmp_path: Path) -> None:
    name, _ = offer(mirror, "/file", b"content")
    done = fetch(
        {name: "http://127.0.0.1:1/file"},
        tmp_path,
        {"OSBUILD_SOURCES_CURL_MIRRORS": json.dumps({"http://127.0.0.1:1": [mirror.url]})},
    )
    assert done.success
    lost = fetch(
        {checksum(b"lost"): f"{web.url}/debian/lost"},
        tmp_path,
        mirrors(web, f"{mirror.url}/", f"{mirror.url}/b/"),
    )
    assert lost.output.count("HTTP status 404") == 3
    assert f"{web.url}/debian/lost: " in lost.output and f"{mirror.url}/b/lost: " in lost.output


def test_a_failure_that_lasts_ends(web: Web, tmp_path: Path) -> None:
    name, url = offer(web, "/file", b"content")
    web.faults["/file"] = lambda handler: refuse(handler, 503)
    done = fetch({name: url}, tmp_path)
    assert errors(done) == {name: f"{url}: HTTP status 503"}
    assert web.requests["/file"] == 5


@pytest.mark.parametrize(
    "desc",
    [
        {"url": "{web}/file", "secrets": {"name": "org.osbuild.mtls"}},
        {"url": "{web}/file", "secrets": {"name": "org.osbuild.rhsm"}},
        {"url": "{web}/file", "secrets": {"name": "org.example"}},
        {"url": "{web}/fi\nle"},
        {"url": "unknown://host/file"},
        {"url": "no url"},
    ],
)
def test_what_cannot_be_asked_for_fails_alone(desc: dict[str, Any], web: Web, tmp_path: Path) -> None:
    name, url = offer(web, "/file", b"content")
    bad = checksum(b"bad")
    desc = {**desc, "url": desc["url"].format(web=web.url)}
    done = fetch({bad: desc, name: url}, tmp_path)
    assert set(errors(done)) == {bad}
    assert set(content(tmp_path)) == {name}


def test_odd_urls_reach_the_server(web: Web, tmp_path: Path) -> None:
    paths = ["/gcc-c++.rpm", "/with space", "/a~b^c", "/[0-9]{x}", '/quo"te\\back', "/grün", "/100%"]
    items = {checksum(path.encode()): web.url + path for path in paths}
    for path in paths:
        web.files[path] = path.encode()
    items[checksum(b"escaped")] = f"{web.url}/es%63aped%2B?query=1"
    web.files["/escaped+"] = b"escaped"
    done = fetch(items, tmp_path)
    assert done.success, done.output
    assert set(content(tmp_path)) == set(items)


def test_redirects_are_followed(web: Web, tmp_path: Path) -> None:
    name, _ = offer(web, "/there", b"content")
    web.faults["/here"] = lambda handler: refuse(handler, 302, Location="/there")
    assert fetch({name: f"{web.url}/here"}, tmp_path).success
    web.faults["/here"] = lambda handler: refuse(handler, 302, Location="file:///etc/hostname")
    other = checksum(Path("/etc/hostname").read_bytes())
    assert not fetch({other: f"{web.url}/here"}, tmp_path).success


def test_the_proxy_of_the_environment_is_asked(web: Web, tmp_path: Path) -> None:
    web.files["/file"] = b"by proxy"
    done = fetch(
        {checksum(b"by proxy"): "http://example.invalid/file"},
        tmp_path,
        {"OSBUILD_SOURCES_CURL_PROXY": web.url},
    )
    assert done.success, done.output


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with a key and a certificate for 127.0.0.1, which is its own authority."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    options = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        tmp_path / "key.pem",
        "-out",
        tmp_path / "cert.pem",
    ]
    subprocess.run([*command.split(), *options], check=True, capture_output=True)
    return tmp_path


def test_a_certificate_is_checked_unless_told_otherwise(keys: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(keys / "cert.pem", keys / "key.pem")
    with serving(tls) as web:
        good = dict([offer(web, "/good", b"good")])
        bad = offer(web, "/bad", b"bad")
        done = fetch(
            {name: {"url": url, "insecure": True} for name, url in good.items()} | dict([bad]), keys / "cache"
        )
    assert set(errors(done)) == {bad[0]}
    assert "certificate" in errors(done)[bad[0]]
    assert set(content(keys / "cache")) == set(good)


def test_the_client_certificate_of_the_environment_is_shown(keys: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(keys / "cert.pem", keys / "key.pem")
    tls.load_verify_locations(keys / "cert.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    environment = {
        "OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY": str(keys / "key.pem"),
        "OSBUILD_SOURCES_CURL_SSL_CLIENT_CERT": str(keys / "cert.pem"),
        "OSBUILD_SOURCES_CURL_SSL_CA_CERT": str(keys / "cert.pem"),
    }
    with serving(tls) as web:
        name, url = offer(web, "/file", b"content")
        done = fetch(
            {name: {"url": url, "secrets": {"name": "org.osbuild.mtls"}}}, keys / "cache", environment
        )
        assert done.success, done.output


def test_the_users_own_curl_configuration_is_not_read(web: Web, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('output = "elsewhere"\n')
    items = dict([offer(web, "/file", b"content")])
    assert fetch(items, tmp_path / "cache", {"HOME": str(tmp_path)}).success


def test_bad_mirrors_are_an_error(web: Web, tmp_path: Path) -> None:
    for text in ("[", "[]", '{"a": "b"}', '{"a": [1]}'):
        done = fetch(
            dict([offer(web, "/file", b"content")]), tmp_path, {"OSBUILD_SOURCES_CURL_MIRRORS": text}
        )
        assert not done.success
        assert done.output


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in children.read_text().split()] if children.exists() else []
    return found + [other for child in found for other in descendants(child)]


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_when_the_engine_goes_curl_goes_and_what_came_stays(web: Web, tmp_path: Path) -> None:
    web.faults["/slow"] = trickle(60)
    name = checksum(b"never")
    with running("sources", "curl") as service:
        # Only the request: a call would wait for the reply.
        service.client._sock.send(
            {
                "type": "method",
                "data": {"name": "download", "args": download({name: f"{web.url}/slow"}, {}, str(tmp_path))},
            }
        )
        wait_for(lambda: web.requests["/slow"] and left_over_size(tmp_path, name) > 0)
        curls = descendants(service.process.pid)
        assert curls
    for pid in curls:
        assert not Path(f"/proc/{pid}").exists()
    assert content(tmp_path) == {}
    assert left_over(tmp_path) == [name]


def test_when_the_engine_goes_nothing_is_copied_any_more(tmp_path: Path) -> None:
    large, cache, name = tmp_path / "large", tmp_path / "cache", checksum(b"never")
    large.touch()
    os.truncate(large, 64 << 30)
    with running("sources", "curl") as service:
        service.client._sock.send(
            {
                "type": "method",
                "data": {"name": "download", "args": download({name: large.as_uri()}, {}, str(cache))},
            }
        )
        wait_for(lambda: left_over_size(cache, name) > 0)
    assert left_over_size(cache, name) < 32 << 30
    assert content(cache) == {}


def left_over_size(cache: Path, name: str) -> int:
    path = cache / ".partial" / name
    return path.stat().st_size if path.exists() else 0


def test_bytes_are_told_while_they_come(web: Web, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    name, url = offer(web, "/file", data)

    def slow(handler: Any) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for start in range(0, len(data), 100_000):
            handler.wfile.write(data[start : start + 100_000])
            time.sleep(0.05)
        return True

    web.faults["/file"] = slow
    progress: list[Progress] = []
    started = time.monotonic()
    assert fetch({name: url}, tmp_path, progress=progress).success
    between = [update.received for update in progress if 0 < update.received < len(data)]
    assert len(between) >= 2 and between == sorted(between)
    assert len(progress) <= 10 * (time.monotonic() - started) + 2
    assert progress[-1].item is not None and progress[-1].item.checksum == name


def test_two_processes_fetch_an_item_once(web: Web, tmp_path: Path) -> None:
    items = dict(offer(web, f"/{n}", os.urandom(1000 + n)) for n in range(20))
    for path in web.files:
        web.faults[path] = lambda handler: time.sleep(0.2) or False
    with running("sources", "curl") as one, running("sources", "curl") as other:
        for service in (one, other):
            service.client._sock.send(
                {"type": "method", "data": {"name": "download", "args": download(items, {}, str(tmp_path))}}
            )
        for service in (one, other):
            assert parse_downloaded(last_reply(service), []).success
    assert set(content(tmp_path)) == set(items)
    assert set(web.requests.values()) == {1}


def last_reply(service: Running) -> Any:
    while True:
        packet = service.client._sock.recv()
        assert packet is not None
        packet[1].close()
        if packet[0]["type"] == "reply":
            return packet[0]["data"]["reply"]


def test_cached_items_are_copied_to_another_cache(web: Web, tmp_path: Path) -> None:
    items = dict(offer(web, f"/{n}", f"{n}".encode()) for n in range(3))
    with running("sources", "curl") as service:
        service.call("download", download(items, {}, str(tmp_path / "a")))
        arguments = {
            "items": items,
            "options": {},
            "cache": str(tmp_path / "a"),
            "dst_cache": str(tmp_path / "b"),
        }
        for _ in range(2):
            service.call("copy", arguments)
        with pytest.raises(RemoteError):
            service.call("other", arguments)
    assert content(tmp_path / "a") == content(tmp_path / "b") != {}
