"""What the process that makes a compose for who is not trusted could do, were it taken over: one that was."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.compose.client import ODCS, AuthMech
from osbuild_core.server.guard import VARIABLE
from tests.integration.server.running import Service, service, until
from tests.integration.server.test_who_may import make_tokens
from tests.packages import archives, keys

pytestmark = pytest.mark.root
FIRST = 2_000_300_000
BOUNDS = {"memory": 512 << 20, "processes": 24, "seconds": 60, "file": 1 << 20}
SECRET = "hunter2"


@contextlib.contextmanager
def hostile(**composes: Any) -> Iterator[tuple[Service, ODCS]]:
    """Run a service whose composes are made by the hostile process, or as ``composes`` has it; yield it, and a client
    that is not trusted."""
    for path in (Path(__file__), Path(sys.executable)):
        if not all(parent.stat().st_mode & 0o001 for parent in path.absolute().parents):
            pytest.skip(f"others cannot reach {path}, so nothing can be made by them")
    settings = {
        "authentication": ["token"],
        "access": {"clients": {"users": {"alice": {}}}},
        "limits": {"attempts": 1},
        "composes": {
            "generator": "tests.integration.server.hostile_generator",
            "confine": None,
            "first_id": FIRST,
            "bounds": BOUNDS,
            **composes,
        },
        "queue": {"slots": 6},
    }
    with open_to_all() as directory, service(directory, settings) as running:
        # Where the plain generator notes what it has made.
        (running.data / "made").touch()
        (running.data / "made").chmod(0o666)
        token = make_tokens(running.data, {"alice": {}})["alice"]
        yield running, ODCS(running.url, auth_mech=AuthMech.OpenIDC, openidc_token=token)


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """Make a directory that everyone may enter; those of tests are closed to others."""
    with tempfile.TemporaryDirectory(prefix="open-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    with open_to_all() as directory:
        yield directory


@pytest.fixture(scope="module")
def taken_over() -> Iterator[tuple[Service, ODCS]]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("AWS_SECRET_ACCESS_KEY", "ftp_proxy", "OSBUILD_CORE_SECRET", "PGPASSWORD"):
            patch.setenv(variable, SECRET)
        with hostile() as found:
            yield found


def ask(odcs: ODCS, what: str) -> int:
    asked = odcs.new_compose(f"http://8.8.8.8/{what}", "repo", flags=["no_reuse"])
    return int(asked["id"])


def note_of(running: Service, id: int) -> Path:
    """Return what a daemon writes that a compose has left."""
    return running.data / "composes" / f"odcs-{id}" / "daemon"


def processes() -> dict[int, int]:
    """Return the processes that belong to what is confined, its guard and its init among them: their parents."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                user = int(status.partition("\nUid:\t")[2].split()[0])
                if FIRST <= user <= FIRST + 65536:
                    found[int(entry.name)] = int(status.partition("\nPPid:\t")[2].split()[0])
    return found


def test_what_it_can_reach(taken_over: tuple[Service, ODCS]) -> None:
    running, odcs = taken_over
    # As it should be with what may have passwords in it.
    (running.data.parent / "server.toml").chmod(0o600)
    other = running.data / "composes" / "other"
    other.write_text("theirs")
    for folder in ("builds", "store"):
        (running.data / folder).mkdir(exist_ok=True)
        (running.data / folder / "theirs").touch()
    reached: list[str] = []
    with contextlib.ExitStack() as stack:
        outside = stack.enter_context(open_to_all())
        (outside / "public").write_text("for everyone")
        name = str(outside / "socket")
        sockets: dict[str, socket.socket] = {}
        for what, family, kind, address in (
            ("loopback", socket.AF_INET6, socket.SOCK_STREAM, ("::", 0)),
            ("unix", socket.AF_UNIX, socket.SOCK_STREAM, name),
            ("abstract", socket.AF_UNIX, socket.SOCK_SEQPACKET, f"\0open-{os.getpid()}"),
            ("packet", socket.AF_UNIX, socket.SOCK_SEQPACKET, f"{name}.packet"),
            ("datagram", socket.AF_UNIX, socket.SOCK_DGRAM, f"{name}.datagram"),
        ):
            one = stack.enter_context(socket.socket(family, kind))
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            one.bind(address)
            one.settimeout(0)
            if kind != socket.SOCK_DGRAM:
                one.listen()
            sockets[what] = one
        for path in (name, f"{name}.datagram", f"{name}.packet"):
            os.chmod(path, 0o777)
        worker = next(
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
            and (entry / "cmdline").exists()
            and b"osbuild_core.server.child" in (entry / "cmdline").read_bytes()
            and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(running.process.pid)
        )
        wanted = {
            "port": sockets["loopback"].getsockname()[1],
            "address": socket.gethostbyname(socket.gethostname()),
            "socket": name,
            "abstract": f"\0open-{os.getpid()}",
            "worker": worker,
            "secret": SECRET,
            "settings": str(running.data.parent / "server.toml"),
            "database": str(running.data / "server.sqlite"),
            "builds": str(running.data / "builds"),
            "store": str(running.data / "store"),
            "other": str(other),
            "public": str(outside / "public"),
        }
        (running.data / "wanted.json").write_text(json.dumps(wanted))
        failed = odcs.wait_for_compose(ask(odcs, "look"), timeout=60)
        for what, one in sockets.items():
            with contextlib.suppress(BlockingIOError):
                one.recv(1) if one.type == socket.SOCK_DGRAM else one.accept()
                reached.append(what)
    found = json.loads(failed["state_reason"][failed["state_reason"].index("{") :])
    assert reached == []
    assert {what for what, answer in found.items() if answer.startswith("GOT")} == set()
    assert other.read_text() == "theirs"


