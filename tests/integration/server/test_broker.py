"""Brokers wake workers, and cost nothing but time where they are not there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.model.errors import UsageError
from osbuild_core.server.settings_file import load_settings
from tests.emulator import rabbitmq, redis
from tests.integration.server.running import PROGRAM, Service, ended, service, settings_file, started, until

pytestmark = pytest.mark.xdist_group("rabbitmq")
NEVER = 3600.0
"""Seconds between looks of a worker that is to be woken."""


@contextmanager
def woken(directory: Path, broker: str, poll: float = NEVER) -> Iterator[Service]:
    """Provide a service with a worker that a broker wakes, and nothing else but a look each ``poll`` seconds."""
    queue = {"poll": poll, "maintenance": NEVER}
    with service(directory, {"broker": broker, "queue": queue}, "--no-worker") as served:
        worker = started(directory, command="worker")
        try:
            yield served
        finally:
            assert ended(worker) == 0


def listening(served: Service) -> None:
    """Wait until the worker is woken by what it is asked for: at its start it looks by itself, too."""
    until(lambda: "workers_total 1.0" in served.get("/metrics").text, bool)

    def served_soon() -> bool:
        id = served.create("first", flags=["no_reuse"])["id"]
        end = time.monotonic() + 2
        while time.monotonic() < end:
            if served.compose(id)["state_name"] == "done":
                return True
            time.sleep(0.05)
        return False

    until(served_soon, bool)


def composes_are_made(served: Service) -> None:
    listening(served)
    for number in range(3):
        assert served.wait(served.create(f"woken-{number}")["id"])["state_name"] == "done"
    # What follows another one is looked at again without being woken for it.
    ids = [served.create("slow-0.3")["id"] for _ in range(3)]
    assert {served.wait(id)["state_name"] for id in ids} == {"done"}


def test_workers_are_woken_by_rabbitmq_and_by_its_return(tmp_path: Path, rabbit: rabbitmq.Broker) -> None:
    with woken(tmp_path / "woken", rabbit.url) as served:
        composes_are_made(served)
        rabbit.kill()
        asked = time.monotonic()
        ids = [served.create(f"meanwhile-{number}")["id"] for number in range(3)]
        assert time.monotonic() - asked < 3, "requests wait for the broker"
        rabbit.begin()
        rabbit.wait()
        # Nobody has sent a message for them that arrived.
        assert {served.wait(id)["state_name"] for id in ids} == {"done"}
        composes_are_made(served)
    log = (tmp_path / "woken" / "server.log").read_text()
    assert "the broker is not there" in log
    assert "guest" not in log


def test_workers_are_woken_by_redis(tmp_path: Path) -> None:
    try:
        with redis.running() as url, woken(tmp_path, url) as served:
            composes_are_made(served)
    except rabbitmq.UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("url", ["rabbit", "http://x:secret@y", "memory://", ""])
def test_an_address_of_no_broker(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_settings(None, {"broker": url})
    assert refused.value.code == "server.settings"
    assert "amqp://" in refused.value.detail
    assert "secret" not in refused.value.detail


def test_a_broker_that_was_never_there_stops_nobody(tmp_path: Path) -> None:
    (port,) = rabbitmq.free_ports(1)
    with woken(tmp_path, f"amqp://user:secret@127.0.0.1:{port}//", poll=0.5) as served:
        assert served.wait(served.create("anyway")["id"])["state_name"] == "done"
    assert "secret" not in (tmp_path / "server.log").read_text()


def test_what_speaks_to_the_broker_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "redis.py").write_text("raise ImportError('none here')")
    settings_file(tmp_path, {"data": str(tmp_path / "data"), "broker": "redis://127.0.0.1/0"})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml"), "--port", "0", "--no-worker"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "the broker needs the library redis" in done.stderr
    assert "Traceback" not in done.stderr
