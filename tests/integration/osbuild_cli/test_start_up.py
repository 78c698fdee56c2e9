"""What a call imports: callers start osbuild often, and wait for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.osbuild_cli.conftest import mkdir

pytestmark = pytest.mark.root

HEAVY = {"click", "rich", "jsonschema", "yaml", "asyncio", "concurrent.futures", "urllib.request"}
PROGRAM = """
import sys
from osbuild_core.cli.osbuild import entry
status = entry(sys.argv[1:])
print("modules", *sys.modules, file=sys.stderr)
sys.exit(status)
"""


def imported(bench, *arguments):
    own = ("--store", bench.store, "--output-directory", bench.out)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, (*own, *arguments))],
        capture_output=True,
        text=True,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("modules ")[2].split())


def test_inspect_needs_no_engine(bench):
    path = bench.manifest({"name": "p", "stages": [mkdir("a")]})
    imported(bench, "--inspect", path)
    seen = imported(bench, "--inspect", path)
    assert not seen & HEAVY
    assert not [name for name in seen if name.startswith(("osbuild_core.engine", "osbuild_core.store"))]
    assert not {"subprocess", "ctypes", "threading", "dataclasses"} & seen


def test_a_build_that_finds_all_in_the_store_runs_no_stage(bench):
    path = bench.manifest({"name": "p", "stages": [mkdir("a")]})
    arguments = ("--export", "p", "--json", "--checkpoint", "p", "--cache-max-size", "20GiB", path)
    imported(bench, *arguments)
    seen = imported(bench, *arguments)
    assert not seen & HEAVY
    assert not {"osbuild_core.engine.local", "osbuild_core.engine.fetch", "osbuild_core.engine.pause"} & seen
    assert not [name for name in seen if name.startswith("osbuild_core.cli.monitors")]