def test_nothing_that_it_leaves_outlives_it(taken_over: tuple[Service, ODCS]) -> None:
    """A daemon that has left its session and ignores signals: where the task is done, is cancelled, or its worker is
    killed."""
    running, odcs = taken_over
    done = odcs.wait_for_compose(ask(odcs, "stay"), timeout=60)
    assert done["state_name"] == "done", done["state_reason"]
    assert processes() == {}
    assert note_of(running, done["id"]).exists()

    cancelled = ask(odcs, "hold")
    until(note_of(running, cancelled).exists, bool)
    odcs.delete_compose(cancelled)
    until(processes, lambda found: not found)

    held = ask(odcs, "hold")
    until(note_of(running, held).exists, bool)
    parents = processes()
    assert len(parents) >= 4, "guard, init, task, daemon"
    (worker,) = {parent for parent in parents.values() if parent not in parents}
    before = set(parents)
    os.kill(worker, signal.SIGKILL)
    started = time.monotonic()
    until(processes, lambda found: not before & set(found))
    assert time.monotonic() - started < 5
    odcs.delete_compose(held)
    until(processes, lambda found: not found)


@pytest.mark.soak
def test_the_end_of_the_guard_or_of_init_is_the_end_of_all(taken_over: tuple[Service, ODCS]) -> None:
    running, odcs = taken_over
    for number in (0, 1):
        held = ask(odcs, "hold")
        until(note_of(running, held).exists, bool)
        parents = processes()
        (guard,) = (one for one, parent in parents.items() if parent not in parents)
        (init,) = (one for one, parent in parents.items() if parent == guard)
        os.kill((guard, init)[number], signal.SIGKILL)
        until(processes, lambda found: not found)
        failed = odcs.wait_for_compose(held, timeout=60)
        assert failed["state_name"] == "failed"


def test_too_much_of_anything_ends_it_with_the_reason(taken_over: tuple[Service, ODCS]) -> None:
    _, odcs = taken_over
    reasons = {
        "memory": "more than 536870912 bytes of memory",
        "processes": "more than 24 processes and threads",
        "users": "more than 24 processes and threads",
        "file": "File too large",
    }
    asked = {what: ask(odcs, what) for what in reasons}
    for what, reason in reasons.items():
        failed = odcs.wait_for_compose(asked[what], timeout=60)
        assert failed["state_name"] == "failed", what
        assert reason in failed["state_reason"], (what, failed["state_reason"])
    until(processes, lambda found: not found)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [({"seconds": 0.5}, "more than 0.5 seconds"), ({"free": 1 << 60}, f"less than {1 << 60} bytes left")],
)
def test_a_task_that_waits_ends_with_its_time_and_with_the_disk(
    bounds: dict[str, Any], reason: str, open_directory: Path
) -> None:
    plan = {
        "first": FIRST,
        "home": str(open_directory),
        "needed": {},
        "hosts": [],
        # The last one is at the top, as what a container has often is.
        "shown": [*sys.path, sys.prefix, "/srv"],
        "free": 0,
        **BOUNDS,
        **bounds,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "osbuild_core.server.guard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, VARIABLE: json.dumps(plan)},
        start_new_session=True,
    ) as guard:
        assert guard.stdout is not None
        said = json.loads(guard.stdout.read())
    assert reason in said["failed"]["detail"]
    assert said["failed"]["code"] == "server.limit"


def test_apt_and_curl_go_through_the_gate_and_the_proxy_of_the_machine(
    tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which wants a password, that the process does not have."""
    archives.add(tmp_path, "hello")
    key = keys.make(tmp_path / "gnupg" / "key")
    archives.write(tmp_path, key=key)
    keys.end(key)
    keyring = open_directory / "key.asc"
    shutil.copy(key.public, keyring)
    keyring.chmod(0o644)
    asked: list[tuple[str, str | None]] = []

    class Proxy(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Proxy-Authorization"]))
            self.path = self.path.removeprefix("http://archive.test")
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with hostile(
            generator="osbuild_core.exports.compose.generate",
            allowed_sources=["http://archive.test/"],
            apt_keyrings={"http://archive.test/": str(keyring)},
            bounds={},
        ) as (_, odcs):
            asked_for = odcs.new_compose("deb http://archive.test/ stable main", "repo", packages=["hello"])
            done = odcs.wait_for_compose(asked_for["id"], timeout=60)
        proxy.shutdown()
        thread.join()
    assert done["state_name"] == "done", done["state_reason"]
    known = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert {authorization for _, authorization in asked} == {known}
    assert {path.rpartition(".")[2] for path, _ in asked} >= {"deb"}
