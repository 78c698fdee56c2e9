"""The service does what its description says, whatever is sent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.emulator import schemathesis
from tests.emulator.awspub import cache_directory
from tests.integration.server.running import service

CACHE = cache_directory()
"""Asked for now: tests have caches of their own."""


@pytest.mark.soak
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    try:
        program = schemathesis.installed(CACHE)
    except schemathesis.UnavailableError as error:
        pytest.skip(str(error))
    settings = {"limits": {"queued_per_owner": 1_000_000}}
    with service(tmp_path, settings, "--no-worker") as running:
        done = subprocess.run(
            [
                *(
                    str(program),
                    "run",
                    f"{running.url}/openapi.json",
                    "--phases",
                    "examples,coverage,fuzzing",
                ),
                # Whether a name is one is more than a schema can say.
                *("--exclude-checks", "positive_data_acceptance", "--continue-on-failure"),
                # Nobody builds here, so what is followed never ends.
                *("--exclude-path-regex", "events", "--max-examples", "100", "--seed", "1"),
            ],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Traceback" not in (tmp_path / "server.log").read_text()
