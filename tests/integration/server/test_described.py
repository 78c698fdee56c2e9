"""The service does what its description says, whatever is sent: a short sample here, the long one under soak."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import postgresql
from tests.integration.server.running import Service, service
from tests.integration.server.test_who_may import ACCESS, make_tokens

PROGRAM = Path(sys.executable).with_name("schemathesis")
LIMITS = {"limits": {"queued_per_owner": 1_000_000}}
EXCEPTIONS: dict[str, dict[str, str]] = {
    # What its description allows is accepted.
    "positive_data_acceptance": {
        "POST /api/1/composes/": "whether a name is one, and what goes together, is more than a schema can say",
        "PATCH /api/1/composes/{id}": "the same",
        "POST /builds": "a manifest has a schema for each of its modules, and exports are names in it",
    },
    # What was just made can be used.
    "ensure_resource_availability": {
        "PATCH /api/1/composes/{id}": "as in ODCS, a compose that waits cannot be renewed (404)",
    },
    # What was removed is not there.
    "use_after_free": {
        "GET /api/1/composes/{id}": "as in ODCS, one that was removed stays to be read",
        "PATCH /api/1/composes/{id}": "and to be made again",
        "GET /builds/{id}": "DELETE cancels a build, which stays to be read",
        "GET /builds/{id}/log": "and so does what it has printed",
        "GET /builds/{id}/files": "and what it has exported",
    },
}
"""By check: the operations that are right to contradict it, and why. All others have to pass it."""


def check(running: Service, *options: str, seed: int = 1) -> None:
    """Have Schemathesis send what the description allows and what it does not; fail with what it finds."""
    settings = running.data.parent / "schemathesis.toml"
    settings.write_text(
        "".join(
            f"[[operations]]\ninclude-name = {json.dumps(list(operations))}\nchecks.{name}.enabled = false\n"
            for name, operations in EXCEPTIONS.items()
        )
    )
    done = subprocess.run(
        [
            *(str(PROGRAM), "--config-file", str(settings)),
            *("run", f"{running.url}/openapi.json", "--seed", str(seed), "--no-color"),
            *("--continue-on-failure", "--generation-database", "none", "--warnings", "off"),
            *options,
        ],
        capture_output=True,
        text=True,
        cwd=running.data,
    )
    log = (running.data.parent / "server.log").read_text()
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in log
    tested = re.search(r"(\d+) generated, (\d+) passed|(\d+) passed", done.stdout)
    assert tested is not None, done.stdout[-2000:]


@contextmanager
def described(directory: Path, settings: dict[str, Any] | None = None) -> Iterator[Service]:
    # Nobody builds here: what is followed has come to its end, or never would.
    with service(directory, {**LIMITS, **(settings or {})}, "--no-worker", "--migrate") as running:
        yield running


def test_a_sample_of_what_may_be_sent(tmp_path: Path) -> None:
    with described(tmp_path) as running:
        check(
            running, "--phases", "coverage,fuzzing", "--max-examples", "2", "--exclude-path-regex", "events"
        )


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_schemathesis_finds_nothing(tmp_path: Path, kind: str, seed: int) -> None:
    options = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100")
    without = ("--exclude-path-regex", "events")
    if kind == "sqlite":
        with described(tmp_path) as running:
            check(running, *options, *without, seed=seed)
        return
    try:
        with postgresql.running() as url, described(tmp_path, {"database": url}) as running:
            check(running, *options, *without, seed=seed)
    except postgresql.UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.soak
@pytest.mark.parametrize("who", ["admin", "alice", "nobody", None])
def test_schemathesis_finds_nothing_with_tokens(tmp_path: Path, who: str | None) -> None:
    settings = {"authentication": ["token"], "access": {**ACCESS, "public_read": who is not None}}
    with described(tmp_path, settings) as running:
        wanted = {"admin": {"user": "root", "groups": ["admins"]}, "alice": {}, "nobody": {"user": "x"}}
        header = ()
        if who is not None:
            header = ("-H", f"Authorization: Bearer {make_tokens(running.data, wanted)[who]}")
        options = ("--phases", "examples,coverage,fuzzing", "--max-examples", "50", *header)
        check(running, *options, "--exclude-path-regex", "events")
