"""Follows jobs to their end, through the restarts of a controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from osbuild_core.exports.jobs.slurm.client import Slurm
from osbuild_core.exports.jobs.slurm.errors import SlurmError
from osbuild_core.exports.jobs.slurm.states import JobStatus

PATIENCE = 300.0
"""Seconds for which a controller may give no answer."""

LOST_AFTER = 3
"""Times that nobody knows a job before it counts as lost; a record may take a moment to be written."""


def follow(
    slurm: Slurm,
    jobs: Iterable[str],
    *,
    since: str = "",
    interval: float = 1.0,
    pause: Callable[[float], object] = time.sleep,
    patience: float = PATIENCE,
) -> Iterator[JobStatus]:
    """Yield the status of each of ``jobs`` at first and whenever it changes, until all have ended.

    Asks every ``interval`` seconds, by way of ``pause``. Raises SlurmError: ``slurm.controller`` after ``patience``
    seconds without an answer, ``slurm.unknown-job`` where nobody knows a job any more.
    """
    left = dict.fromkeys(jobs, 0)
    shown: dict[str, JobStatus] = {}
    answered = time.monotonic()
    while left:
        try:
            found = slurm.query(left, since=since)
            answered = time.monotonic()
        except SlurmError as error:
            if not error.retryable or time.monotonic() - answered > patience:
                raise
            pause(interval)
            continue
        for job in list(left):
            status = found.get(job)
            if status is None:
                left[job] += 1
                if left[job] >= LOST_AFTER:
                    raise SlurmError(
                        f"nobody knows of job {job} any more",
                        code="slurm.unknown-job",
                        hint="it may have ended long ago, on a cluster that keeps no records",
                    )
                continue
            left[job] = 0
            if shown.get(job) != status:
                shown[job] = status
                yield status
            if status.ended:
                del left[job]
        if left:
            pause(interval)
