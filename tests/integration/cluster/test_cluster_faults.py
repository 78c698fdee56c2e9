"""build --on slurm, what is not as it should be: one line and a hint, and nothing left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.cluster.conftest import ClusterBench, make
from tests.integration.engine.conftest import OSBUILD_CORE, eventually

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]

ONE = {"name": "one", "stages": [make("one")]}


def refused(bench: ClusterBench, *words: object, status: int = 1) -> str:
    """Build; return the only line that is printed."""
    done = bench.build(bench.manifest(ONE), *(words or bench.on()), "--quiet")
    assert done.returncode == status and bench.left() == [], done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_no_slurm(bench: ClusterBench, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bwrap", "mount", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    bench.environment["PATH"] = str(programs)
    assert refused(bench).startswith("error: there is no sbatch here (install the package slurm-client")


def test_the_controller_is_down(bench: ClusterBench) -> None:
    bench.cluster.stop_controller()
    try:
        line = refused(bench)
    finally:
        bench.cluster.start_controller()
    assert line.startswith("error: scontrol: ") and "scontrol ping" in line


@pytest.mark.soak
def test_the_controller_goes_away_for_a_while(bench: ClusterBench) -> None:
    """Jobs go on, and what they write is read meanwhile."""
    manifest = bench.manifest(
        {"name": "one", "stages": [make("one", **bench.wait_at("one", 2)), make("two")]}
    )
    process = bench.start(manifest, *bench.on())
    assert bench.come(1)
    bench.cluster.stop_controller()
    try:
        (bench.meetings / "go").touch()
        seen = bench.cache / "runs"
        text = '"StageFinished"'
        assert eventually(lambda: any(text in p.read_text() for p in seen.glob("*/*/events-*")))
    finally:
        bench.cluster.start_controller()
    assert process.communicate(timeout=120)[1].count("warning: ") <= 1
    assert process.returncode == 0 and eventually(bench.nothing_runs) and bench.left() == []


def test_no_directory(bench: ClusterBench) -> None:
    bench.cache.rmdir()
    line = refused(bench)
    assert "there is no directory" in line and "(name one that this machine and all nodes share)" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "slurm"], "--on needs --remote-cache"),
        (["--array"], "--array goes with --on"),
        (["--cpus", 2], "--cpus goes with --on"),
        (["other.json"], "several manifests at once need --on and --array"),
    ],
)
def test_options_that_do_not_go_together(bench: ClusterBench, words: list[object], said: str) -> None:
    done = bench.build(bench.manifest(ONE), *words)
    assert done.returncode == 2 and said in done.stderr and bench.left() == []


def test_what_slurm_refuses(bench: ClusterBench) -> None:
    line = refused(bench, *bench.on(), "--cluster-option=--partition=none")
    assert line.startswith("error: pipeline one: pipelines[0]: sbatch: ") and "there are: ci" in line


def test_a_job_that_does_not_even_begin(bench: ClusterBench) -> None:
    bench.environment["OSBUILD_CORE"] = "/nowhere/osbuild-core"
    done = bench.build(bench.manifest(ONE), *bench.on(), "--quiet")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "ended without a result: FAILED" in line and "not found" in line
    # Its log is where the hint says.
    log = Path(line.rpartition("its log is ")[2].rstrip(")"))
    assert "not found" in log.read_text()


def test_another_node_than_this_machine(bench: ClusterBench) -> None:
    """What it would build is filed under another key."""
    program = bench.directory / "other"
    library = bench.directory / "other-library"
    shutil.copytree(bench.library, library)
    with (library / "stages/org.osbuild.make").open("a") as file:
        file.write("# another version\n")
    program.write_text(f'#!/bin/sh\nword=$1; shift\nexec {OSBUILD_CORE} $word --libdir {library} "$@"\n')
    program.chmod(0o755)
    bench.environment["OSBUILD_CORE"] = str(program)
    line = refused(bench)
    assert "would file the pipeline under another key" in line and eventually(bench.nothing_runs)


def test_a_node_with_other_packages(bench: ClusterBench) -> None:
    """What runs on the host's own /usr is not built on a node that is not like the machine that planned it."""
    done = bench.build(bench.manifest(ONE), *bench.on(), "--quiet", "--host", "other")
    (line,) = done.stderr.splitlines()
    assert "this host has other packages" in line and eventually(bench.nothing_runs)


def test_a_job_that_somebody_cancels(bench: ClusterBench) -> None:
    manifest = bench.manifest({"name": "one", "stages": [make("one", **bench.wait_at("one", 2))]})
    process = bench.start(manifest, *bench.on(), "--quiet")
    assert bench.come(1)
    jobs = bench.cluster.run("squeue", "-h", "-o", "%A").split()
    bench.cluster.run("scancel", *jobs)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and len(said.splitlines()) == 1 and "cancelled" in said.lower(), said
    assert os.path.isdir(bench.store)
