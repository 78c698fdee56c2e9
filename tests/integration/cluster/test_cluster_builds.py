"""build --on slurm: on both nodes as here; what fails, what is lost, what is cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.integration.cluster.conftest import ClusterBench, digest, make, stages, take
from tests.integration.engine.conftest import eventually

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]


def four(bench: ClusterBench, count: int = 2) -> list[dict[str, Any]]:
    """Pipelines of which two are built on two nodes at the same time."""
    return [
        {"name": "base", "stages": [make("base")]},
        *(
            {"name": name, "stages": [make(name, **bench.wait_at(name, count)), take("base")]}
            for name in ("left", "right")
        ),
        {"name": "all", "stages": [make("all"), take("left", "right")]},
    ]


def two(bench: ClusterBench) -> list[dict[str, Any]]:
    """Two pipelines that wait for a third party."""
    return [{"name": n, "stages": [make("first"), make(n, **bench.wait_at(n, 3))]} for n in ("left", "right")]


def test_both_nodes_build_what_this_machine_builds(bench: ClusterBench) -> None:
    manifest = bench.manifest(*four(bench))
    words = ["--export", "all", "--output-directory", bench.directory / "out"]
    done = bench.build(manifest, *bench.on(), "--cpus", 2, "--json", "--memory", "100MB", *words)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    # A job that asks for both processors of a node is alone there.
    assert {name.rpartition("-")[2] for name in bench.met()} == {"n0", "n1"}
    assert eventually(bench.nothing_runs) and bench.jobs() == ["COMPLETED"] * 4
    assert bench.left() == []

    again = bench.build(manifest, *bench.on(), *words)
    assert "0 stages run" in again.stderr and len(bench.jobs()) == 4
    bench.store = bench.directory / "other"
    elsewhere = bench.build(manifest, *bench.on(), *words)
    assert elsewhere.returncode == 0 and len(bench.jobs()) == 4, elsewhere.stderr

    bench.store = bench.directory / "local"
    here = bench.result(manifest, "--export", "all", "--output-directory", bench.directory / "here")
    assert stages(there) == stages(here)
    assert all(not stage["cached"] for p in there["pipelines"] for stage in p["stages"])
    outputs = [[s["output"] for p in one["pipelines"] for s in p["stages"]] for one in (there, here)]
    assert outputs[0] == outputs[1]
    assert digest(bench.directory / "out/all") == digest(bench.directory / "here/all")
    assert sorted(os.listdir(bench.directory / "out/all")) == ["all", "left", "right"]


@pytest.mark.soak
def test_progress(bench: ClusterBench) -> None:
    done = bench.build(bench.manifest(four(bench)[0]), *bench.on(), "--verbose")
    lines = done.stderr.splitlines()
    assert lines[0] == "base: started" and lines[1].endswith(" is submitted")
    assert "base | making base" in lines
    assert lines[-2].startswith("base: done in ") and lines[-1].startswith("done in "), lines


def test_what_only_the_cache_has_stays_there(bench: ClusterBench) -> None:
    base, top = four(bench)[0], {"name": "top", "stages": [make("top"), take("base")]}
    assert bench.build(bench.manifest(base), *bench.on()).returncode == 0
    bench.store = bench.directory / "other"
    result = bench.result(bench.manifest(base, top), *bench.on())
    assert [[s["cached"] for s in p["stages"]] for p in result["pipelines"]] == [[True], [False, False]]
    assert result["success"] and len(bench.jobs()) == 2
    assert len(list((bench.store / "objects").iterdir())) == 2


def test_a_stage_that_fails(bench: ClusterBench) -> None:
    pipelines = [
        {"name": "base", "stages": [make("base"), make("bad", options={"fail": True})]},
        {"name": "next", "stages": [take("base")]},
    ]
    manifest = bench.manifest(*pipelines)
    there = bench.build(manifest, *bench.on(), "--json")
    first, second = json.loads(there.stdout)["pipelines"]
    assert there.returncode == 1 and second["error"]["code"] == "cancelled"
    with open(first["stages"][1]["log"]) as file:
        log = file.read()
    assert log == "making bad\nthis does not work\n"
    assert eventually(bench.nothing_runs) and bench.jobs() == ["FAILED"] and bench.left() == []

    bench.store = bench.directory / "local"
    here = bench.build(manifest, "--json")
    for one, other in zip(first["stages"], json.loads(here.stdout)["pipelines"][0]["stages"], strict=True):
        different = {"seconds", "log"}
        assert {k: v for k, v in one.items() if k not in different} == {
            k: v for k, v in other.items() if k not in different
        }
    said = [line for line in there.stderr.splitlines() if "log:" not in line]
    assert said == [line for line in here.stderr.splitlines() if "log:" not in line]


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT, signal.SIGINT], pytest.param([signal.SIGTERM], marks=pytest.mark.soak)],
)
def test_interruption(bench: ClusterBench, signals: list[signal.Signals]) -> None:
    process = bench.start(bench.manifest(*two(bench)), *bench.on())
    assert bench.come(2)
    bench.stop(process, *signals)
    assert process.returncode == 128 + signals[0]
    assert bench.nothing_runs()
    assert eventually(lambda: not bench.left(), 20), bench.left()
    # What was finished is not done again.
    (bench.meetings / "third").touch()
    done = bench.build(bench.manifest(*two(bench)), *bench.on(), "--json")
    assert done.returncode == 0, done.stderr
    cached = [[s["cached"] for s in p["stages"]] for p in json.loads(done.stdout)["pipelines"]]
    assert cached == [[True, False]] * 2


def test_jobs_end_when_their_build_was_killed(bench: ClusterBench) -> None:
    process = bench.start(bench.manifest(*two(bench)), *bench.on(), "--job-patience", 4)
    assert bench.come(2)
    process.kill()
    process.communicate()
    assert "RUNNING" in bench.jobs()
    assert eventually(bench.nothing_runs), bench.jobs()
    assert eventually(lambda: not bench.leftovers(), 20), bench.leftovers()
    # The directory of the run.
    assert len(bench.left()) == 1


@pytest.mark.parametrize("requeue", ["--requeue", pytest.param("--no-requeue", marks=pytest.mark.soak)])
def test_a_node_is_lost(bench: ClusterBench, requeue: str) -> None:
    pipelines = [*two(bench), {"name": "all", "stages": [take("left", "right")]}]
    manifest = bench.manifest(*pipelines)
    words = ["--cpus", 2, f"--cluster-option={requeue}"]
    words += ["--export", "all", "--output-directory", bench.directory / "out", "--json"]
    process = bench.start(manifest, *bench.on(), *words)
    assert bench.come(2)
    bench.cluster.kill_node("n1", noticed=True)
    (bench.meetings / "third").touch()
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    # The one that was lost began again on the other node.
    assert sorted(name.rpartition("-")[2] for name in bench.met()) == ["n0", "n0", "n1", "third"]
    assert sorted(os.listdir(bench.directory / "out/all")) == ["left", "right"]
    result = json.loads(out)
    inspected = json.loads(bench.run("inspect", "--libdir", bench.library, manifest).stdout)
    assert stages(result) == [(p["name"], s["id"], True) for p in inspected["pipelines"] for s in p["stages"]]
    bench.cluster.start_node("n1")
    assert bench.left() == []


def test_a_node_that_was_lost_and_is_not_dead(bench: ClusterBench) -> None:
    """What still runs of the attempt before keeps and publishes nothing."""
    manifest = bench.manifest({"name": "p", "stages": [make("first"), make("p", **bench.wait_at("p", 3))]})
    process = bench.start(manifest, *bench.on(), "--export", "p", "-o", bench.directory / "out")
    assert bench.come(1)
    (script,) = (bench.cache / "runs").glob("*/1-p/job.sh")
    job, _, restarts = (script.parent / "attempt").read_text().strip().partition(".")
    assert restarts == "0"
    # The same attempt once more, where no power cut reaches it.
    environment = {**bench.environment, "SLURM_JOB_ID": job, "SLURMD_NODENAME": "undead"}
    undead = subprocess.Popen(["sh", script], env=environment, stderr=subprocess.DEVNULL)
    assert bench.come(2)
    bench.cluster.kill_node("n0", noticed=True)
    # The next attempt is the third that they wait for, so all three go on at the same time.
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert bench.met() == ["p-n0", "p-n1", "p-undead"]
    assert undead.wait(timeout=60) != 0
    plan = json.loads(bench.run("plan", manifest, "--libdir", bench.library, "--json").stdout)
    key = plan["pipelines"][0]["stages"][1]["key"]
    kept = [(bench.directory / "nodes" / node / "objects" / key).exists() for node in ("undead", "n1")]
    assert kept == [False, True]
    assert sorted(os.listdir(bench.directory / "out/p")) == ["first", "p"]
    bench.cluster.start_node("n0")
    assert eventually(lambda: bench.left() == []), bench.left()
