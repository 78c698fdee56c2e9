"""plan --as slurm: its job scripts build the manifest as this machine does, on nodes with stores of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.cluster.conftest import ClusterBench, digest, make, take
from tests.integration.engine.conftest import OSBUILD_CORE, eventually

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]


def submit(bench: ClusterBench, manifest: Path, *words: object) -> Path:
    """Write job scripts, submit them, wait for their end; return their directory."""
    jobs = bench.directory / "jobs"
    done = bench.run("plan", manifest, "--libdir", bench.library, "--as", "slurm", "-o", jobs, *words)
    assert done.returncode == 0, done.stderr
    store = f"{bench.directory}/nodes/$SLURMD_NODENAME"
    # What is called on a node chooses the store of the node.
    wrapper = bench.directory / "program"
    wrapper.write_text(f'#!/bin/sh\nexport OSBUILD_CORE_STORE="{store}"\nexec {OSBUILD_CORE} "$@"\n')
    wrapper.chmod(0o755)
    environment = {**bench.environment, "OSBUILD_CORE": str(wrapper)}
    subprocess.run([jobs / "submit.sh"], env=environment, check=True, stdout=subprocess.DEVNULL)
    # Of a job whose dependency failed the cluster needs a moment to know.
    assert eventually(lambda: not bench.cluster.run("squeue", "-h", "-o", "%A").split(), 120)
    return jobs


def test_the_same_is_built(bench: ClusterBench) -> None:
    manifest = bench.manifest(
        {"name": "left", "stages": [make("left", **bench.wait_at("left", 2))]},
        {"name": "right", "stages": [make("right", **bench.wait_at("right", 2))]},
        {"name": "all", "stages": [make("all"), take("left", "right")]},
    )
    jobs = submit(bench, manifest, "--export", "all", "--cpus", 2)
    logs = "".join(path.read_text() for path in jobs.glob("*.log"))
    assert {name.rpartition("-")[2] for name in bench.met()} == {"n0", "n1"}, logs
    here = bench.build(manifest, "--export", "all", "--output-directory", bench.directory / "here")
    assert here.returncode == 0, here.stderr
    assert digest(jobs / "output/all") == digest(bench.directory / "here/all")
    # What the cache has is found under the same keys and ids.
    bench.store = bench.directory / "other"
    result = bench.result(manifest, "--remote-cache", f"file://{jobs}/cache", "--pipeline", "all")
    inspected = json.loads(bench.run("inspect", "--libdir", bench.library, manifest).stdout)
    found = [(s["id"], s["cached"]) for p in result["pipelines"] for s in p["stages"]]
    assert found == [(s["id"], True) for s in inspected["pipelines"][2]["stages"]]


@pytest.mark.soak
def test_what_stands_on_a_failure_is_cancelled(bench: ClusterBench) -> None:
    manifest = bench.manifest(
        {"name": "bad", "stages": [make("bad", options={"fail": True})]},
        {"name": "next", "stages": [take("bad")]},
    )
    jobs = submit(bench, manifest)
    assert os.path.exists(jobs / "cache")
    (log,) = jobs.glob("*.log")
    assert log.name.startswith("1-bad-") and "this does not work" in log.read_text()
