"""The service with what really makes composes: packages from a repository on this machine, over HTTP to a client."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from osbuild_core.exports.compose.client import ODCS, AuthMech
from tests.integration.server.running import Service, service
from tests.integration.server.test_who_may import make_tokens
from tests.packages.rpms import Rpm, repository

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = [Rpm("app", requires=("lib",)), Rpm("lib"), Rpm("other")]
    return repository(tmp_path_factory.mktemp("packages") / "repo", wanted, revision=42)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"composes": {"generator": "osbuild_core.exports.compose.generate"}}
    with service(tmp_path_factory.mktemp("real"), settings) as found:
        yield found


def test_packages_with_what_they_need(served: Service, packages: Path) -> None:
    odcs = ODCS(served.url)
    asked = odcs.new_compose(str(packages), "repo", packages=["app"])
    done = odcs.wait_for_compose(asked["id"], timeout=120)
    assert done["state_name"] == "done", done["state_reason"]
    assert done["koji_event"] == 42
    repo = odcs.repo(done)
    assert f"[odcs-{done['id']}]" in repo
    base = f"{done['result_repo']}/x86_64/os"
    assert f"baseurl={done['result_repo']}/$basearch/os" in repo
    assert requests.get(f"{base}/repodata/repomd.xml", timeout=30).status_code == 200
    for name, status in (("app", 200), ("lib", 200), ("other", 404)):
        path = f"{base}/Packages/{name[0]}/{name}-1.0-1.x86_64.rpm"
        reply = requests.get(path, timeout=30)
        assert reply.status_code == status, path
        if status == 200:
            assert reply.content == (packages / f"{name}-1.0-1.x86_64.rpm").read_bytes()
    again = odcs.wait_for_compose(odcs.new_compose(str(packages), "repo", packages=["app"])["id"])
    assert again["result_repo"] == done["result_repo"]


def test_packages_that_are_not_there(served: Service, packages: Path) -> None:
    odcs = ODCS(served.url)
    failed = odcs.wait_for_compose(odcs.new_compose(str(packages), "repo", packages=["nothing"])["id"])
    assert failed["state_name"] == "failed"
    assert "nothing" in failed["state_reason"]
    log = requests.get(f"{failed['toplevel_url']}/pungi-stderr.log", timeout=30)
    assert "nothing" in log.text


def test_the_same_content_again_after_removal(served: Service, packages: Path) -> None:
    odcs = ODCS(served.url)
    first = odcs.wait_for_compose(odcs.new_compose(str(packages), "repo", packages=["lib"])["id"])
    odcs.delete_compose(first["id"])
    served.wait(first["id"], "removed")
    again = odcs.renew_compose(first["id"])
    assert again["id"] != first["id"]
    done = odcs.wait_for_compose(again["id"])
    assert done["state_name"] == "done", done["state_reason"]
    path = f"{done['result_repo']}/x86_64/os/Packages/l/lib-1.0-1.x86_64.rpm"
    assert requests.get(path, timeout=30).status_code == 200


def test_a_repository_that_sends_a_worker_elsewhere(packages: Path, tmp_path: Path) -> None:
    """Its packages are behind redirects: to what is allowed they lead, to an address of this machine they do not."""
    target = ""
    reached: list[str] = []

    class Site(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(packages))

        def do_GET(self) -> None:
            if self.server is inner:
                reached.append(self.path)
            elif self.path.endswith(".rpm") and target:
                self.send_response(302)
                self.send_header("Location", target + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            return

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Site) as outer,
        ThreadingHTTPServer(("127.0.0.1", 0), Site) as inner,
    ):
        threads = [Thread(target=server.serve_forever, daemon=True) for server in (outer, inner)]
        for thread in threads:
            thread.start()
        address, target = (f"http://127.0.0.1:{server.server_address[1]}" for server in (outer, inner))
        settings = {
            "authentication": ["token"],
            "access": {"clients": {"users": {"alice": {}}}},
            "limits": {"attempts": 1},
            "composes": {
                "generator": "osbuild_core.exports.compose.generate",
                "allowed_sources": [address],
            },
        }
        with service(tmp_path, settings) as running:
            token = make_tokens(running.data, {"alice": {}})["alice"]
            odcs = ODCS(running.url, auth_mech=AuthMech.OpenIDC, openidc_token=token)
            ask = {"packages": ["lib"], "flags": ["no_reuse"]}
            failed = odcs.wait_for_compose(odcs.new_compose(address, "repo", **ask)["id"], timeout=120)
            assert (failed["state_name"], reached) == ("failed", []), failed
            assert "403" in failed["state_reason"]
            target = ""
            done = odcs.wait_for_compose(odcs.new_compose(address, "repo", **ask)["id"], timeout=120)
            assert done["state_name"] == "done", done["state_reason"]
        for server in (outer, inner):
            server.shutdown()
        for thread in threads:
            thread.join()
