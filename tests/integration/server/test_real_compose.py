"""The service with what really makes composes: packages from a repository on this machine, over HTTP to a client."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from osbuild_core.exports.compose.client import ODCS, AuthMech
from tests.integration.server.running import Service, service, until
from tests.integration.server.test_who_may import make_tokens
from tests.packages import keys
from tests.packages.rpms import Rpm, repository

pytestmark = pytest.mark.root
UNTRUSTED: dict[str, Any] = {"confine": None}
"""As it is for those who set nothing."""


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


def test_an_image_of_the_packages(served: Service, packages: Path, tmp_path: Path) -> None:
    odcs = ODCS(served.url)
    plain = odcs.wait_for_compose(odcs.new_compose(str(packages), "repo", packages=["other"])["id"])
    command = [str(Path(sys.executable).with_name("osbuild-core")), "compose", "--server", served.url]
    command += ["create", "repo", str(packages), "--package", "other", "--result", "iso"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (address,) = (line.split()[1] for line in shown.splitlines() if line.startswith("  images "))
    (image,) = requests.get(address, timeout=30).json()["payload"]["images"]["Temporary"]["x86_64"]
    content = requests.get(f"{address.partition('/metadata/')[0]}/{image['path']}", timeout=30).content
    assert hashlib.sha256(content).hexdigest() == image["checksums"]["sha256"]
    (tmp_path / "image.iso").write_bytes(content)
    find = ["xorriso", "-no_rc", "-indev", tmp_path / "image.iso", "-find", "/Packages"]
    assert b"/Packages/o/other-1.0-1.x86_64.rpm" in subprocess.run(find, capture_output=True).stdout
    # One without images does not serve, one with them does.
    again = odcs.wait_for_compose(
        odcs.new_compose(str(packages), "repo", packages=["other"], results=["iso"])["id"]
    )
    assert again["results"] == ["repository", "iso"]
    assert again["state_reason"].startswith("Compose reused")
    assert address.startswith(again["result_repo"].partition("/compose/")[0])
    assert again["result_repo"] != plain["result_repo"]


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


def test_who_is_not_trusted_is_served_by_nobody(packages: Path, open_directory: Path) -> None:
    """By a process that is root of a user namespace: what it makes belongs to a user that has nothing else, and what
    is signed is signed by the worker."""
    shutil.copytree(packages, open_directory / "repo")
    key = keys.make(open_directory / "gnupg" / "key")
    assert key.home.stat().st_mode & 0o077 == 0
    settings = {
        "authentication": ["token"],
        "access": {
            "clients": {"users": {"alice": {}}},
            "builders": {"users": ["trusted"]},
            "admins": {"groups": ["admins"]},
        },
        "composes": {
            "generator": "osbuild_core.exports.compose.generate",
            **UNTRUSTED,
            "allowed_sources": [str(open_directory / "repo")],
            "signing_key": key.fingerprint,
            "gnupg_home": str(key.home),
        },
    }
    first = 2_000_000_000
    try:
        with service(open_directory / "service", settings) as running:
            wanted = {"alice": {}, "trusted": {"groups": ["admins"]}}
            made = make_tokens(running.data, wanted)  # type: ignore[arg-type]
            for user, owner in (("alice", first), ("trusted", 0)):
                odcs = ODCS(running.url, auth_mech=AuthMech.OpenIDC, openidc_token=made[user])
                source = str(open_directory / "repo")
                asked = odcs.new_compose(
                    source, "repo", packages=["app"], flags=["no_reuse"], results=["iso"]
                )
                done = odcs.wait_for_compose(asked["id"], timeout=120)
                assert done["state_name"] == "done", done["state_reason"]
                top = running.data / "composes" / f"odcs-{done['id']}"
                files = [path for path in top.rglob("*") if not path.is_symlink()]
                assert {path.stat().st_uid for path in files} == {owner}, user
                signed = next(path for path in files if path.name == "repomd.xml.asc")
                of_image = next(path for path in files if path.name == "CHECKSUM.asc")
                for signature in (signed, of_image):
                    command = ["gpg", "--homedir", str(key.home), "--verify"]
                    command += [signature, signature.with_suffix("")]
                    assert subprocess.run(command, capture_output=True).returncode == 0
                for package in ("app", "lib"):
                    name = f"{package}-1.0-1.x86_64.rpm"
                    reply = requests.get(
                        f"{done['result_repo']}/x86_64/os/Packages/{name[0]}/{name}", timeout=30
                    )
                    assert reply.content == (packages / name).read_bytes()
            assert (running.data / "confined" / "store").stat().st_uid == first
    finally:
        keys.end(key)


def test_where_nobody_can_be_had_who_is_not_trusted_is_refused(packages: Path, tmp_path: Path) -> None:
    """Its directories are closed to others, which is as good a reason as a kernel without user namespaces."""
    settings = {
        "authentication": ["token"],
        "access": {"clients": {"users": {"alice": {}}}},
        "composes": {
            "generator": "osbuild_core.exports.compose.generate",
            **UNTRUSTED,
            "allowed_sources": [str(packages)],
        },
    }
    tmp_path.chmod(0o700)
    with service(tmp_path, settings) as running:
        token = make_tokens(running.data, {"alice": {}})["alice"]
        odcs = ODCS(running.url, auth_mech=AuthMech.OpenIDC, openidc_token=token)
        failed = odcs.wait_for_compose(odcs.new_compose(str(packages), "repo")["id"], timeout=60)
        assert failed["state_name"] == "failed"
        assert "cannot be reached from a user namespace" in failed["state_reason"]
        top = running.data / "composes" / f"odcs-{failed['id']}"
        assert list(top.rglob("*")) == []


def test_a_repository_that_sends_a_worker_elsewhere(packages: Path, open_directory: Path) -> None:
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
                **UNTRUSTED,
                "allowed_sources": [address],
            },
        }
        with service(open_directory, settings) as running:
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


def processes_of(user: int) -> dict[int, str]:
    """Return the processes of a user: when each was started, by its number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                if f"Uid:\t{user}\t" in status:
                    found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[19]
    return found


def test_a_process_of_nobody_ends_with_its_worker(open_directory: Path) -> None:
    first = 2_000_200_000
    settings = {
        "authentication": ["token"],
        "access": {"clients": {"users": {"alice": {}}}},
        "composes": {**UNTRUSTED, "first_id": first},
    }
    with service(open_directory, settings) as running:
        token = make_tokens(running.data, {"alice": {}})["alice"]
        odcs = ODCS(running.url, auth_mech=AuthMech.OpenIDC, openidc_token=token)
        asked = odcs.new_compose("http://packages.test/slow-60", "repo")
        top = running.data / "composes" / f"odcs-{asked['id']}"
        until(lambda: list(top.glob("pungi-stderr.log")), bool)
        (task,) = processes_of(first).items()
        worker = task[0]
        # Its init and its guard are between them.
        for _ in range(3):
            worker = int(Path(f"/proc/{worker}/status").read_text().partition("PPid:")[2].split()[0])
        assert b"osbuild_core.server.child" in Path(f"/proc/{worker}/cmdline").read_bytes()
        os.kill(worker, signal.SIGKILL)
        until(lambda: task in processes_of(first).items(), lambda found: not found)
        odcs.delete_compose(asked["id"])
        until(lambda: processes_of(first), lambda found: not found)
