"""Starts the service as its users do, and waits for what it says."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.emulator import postgresql
from tests.emulator.aws.client import Emulator
from tests.emulator.rabbitmq import Broker

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(sys.executable).with_name("osbuild-core")
GENERATOR = "tests.integration.server.plain_generator"
PATIENCE = 60.0


@dataclass
class Service:
    """A running service. ``get`` and so on take paths and return what ``requests`` does.

    ``form`` is what it stands on, where that is not one directory.
    """

    url: str
    data: Path
    process: subprocess.Popen[str]
    session: requests.Session = field(default_factory=requests.Session)
    form: Form | None = None

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", PATIENCE)
        return self.session.request(method, self.url + path, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, document: Any = None, **options: Any) -> requests.Response:
        return self.call("POST", path, json=document, **options)

    def patch(self, path: str, document: Any = None, **options: Any) -> requests.Response:
        return self.call("PATCH", path, json=document, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.call("DELETE", path, **options)

    def create(self, what: str = "plain", *, type: str = "repo", **more: Any) -> dict[str, Any]:
        """Ask for a compose of the test generator, as :mod:`plain_generator` describes."""
        source = what if type in ("tag", "pulp", "raw_config") else f"http://packages.test/{what}"
        reply = self.post("/api/1/composes/", {"source": {"type": type, "source": source}, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def compose(self, id: int) -> dict[str, Any]:
        reply = self.get(f"/api/1/composes/{id}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def wait(self, id: int, *states: str) -> dict[str, Any]:
        """Return a compose when it is in one of ``states`` (done or failed)."""
        wanted = states or ("done", "failed")
        return until(lambda: self.compose(id), lambda found: found["state_name"] in wanted)

    def has_files(self, id: int) -> bool:
        """Tell whether the files of a compose are anywhere."""
        there = (self.data / "composes" / f"odcs-{id}").exists()
        return there or (self.form is not None and bool(self.form.keys(f"odcs-{id}.")))

    def sql(self, statement: str) -> list[str]:
        """Run SQL in its database; return the rows of the answer, columns parted by ``|``."""
        if self.form is not None:
            return postgresql.query(self.form.database, statement)
        with closing(sqlite3.connect(self.data / "server.sqlite", timeout=30)) as opened, opened:
            return ["|".join(map(str, row)) for row in opened.execute(statement)]

    def made(self) -> list[str]:
        """Return what the test generator has made, a line each."""
        file = self.data / "made"
        return file.read_text().splitlines() if file.exists() else []


@dataclass(frozen=True)
class Form:
    """PostgreSQL, a broker and a bucket, for services that have grown."""

    database: str
    broker: str
    bucket: str
    emulator: Emulator

    @property
    def settings(self) -> dict[str, Any]:
        return {"database": self.database, "broker": self.broker, "storage": {"bucket": self.bucket}}

    @property
    def environment(self) -> dict[str, str]:
        return self.emulator.environment()

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of what is in the bucket, without what all of them begin with."""
        pages = (
            self.emulator.boto("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=f"composes/{prefix}")
        )
        return [one["Key"].removeprefix("composes/") for page in pages for one in page.get("Contents", ())]


def grown(server: str, rabbit: Broker, emulator: Emulator) -> Form:
    """Return a form with a database and a bucket of its own."""
    bucket = f"bucket-{secrets.token_hex(4)}"
    emulator.boto("s3").create_bucket(Bucket=bucket)
    return Form(postgresql.another(server), rabbit.url, bucket, emulator)


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Look until it is good; return what was seen. Fails after a minute."""
    end = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if good(seen):
            return seen
        assert time.monotonic() < end, f"still {seen}"
        time.sleep(0.05)


def settings_file(directory: Path, settings: Mapping[str, Any]) -> Path:
    """Write settings as TOML; nested tables become dotted keys."""
    lines: list[str] = []

    def write(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            key = f"{prefix}{json.dumps(name)}"
            if value is None:
                # What DEFAULTS has is left out.
                continue
            if isinstance(value, Mapping) and value:
                write(f"{key}.", value)
            elif isinstance(value, list) and value and isinstance(value[0], Mapping):
                tables = ", ".join(
                    "{" + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in item.items()) + "}"
                    for item in value
                )
                lines.append(f"{key} = [{tables}]")
            else:
                lines.append(f"{key} = {json.dumps(value)}")

    write("", settings)
    file = directory / "server.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for name, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both else value
    return result


DEFAULTS: dict[str, Any] = {
    "composes": {
        "generator": GENERATOR,
        # It writes beside its directories, and those of tests are closed to others.
        "confine": False,
        "tags": {
            "f32": {"repos": ["http://packages.test/f32"]},
            "f32-moving": {"repos": ["http://packages.test/m"]},
        },
        "content_sets": {"base": {"url": "http://packages.test/base"}},
        "raw_configs": {"nightly": {"url": "http://packages.test/git", "template": "nightly.yaml"}},
    },
    "queue": {"lease": 2.0, "poll": 0.1, "maintenance": 0.3},
}


def started(
    directory: Path, *arguments: str, command: str = "serve", environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(PROGRAM), command, "--config", str(directory / "server.toml"), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=(directory / "server.log").open("a"),
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )


def address(process: subprocess.Popen[str], directory: Path) -> str:
    """Return where a service listens. Fails with its log where it does not."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on "), line + (directory / "server.log").read_text()
    return line.removeprefix("listening on ").strip().rstrip("/")


def ended(process: subprocess.Popen[str]) -> int:
    """Stop a process as an administrator does, and return its status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def service(
    directory: Path,
    settings: Mapping[str, Any] | None = None,
    *arguments: str,
    form: Form | None = None,
) -> Iterator[Service]:
    """Run a service on a free port with its data in ``directory``, or in what ``form`` says; fail where it does not
    end as it should."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "data"
    stands_on = {"data": str(data), **(form.settings if form else {})}
    settings_file(directory, merged(merged(DEFAULTS, stands_on), settings or {}))
    more = ["--migrate"] if form else []
    environment = form.environment if form else None
    process = started(directory, "--port", "0", *more, *arguments, environment=environment)
    try:
        yield Service(address(process, directory), data, process, form=form)
    finally:
        status = ended(process)
    assert status == 0, (directory / "server.log").read_text()
