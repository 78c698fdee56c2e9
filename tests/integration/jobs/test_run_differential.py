"""``openjd run`` and ``osbuild-core job run`` of the same templates: what commands print is the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.core_cli.conftest import OSBUILD_CORE, Cli
from tests.integration.jobs.openjd import interpreter
from tests.integration.jobs.sessions import sh
from tests.integration.jobs.test_job_run import around, frames, once, write

SHOW = "echo '> '$A/$B/$C"
SAY = "echo '> {{Task.Param.F}}'"


def variables() -> list[dict[str, Any]]:
    enter = f"{SHOW}; echo openjd_env: B=two; echo 'openjd_env: C=3 = 3'; echo openjd_unset_env: A"
    return [
        {"name": "V", "variables": {"A": "one", "B": "{{Param.P}}"}},
        around("E", enter, SHOW),
        around("F", f"{SHOW}; echo openjd_env: A=again", SHOW),
    ]


PARAMETER = [{"name": "P", "type": "STRING", "default": "given"}]
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[str]]] = {
    "tasks": ([frames(SAY, "1-5:2,9")], {}, []),
    "variables": ([once("A", SHOW)], {"jobEnvironments": variables(), "parameterDefinitions": PARAMETER}, []),
    "steps": (
        [
            once("Last", "echo '> last'", dependencies=[{"dependsOn": "First"}]),
            once("First", "echo '> first'", stepEnvironments=[around("S", "echo '> in'", "echo '> out'")]),
        ],
        {"jobEnvironments": [around("J", "echo '> job in'", "echo '> job out'")]},
        [],
    ),
    "dependencies": (
        [
            once("A", "echo '> a'"),
            once("B", "echo '> b'", dependencies=[{"dependsOn": "A"}]),
            once("C", "echo '> c'"),
        ],
        {},
        ["--step", "B", "--run-dependencies"],
    ),
    "failure": (
        [frames(SAY + "; [ {{Task.Param.F}} != 2 ]")],
        {"jobEnvironments": [around("J", "echo '> in'", "echo '> out'")]},
        [],
    ),
    "timeout": (
        [{"name": "A", "script": {"actions": {"onRun": sh("echo '> a'; sleep 60", timeout=1)}}}],
        {},
        [],
    ),
    "malformed": ([once("A", "echo '> a'; echo ' openjd_env: A=1'; sleep 60; echo '> b'")], {}, []),
    "not there": ([{"name": "A", "script": {"actions": {"onRun": {"command": "no-such-command"}}}}], {}, []),
    "chosen": ([frames(SAY)], {}, ["--tasks", '[{"F": 3}, {"F": "1"}]']),
    "chunks": (
        [
            once(
                "A",
                "echo '> {{Task.Param.F}}'",
                parameterSpace={
                    "taskParameterDefinitions": [
                        {
                            "name": "F",
                            "type": "CHUNK[INT]",
                            "range": "1-10,20-25",
                            "chunks": {"defaultTaskCount": 4, "rangeConstraint": "CONTIGUOUS"},
                        }
                    ]
                },
            )
        ],
        {},
        [],
    ),
    "files": (
        [
            {
                "name": "A",
                "script": {
                    "actions": {"onRun": {"command": "{{Task.File.F}}", "args": ["one two"]}},
                    "embeddedFiles": [
                        {"name": "F", "type": "TEXT", "runnable": True, "data": '#!/bin/sh\necho "> $1"\n'}
                    ],
                },
            }
        ],
        {},
        [],
    ),
}


def outcome(command: list[str], directory: Path) -> dict[str, Any]:
    """Return the lines of a run's commands, and its result without what every run has differently."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, env=os.environ)
    log, _, result = done.stdout.partition("--- Results of local session ---")
    lines = [line.partition("\t")[2] for line in log.splitlines()]
    return {
        "exit": done.returncode,
        "lines": [line for line in lines if line.startswith("> ")],
        "result": [line for line in result.split("\n") if not line.startswith(("Duration", "Chunks"))],
    }


@pytest.mark.parametrize("name", CASES)
def test_both_do_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openjd = interpreter().with_name("openjd")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    steps, members, options = CASES[name]
    path = write(Cli(tmp_path), *steps, **members)
    ours = outcome([str(OSBUILD_CORE), "job", "run", path, *options], tmp_path)
    theirs = outcome([str(openjd), "run", path, *options], tmp_path)
    assert ours == theirs
    assert ours["exit"] in (0, 1)
    assert ours["lines"] or name == "not there"
