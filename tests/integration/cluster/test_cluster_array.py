"""build --on slurm --array: many manifests at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.cluster.conftest import ClusterBench, make, stages, take
from tests.integration.engine.conftest import eventually

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]


def several(bench: ClusterBench, count: int, **more: object) -> list[Path]:
    """Manifests with a pipeline that they share and one that is theirs."""
    paths = []
    for number in range(count):
        name = f"own{number}"
        own = {"name": name, "stages": [make(name, **more), take("base")]}
        path = bench.manifest(
            {"name": "base", "stages": [make("base")]},
            own,
            {"name": "os", "stages": [make("os"), take(name)]},
        )
        paths.append(path.rename(bench.directory / f"m{number}.json"))
    return paths


def arrays(bench: ClusterBench) -> dict[str, int]:
    """Return how many tasks each array job of the bench has had."""
    text = bench.cluster.run("squeue", "-h", "-r", "-a", "-t", "all", "-o", "%F %Z")
    jobs = [line.split()[0] for line in text.splitlines() if str(bench.cache) in line]
    return {job: jobs.count(job) for job in jobs}


def test_several_manifests(bench: ClusterBench) -> None:
    paths = several(bench, 3)
    out = bench.directory / "out"
    events = bench.directory / "events"
    words = ["--export", "os", "--output-directory", out, "--json", "--events", events]
    done = bench.build(paths[0], *paths[1:], *bench.on(), "--array", *words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [build["manifest"] for build in result["builds"]] == [str(path) for path in paths]
    for number, build in enumerate(result["builds"]):
        assert os.listdir(out / f"m{number}/os") and build["success"]
        inspected = json.loads(bench.run("inspect", "--libdir", bench.library, paths[number]).stdout)
        ids = [(p["name"], s["id"], True) for p in inspected["pipelines"] for s in p["stages"]]
        assert stages(build) == ids
    ended = [json.loads(line) for line in events.read_text().splitlines() if '"RunFinished"' in line]
    assert sorted(event["manifest"] for event in ended) == [str(path) for path in paths]
    # What they share is built once, what each has of its own at the same time.
    tasks = arrays(bench)
    assert sum(tasks.values()) == 7 and max(tasks.values()) > 1
    assert eventually(bench.nothing_runs) and bench.left() == []


@pytest.mark.soak
def test_one_of_them_fails(bench: ClusterBench) -> None:
    paths = several(bench, 2)
    document = json.loads(paths[1].read_text())
    document["pipelines"][2]["stages"][0]["options"]["fail"] = True
    paths[1].write_text(json.dumps(document))
    bad = bench.directory / "bad.json"
    bad.write_text('{"version": "2", "pipelines": [{"name": "x", "stages": [{"type": "org.osbuild.none"}]}]}')
    done = bench.build(*paths, bad, *bench.on(), "--array")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert any(line.startswith("m0: done in ") for line in lines)
    assert "m1: this does not work" in lines
    assert any(line.startswith(f"error: {bad}: pipelines[0].stages[0]") for line in lines)
    assert eventually(bench.nothing_runs) and bench.left() == []


@pytest.mark.soak
def test_all_are_interrupted(bench: ClusterBench) -> None:
    paths = several(bench, 2, **bench.wait_at("own", 9))
    process = bench.start(*paths, *bench.on(), "--array")
    assert eventually(lambda: "RUNNING" in bench.jobs()) and bench.come(1)
    bench.stop(process, signal.SIGINT)
    assert process.returncode == 130 and bench.nothing_runs()
    assert eventually(lambda: not bench.left(), 20), bench.left()
