"""``osbuild-core build --on slurm``: the options, and what they make of the build."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osbuild_core.cli.commands import Place
from osbuild_core.cli.options import Size
from osbuild_core.model.errors import UsageError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.cluster.executor import Cluster

F = TypeVar("F", bound=Callable[..., Any])

OWN = ("on", "cluster_directory", "node_store", "cpus", "memory", "job_patience", "cluster_options", "array")

JOBS = 256
"""Pipelines at once on a cluster unless told: it has a queue of its own."""


def cluster_options(function: F) -> F:
    """Add ``--on`` and what goes with it: the command gets ``cluster``, which is None for this machine."""

    @functools.wraps(function)
    def opened(*args: Any, **given: Any) -> Any:
        context = click.get_current_context()
        own = {name: given.pop(name) for name in OWN}
        if own["on"] is not None:
            if given["remote_cache_read_only"]:
                raise click.UsageError(
                    "--remote-cache-read-only does not go with --on: nodes put trees there"
                )
            if given["more"] and not own["array"]:
                raise click.UsageError("several manifests at once need --array")
            if given["fetch_only"]:
                raise click.UsageError(
                    "--fetch-only does not go with --on: sources are fetched by this machine"
                )
            if context.get_parameter_source("jobs") is click.core.ParameterSource.DEFAULT:
                given["jobs"] = JOBS
        elif given["more"]:
            raise click.UsageError("several manifests at once need --on and --array")
        names = ("libdir", "store_backend", "mirrors", "cache_max_size", "stage_timeout")
        words = node_words(**{name: given[name] for name in names})
        cluster = open_cluster(**own, remote_cache=given["remote_cache"], words=words)
        return function(*args, **given, cluster=cluster)

    decorated: Any = opened
    for option in reversed(
        (
            click.option(
                "--on", type=click.Choice(["slurm"]), help="Build on a cluster, as jobs of this scheduler."
            ),
            click.option(
                "--cluster-directory",
                type=Place(path_type=Path),
                metavar="DIR",
                help="Directory that the nodes share. [default: runs, in the directory of --remote-cache]",
            ),
            click.option(
                "--node-store",
                default="/var/tmp/osbuild-core/%N",
                show_default=True,
                metavar="DIR",
                help="Store of a node; %N stands for its name.",
            ),
            click.option(
                "--cpus", type=click.IntRange(1), metavar="N", help="Processors that a job asks for."
            ),
            click.option("--memory", type=Size(), metavar="SIZE", help="Memory that a job asks for."),
            click.option(
                "--job-patience",
                type=click.FloatRange(min=1),
                default=300,
                show_default=True,
                metavar="SECONDS",
                help="How long jobs go on without a sign of life of this build.",
            ),
            click.option(
                "--array",
                is_flag=True,
                help="Build all MANIFESTs at once; jobs that can run at the same time become one array job.",
            ),
            click.option(
                "--cluster-option",
                "cluster_options",
                multiple=True,
                metavar="OPTION",
                help="Further option of sbatch: --partition=build.",
            ),
        )
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def open_cluster(
    on: str | None,
    *,
    remote_cache: str | None,
    cluster_directory: Path | None,
    node_store: str,
    cpus: int | None,
    memory: int | None,
    job_patience: float,
    cluster_options: tuple[str, ...],
    array: bool,
    words: tuple[str, ...],
) -> Cluster | None:
    """Return the cluster to build on, None for this machine. ``words`` are for every build on a node.

    Raises click.UsageError for options that need ``--on``, UsageError where there is no directory for all nodes.
    """
    if on is None:
        given = {
            "cluster-directory": cluster_directory,
            "cpus": cpus,
            "memory": memory,
            "cluster-option": cluster_options,
            "array": array,
        }
        for name, value in given.items():
            if value:
                raise click.UsageError(f"--{name} goes with --on")
        return None
    if remote_cache is None:
        raise click.UsageError("--on needs --remote-cache: a cache that all nodes reach")
    from osbuild_core.exports.jobs.cluster.executor import Cluster
    from osbuild_core.exports.jobs.cluster.settings import ClusterSettings
    from osbuild_core.exports.jobs.cluster.slurm import SlurmScheduler

    settings = ClusterSettings(
        directory=cluster_directory or _shared(remote_cache) / "runs",
        remote_cache=remote_cache,
        node_store=os.path.abspath(node_store),
        program=_program(),
        words=words,
        cpus=cpus,
        memory=memory,
        options=cluster_options,
        array=array,
        beat=min(10.0, job_patience / 5),
        lost=job_patience,
    )
    return Cluster(settings, SlurmScheduler())


def _shared(remote_cache: str) -> Path:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(remote_cache)
    if parts.scheme != "file":
        raise UsageError(
            "jobs need a directory that all nodes share",
            code="usage.cluster-directory",
            hint="name one with --cluster-directory",
        )
    return Path(unquote(parts.path))


def _program() -> str:
    """Return how osbuild-core is called on the nodes: as here, unless OSBUILD_CORE says otherwise."""
    told = os.environ.get("OSBUILD_CORE")
    if told:
        return told
    own = os.path.abspath(sys.argv[0])
    there = os.access(own, os.X_OK) and os.path.basename(own) == "osbuild-core"
    return shlex.quote(own if there else "osbuild-core")


def node_words(
    libdir: tuple[str, ...],
    store_backend: str | None,
    mirrors: tuple[tuple[str, str], ...],
    cache_max_size: int | None,
    stage_timeout: float | None,
) -> tuple[str, ...]:
    """Return the options of this build that count on the nodes, too."""
    words = [word for directory in libdir for word in ("--libdir", os.path.abspath(directory))]
    words += [word for prefix, mirror in mirrors for word in ("--mirror", f"{prefix}={mirror}")]
    for name, value in (
        ("store-backend", store_backend),
        ("cache-max-size", cache_max_size),
        ("stage-timeout", stage_timeout),
    ):
        if value is not None:
            words += [f"--{name}", str(value)]
    return tuple(words)
