"""Servers and workers that are killed at any moment: no request is lost, and none is committed twice.

With everything in one directory, and on PostgreSQL, RabbitMQ and S3.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.emulator import postgresql
from tests.integration.server import running
from tests.integration.server.running import (
    DEFAULTS,
    Form,
    address,
    ended,
    grown,
    merged,
    settings_file,
    started,
    until,
)

pytestmark = pytest.mark.xdist_group("rabbitmq")
SEED = 20260
Query = Callable[[str], list[str]]
AUDIT = "CREATE TABLE commits (id INTEGER, state INTEGER)"
AUDIT_SQLITE = (
    "CREATE TRIGGER audit AFTER UPDATE ON composes WHEN NEW.time_done IS NOT OLD.time_done"
    " AND NEW.time_done IS NOT NULL BEGIN INSERT INTO commits VALUES (NEW.id, NEW.state); END"
)
AUDIT_POSTGRESQL = (
    "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF NEW.time_done IS DISTINCT FROM OLD.time_done AND NEW.time_done IS NOT NULL THEN"
    " INSERT INTO commits VALUES (NEW.id, NEW.state); END IF; RETURN NEW; END $$;"
    " CREATE TRIGGER audit AFTER UPDATE ON composes FOR EACH ROW EXECUTE FUNCTION audit()"
)


@dataclass(frozen=True)
class Ground:
    """What a campaign stands on: a way to ask the database, the statement that makes a trigger."""

    query: Query
    trigger: str
    form: Form | None = None


@pytest.fixture(params=["small", "grown"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    if request.param == "grown":
        # Not that of the other test, which has its composes in the database.
        names = ("postgres", "rabbit", "bucket_emulator")
        form = grown(*(request.getfixturevalue(name) for name in names))
        return Ground(lambda text: postgresql.query(form.database, text), AUDIT_POSTGRESQL, form)

    def ask(text: str) -> list[str]:
        with closing(sqlite3.connect(tmp_path / "data" / "server.sqlite", timeout=30)) as opened, opened:
            return ["|".join(map(str, row)) for row in opened.execute(text)]

    return Ground(ask, AUDIT_SQLITE)


class Cluster:
    """A server and workers that are killed and started again."""

    def __init__(self, directory: Path, workers: int, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self.server = started(directory, "--no-worker", "--migrate", environment=environment)
        self.url = address(self.server, directory)
        self.workers = [self.worker() for _ in range(workers)]

    def worker(self) -> subprocess.Popen[str]:
        return started(self.directory, command="worker", environment=self.environment)

    def kill_a_worker(self, choice: random.Random) -> None:
        index = choice.randrange(len(self.workers))
        self.workers[index].kill()
        self.workers[index].wait()
        self.workers[index].stdout.close()
        self.workers[index] = self.worker()

    def pause_a_worker(self, choice: random.Random) -> None:
        """Stop a worker for longer than its lease: it wakes up with work that is somebody else's."""
        worker = choice.choice(self.workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(1.6)
        worker.send_signal(signal.SIGCONT)

    def kill_a_task(self, choice: random.Random) -> None:
        children = [
            int(child)
            for worker in self.workers
            for child in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        ]
        if children:
            with suppress(ProcessLookupError):
                os.kill(choice.choice(children), signal.SIGKILL)

    def kill_the_server(self, _choice: random.Random) -> None:
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.server = started(self.directory, "--no-worker", environment=self.environment)
        assert address(self.server, self.directory) == self.url

    def stop(self) -> None:
        for process in (*self.workers, self.server):
            ended(process)


def ask_for(url: str, body: dict[str, Any]) -> int:
    """Ask until there is an answer: a server that was killed may have written the request or not."""
    while True:
        try:
            return int(requests.post(f"{url}/api/1/composes/", json=body, timeout=30).json()["id"])
        except requests.RequestException:
            time.sleep(0.1)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def campaign(directory: Path, ground: Ground, *, requests_: int, clients_: int, kills: int) -> None:
    query, form = ground.query, ground.form
    choice = random.Random(SEED)
    settings = {
        "data": str(directory / "data"),
        "port": free_port(),
        "queue": {"lease": 1.2, "poll": 0.1, "slots": 2},
        "limits": {"attempts": 50, "queued_per_owner": 10_000},
    }
    settings_file(directory, merged(merged(DEFAULTS, settings), form.settings if form else {}))
    with ExitStack() as stack:
        cluster = Cluster(directory, workers=2, environment=form.environment if form else {})
        stack.callback(cluster.stop)
        query(AUDIT)
        query(ground.trigger)
        ids: list[int] = []

        def submit(numbers: range) -> None:
            for number in numbers:
                # Every third one is for the same.
                what = "slow-0.31" if number % 3 == 0 else f"k{number}/slow-0.1"
                body = {"source": {"type": "repo", "source": f"http://packages.test/{what}"}}
                ids.append(ask_for(cluster.url, body))

        parts = [range(n, requests_, clients_) for n in range(clients_)]
        clients = [threading.Thread(target=submit, args=(part,)) for part in parts]
        for client in clients:
            client.start()
        acts = [cluster.kill_a_worker, cluster.kill_a_task, cluster.pause_a_worker, cluster.kill_the_server]
        for number in range(kills):
            time.sleep(choice.uniform(0.1, 0.6))
            (acts[number] if number < len(acts) else choice.choice(acts))(choice)
        for client in clients:
            client.join()
        until(
            lambda: query("SELECT count(*) FROM composes WHERE state NOT IN (2, 4)"),
            lambda found: found == ["0"],
        )
        until(lambda: query("SELECT count(*) FROM work"), lambda found: found == ["0"])
        states = query("SELECT state, count(*) FROM composes GROUP BY state")
        assert [row.split("|")[0] for row in states] == ["2"], query("SELECT id, state_reason FROM composes")
        known = {int(row) for row in query("SELECT id FROM composes")}
        assert set(ids) <= known
        assert len(ids) == requests_
        # A request whose answer was lost may be there a second time, as its client asked again.
        assert len(known) <= requests_ + kills
        commits = Counter(int(row) for row in query("SELECT id FROM commits"))
        assert commits == Counter(dict.fromkeys(known, 1))
        # What was asked for by many was made for one, and shows for all.
        shared = {
            int(row)
            for row in query("SELECT id FROM composes WHERE source LIKE '%/slow-0.31' AND reused_id IS NULL")
        }
        assert len(shared) == 1
        if form is not None:
            # Of each compose one attempt stays in the end, the one that was committed, and it is whole.
            rows = query("SELECT id, attempt FROM composes WHERE reused_id IS NULL")
            wanted = {f"odcs-{id}.{attempt}" for id, attempt in (row.split("|") for row in rows)}
            until(
                lambda: {key.partition("/")[0] for key in form.keys("odcs-")},
                lambda found: found == wanted,
            )
            assert {key.partition("/")[0] for key in form.keys("odcs-") if key.endswith(".repo")} == wanted
            return
        for row in query("SELECT id FROM composes WHERE reused_id IS NULL"):
            assert (directory / "data" / "composes" / f"odcs-{row}" / "compose").is_dir()


def test_a_sample(ground: Ground, tmp_path: Path) -> None:
    campaign(tmp_path, ground, requests_=16, clients_=4, kills=5)


@pytest.mark.soak
def test_a_thousand(ground: Ground, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(running, "PATIENCE", 3600.0)
    campaign(tmp_path, ground, requests_=1000, clients_=50, kills=200)
