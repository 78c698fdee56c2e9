"""SIGINT and SIGTERM at any moment of ``job run`` on a busy machine: it ends soon, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.jobs.sessions import wait_for

ROUNDS = 6
SOAK_ROUNDS = 400
PATIENCE = 60.0
"""Seconds that a run may take to end: all that its template asks for is at once."""

MARK = "INTERRUPTED_ROUND"
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")

JOB: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "Interrupted",
    "jobEnvironments": [
        {
            "name": "Server",
            "script": {
                "actions": {
                    "onEnter": {
                        "command": "sh",
                        "args": ["-c", "setsid sleep 1000 & sleep 1000 & echo openjd_env: A=1"],
                    },
                    "onExit": {"command": "sh", "args": ["-c", "echo left"]},
                }
            },
        }
    ],
    "steps": [
        {
            "name": "Tasks",
            "parameterSpace": {"taskParameterDefinitions": [{"name": "N", "type": "INT", "range": "1-200"}]},
            "script": {
                "actions": {
                    "onRun": {
                        "command": "sh",
                        "args": ["{{Task.File.F}}"],
                        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 1},
                    }
                },
                "embeddedFiles": [
                    {
                        "name": "F",
                        "type": "TEXT",
                        "data": "(setsid sleep 1000 &)\n"
                        "case {{Task.Param.N}} in *7) trap '' TERM; sleep 0.3;; *5) sleep 0.1;; esac\n"
                        "echo task {{Task.Param.N}}\n",
                    }
                ],
            },
        }
    ],
}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processors busy."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def marked(mark: str) -> list[str]:
    """Return the processes with ``mark`` in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    # What has ended, and waits for its parent to notice, has neither.
                    found.append(f"{name} {command}")
    return found


def interrupted(tmp_path: Path, number: int, chance: random.Random) -> str:
    """Start a run, end it by signals at random moments; return how that went, in a word."""
    mark = f"{MARK}={number}"
    temporary = tmp_path / f"tmp{number}"
    temporary.mkdir()
    environment = {
        **os.environ,
        MARK: str(number),
        "TMPDIR": str(temporary),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONFAULTHANDLER": "1",
    }
    jobs = chance.choice(["2", "4"])
    log, errors = tmp_path / "log", tmp_path / "errors"
    with log.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            [OSBUILD_CORE, "job", "run", tmp_path / "job.yaml", "--jobs", jobs],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            time.sleep(chance.uniform(0.0, chance.choice([0.5, 1.5, 4.0])))
            sent = [chance.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM])]
            process.send_signal(sent[0])
            while chance.random() < 0.4:
                time.sleep(chance.choice([0.0, 0.01, 0.2]))
                sent.append(chance.choice([signal.SIGINT, signal.SIGTERM]))
                process.send_signal(sent[-1])
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # All threads tell where they are.
            process.send_signal(signal.SIGABRT)
            process.wait(PATIENCE)
            pytest.fail(
                f"round {number} hangs, --jobs {jobs}:\n{errors.read_text()}\n{log.read_text()[-2000:]}"
            )
        finally:
            process.kill()
            process.wait()
    said = errors.read_text()
    # The first moments are Python's own, and it tells of them in its way.
    ready = "Traceback" not in said or "osbuild_core/" in said
    if ready:
        assert "Traceback" not in said, f"round {number}: {said}"
        assert status in (0, *(128 + n for n in sent), *(-n for n in sent)), (
            f"round {number}: {status} {said}"
        )
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not marked(mark))
    assert not marked(mark), f"round {number}"
    assert os.listdir(temporary) == [], f"round {number}"
    if status == 0:
        return "done"
    return "during" if ready and log.stat().st_size else "before"


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)])
def test_a_signal_at_any_moment_ends_a_run_and_leaves_nothing(tmp_path: Path, rounds: int) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    chance = random.Random(os.environ.get("OSBUILD_CORE_SEED", "5"))
    processors = len(os.sched_getaffinity(0))
    with busy(processors + 1 if rounds > ROUNDS else 1):
        went = [interrupted(tmp_path, number, chance) for number in range(rounds)]
    print({word: went.count(word) for word in sorted(set(went))})
    assert "during" in went
