"""How a build uses a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ClusterSettings(NamedTuple):
    """``directory`` is one that this machine and all nodes see: each run has a directory of its own there.

    ``remote_cache`` is the URL of the cache that the nodes share. ``node_store`` is where a node has its store;
    ``%N`` in it stands for the name of the node. ``program`` is the command on the nodes, which may have words
    before it. ``words`` go to every ``osbuild-core build`` there. ``cpus``, ``memory`` (bytes) and ``options`` go
    to the scheduler with each job.

    Seconds: ``poll`` between questions to the scheduler, ``beat`` between signs of life of this machine, ``lost``
    until a job that gets none ends itself, ``settle`` that jobs get to end, and what they wrote gets to be seen.
    ``attempts`` is how often a job is submitted whose node is lost.
    """

    directory: Path
    remote_cache: str
    node_store: str = "/var/tmp/osbuild-core/%N"
    program: str = "osbuild-core"
    words: tuple[str, ...] = ()
    cpus: int | None = None
    memory: int | None = None
    options: tuple[str, ...] = ()
    array: bool = False
    poll: float = 1.0
    beat: float = 10.0
    lost: float = 300.0
    settle: float = 60.0
    attempts: int = 3
