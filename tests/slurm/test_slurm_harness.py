"""The private Slurm of the tests: users' jobs run, a node is lost and comes back, nothing outlives its process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from osbuild_core.exports.jobs.slurm.client import Slurm
from osbuild_core.exports.jobs.slurm.states import JobState
from tests.slurm.cluster import PREFIX, Cluster, unavailable

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]
ROOT = Path(__file__).resolve().parents[2]


def wait_until(there: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def state(cluster: Cluster, job: str) -> str:
    text = cluster.run("scontrol", "show", "job", job, "-o")
    return text.partition("JobState=")[2].partition(" ")[0]


def submit(cluster: Cluster, *argv: str) -> str:
    return cluster.run("sbatch", "--parsable", "-o", "/dev/null", *argv).strip()


def test_a_lost_node_s_jobs_fail_or_are_requeued(slurm: Cluster) -> None:
    lost = submit(slurm, "-w", "n1", "--no-requeue", "--wrap", "sleep 600")
    kept = submit(slurm, "-w", "n1", "--requeue", "--wrap", "[ $SLURM_RESTART_COUNT ] || sleep 600")
    wait_until(lambda: state(slurm, lost) == state(slurm, kept) == "RUNNING")
    slurm.kill_node("n1", noticed=True)
    slurm.wait_for_node("n1", "down")
    found = Slurm().query([lost, kept])
    assert (found[lost].state, found[lost].reason) == (JobState.FAILED, "a node of it was lost")
    assert found[kept].state is JobState.PENDING
    slurm.start_node("n1")
    wait_until(lambda: state(slurm, kept) == "COMPLETED")


def test_other_users_submit_and_the_controller_comes_back(slurm: Cluster) -> None:
    argv = ["sbatch", "--parsable", "-D", "/", "-o", "/dev/null", "--wrap", "test $(id -u) = 65534"]
    done = subprocess.run(argv, user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
    job = done.stdout.strip()
    assert job.isdecimal(), done.stderr
    slurm.stop_controller()
    assert "DOWN" in slurm.run("scontrol", "ping", check=False)
    slurm.start_controller()
    wait_until(lambda: state(slurm, job) == "COMPLETED")


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
def test_nothing_is_left_of_a_killed_test() -> None:
    with tempfile.TemporaryDirectory(prefix="slurm-") as directory:
        lose_a_cluster(Path(directory))
        assert os.listdir(directory) == []


def lose_a_cluster(directory: Path) -> None:
    program = (
        "import sys, time; from tests.slurm.cluster import Cluster\n"
        "with Cluster() as cluster:\n"
        "    cluster.run('sbatch', '-o', '/dev/null', '--wrap', 'sleep 600')\n"
        "    while 'R' not in cluster.run('squeue', '-h', '-o', '%t'): time.sleep(0.05)\n"
        "    print(cluster.places.root, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "TMPDIR": str(directory), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 60)[0]
            root = process.stdout.readline().strip()
            assert Path(root).name.startswith(PREFIX)
            assert of_cluster(root)
        finally:
            process.kill()
    wait_until(lambda: not of_cluster(root))
    # The next one on this machine takes its directory away.
    assert Path(root).is_dir()
    subprocess.run(
        [sys.executable, "-c", "from tests.slurm.cluster import Cluster\nwith Cluster(): pass"],
        env=environment,
        check=True,
    )


def of_cluster(root: str) -> list[int]:
    """Return the processes that have the cluster at ``root`` in their environment: daemons, steps, jobs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if root.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
