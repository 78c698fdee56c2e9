"""``osbuild-core job run --root``: builds the pipeline, then runs the job on its tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.cli.documents import read_manifest
from osbuild_core.cli.progress import watched_session
from osbuild_core.cli.start import cancelling
from osbuild_core.engine.settings import Settings
from osbuild_core.exports.jobs.run import JobRun, RunOptions, RunResult, run_in_thread
from osbuild_core.exports.jobs.tree import build_tree, mounted, parameter_binds

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.events import Sink
    from osbuild_core.exports.jobs.job import Job, JobParameterValues
    from osbuild_core.exports.jobs.selection import SelectedStep


def run_in_tree(
    job: Job,
    values: JobParameterValues,
    selected: Sequence[SelectedStep],
    options: RunOptions,
    sink: Sink,
    manifest: str,
    pipeline: str,
    store: Path,
) -> RunResult:
    """Build ``pipeline`` of the manifest, as far as the store does not have it, and run the job on its tree."""
    document = read_manifest(manifest)
    binds = parameter_binds(job, values, options.rules)
    with watched_session(Settings(store=store)) as engine:
        key = build_tree(engine, engine.load(document), pipeline)
        # Made first, since a signal may come before the tree is mounted.
        run = JobRun(job, values, selected, options._replace(tree=key), sink)

        def work() -> RunResult:
            with mounted(engine, key, binds) as switch:
                return run.run(switch)

        with cancelling(run.interrupt):
            return run_in_thread(work)
