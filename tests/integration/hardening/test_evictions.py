"""Another process empties the store all the time: no build fails for it, and none takes what is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.engine.conftest import ROOT, Bench

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

EVICTOR = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from osbuild_core.store.store import Store
with Store.open(Path(sys.argv[2])) as store:
    freed = 0
    print("up", flush=True)
    while True:
        freed += store.evict(0)
"""


@pytest.fixture
def evictor(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", EVICTOR, str(ROOT), str(bench.store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        yield process
        assert process.poll() is None, "it is to go on to the end"
        process.kill()


def test_builds_beside_an_evictor(bench: Bench, evictor: subprocess.Popen[str]) -> None:
    """Pipelines that wait for each other, source items that wait for their stage, stages that were cached."""
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
    copy = {
        "type": "org.osbuild.copy",
        "inputs": {"f": files},
        "options": {"paths": [{"from": f"input://f/{HELLO}", "to": "tree:///hello"}]},
    }
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:a"]}
    tar = {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t.tar"}}
    steps = [{"type": "org.osbuild.noop", "options": {"n": n}} for n in range(4)]
    sources = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}
    bench.manifest(
        {"name": "a", "stages": [*steps, copy]},
        {"name": "b", "stages": [*steps[:2], tar, steps[3]]},
        {"name": "c", "stages": [steps[3], copy]},
        sources=sources,
    )
    out = bench.directory / "out"
    for number in range(6):
        exports = ["--export", "b", "--export", "c", "--output-directory", out / str(number)]
        done = bench.build(bench.directory / "manifest.json", "--json", *exports)
        assert done.returncode == 0, done.stderr
        assert (out / str(number) / "c" / "hello").read_text() == "hello\n"
        tar_file = out / str(number) / "b" / "t.tar"
        listed = subprocess.run(["tar", "tf", tar_file], capture_output=True, text=True, check=True).stdout
        assert "hello" in listed
        assert json.loads(done.stdout)["success"]
