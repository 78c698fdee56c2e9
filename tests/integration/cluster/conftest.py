"""Builds on the private Slurm of the tests: two nodes, a store for each, a cache that they share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.conftest import OSBUILD_CORE, Bench, eventually
from tests.slurm.cluster import Cluster

MEET = """
folder = args['options']['folder']
name = args['options']['name']
open(os.path.join(folder, name + '-' + os.environ.get('SLURMD_NODENAME', 'here')), 'w').close()
end = time.time() + 120
while time.time() < end and len(os.listdir(folder)) < args['options']['count']:
    time.sleep(0.02)
point = os.path.join(args['root'], name)
os.makedirs(point)
return point
"""
"""A mount that waits, on the host, until as many have come as there should be, and says on which node it is."""


class ClusterBench(Bench):
    """A library, a store, a cache, and the command line that builds with them on a cluster."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        super().__init__(directory)
        self.cluster = cluster
        self.cache = directory / "cache"
        self.cache.mkdir()
        self.meetings = directory / "meetings"
        self.meetings.mkdir()
        self.add_service("mounts/org.osbuild.meet", MEET)
        self.add_stage(
            "org.osbuild.make",
            "print('making', args['options']['name'])\n"
            "open(args['tree'] + '/' + args['options']['name'], 'w').close()\n"
            "os.utime(args['tree'], (1000, 1000))\n"
            "os.utime(args['tree'] + '/' + args['options']['name'], (1000, 1000))\n"
            "if args['options'].get('fail'): sys.exit('this does not work')\n",
        )

    def on(self) -> list[Any]:
        return [
            *("--on", "slurm", "--remote-cache", f"file://{self.cache}"),
            *("--node-store", self.directory / "nodes/%N"),
        ]

    def wait_at(self, name: str, count: int) -> dict[str, Any]:
        """Return a mount at which ``count`` stages wait for each other."""
        options = {"folder": str(self.meetings), "name": name, "count": count}
        return {"mounts": [{"name": "meet", "type": "org.osbuild.meet", "options": options, "target": "/"}]}

    def met(self) -> list[str]:
        """Return who has come to the meeting, with their nodes."""
        return sorted(path.name for path in self.meetings.iterdir())

    def jobs(self) -> list[str]:
        """Return the states of the jobs that the cluster knows of this bench."""
        text = self.cluster.run("squeue", "-h", "-a", "-t", "all", "-o", "%T %Z")
        return [line.split()[0] for line in text.splitlines() if str(self.cache) in line]

    def nothing_runs(self) -> bool:
        return not {"PENDING", "RUNNING", "COMPLETING"} & set(self.jobs())

    def come(self, count: int) -> bool:
        return eventually(lambda: len(self.met()) >= count)

    def left(self) -> list[str]:
        """Return what is left: on this machine, in the directories of runs."""
        return [*self.leftovers(), *(str(path) for path in (self.cache / "runs").glob("*"))]


def make(name: str, **more: Any) -> dict[str, Any]:
    options = {"name": name, **more.pop("options", {})}
    return {"type": "org.osbuild.make", "options": options, **more}


def take(*trees: str) -> dict[str, Any]:
    """Return a stage that copies the directories that pipelines have made."""
    return {
        "type": "org.osbuild.copy",
        "inputs": {
            tree: {
                "type": "org.osbuild.tree",
                "origin": "org.osbuild.pipeline",
                "references": [f"name:{tree}"],
            }
            for tree in trees
        },
        "options": {"paths": [{"from": f"input://{tree}/{tree}", "to": f"tree:///{tree}"} for tree in trees]},
    }


@pytest.fixture
def bench(tmp_path: Path, slurm: Cluster) -> Iterator[ClusterBench]:
    made = ClusterBench(tmp_path, slurm)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def digest(tree: Path) -> str:
    argv = ["tar", "-C", str(tree), "--sort=name", "--format=posix", "--xattrs", "--mtime=@0", "-c", "."]
    argv.insert(5, "--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime")
    done = subprocess.run(argv, capture_output=True, check=True)
    import hashlib

    return hashlib.sha256(done.stdout).hexdigest()


def stages(document: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return pipeline, id and success of each stage of a build's JSON result."""
    return [(p["name"], s["id"], s["success"]) for p in document["pipelines"] for s in p["stages"]]


__all__ = ["OSBUILD_CORE", "ClusterBench", "digest", "json", "make", "stages", "take"]
