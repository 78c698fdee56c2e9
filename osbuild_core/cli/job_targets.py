"""What commands about submitted jobs are given: a script that was submitted, its folder, or a job's number."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.jobs.scripts.record import SubmittedJob, find
from osbuild_core.exports.jobs.slurm.client import Slurm
from osbuild_core.exports.jobs.slurm.errors import SlurmError
from osbuild_core.exports.jobs.slurm.states import JobState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

STATUSES = {
    JobState.DONE: 0,
    JobState.FAILED: 3,
    JobState.CANCELLED: 4,
    JobState.PENDING: 5,
    JobState.RUNNING: 5,
}
"""Exit status by a job's state; 1 is for errors, as ever."""

HELP = (
    "TARGET is a script that was submitted, the folder that it is in, or the number of a job (12, 12_3 for a task"
    " of an array)."
)


def jobs_of(target: str, *, every: bool = False) -> list[SubmittedJob]:
    """Return the job that ``target`` is about: the script's last one, or ``every`` one. Raises UsageError."""
    if re.fullmatch(r"\d+(_\d+)?", target) and not os.path.exists(target):
        return [SubmittedJob(target, "")]
    _, jobs = find(target)
    return jobs if every else jobs[-1:]


def cluster_of(job: SubmittedJob) -> Slurm:
    """Return the cluster to which ``job`` was submitted; what the environment says wins."""
    environment = dict(os.environ)
    if job.config is not None:
        environment.setdefault("SLURM_CONF", job.config)
    return Slurm(environment)


def status_of_job(job: SubmittedJob) -> JobStatus:
    """Return the status of ``job``. Raises SlurmError ``slurm.unknown-job`` where nobody knows it any more."""
    found = cluster_of(job).query([job.job], since=job.submitted).get(job.job)
    if found is None and job.completion_log is not None:
        from pathlib import Path

        from osbuild_core.exports.jobs.slurm.history import from_completion_log

        found = from_completion_log(Path(job.completion_log), job.job, job.submitted)
    if found is None:
        raise SlurmError(
            f"nobody knows of job {job.job}",
            code="slurm.unknown-job",
            hint="it may have ended long ago, on a cluster that keeps no records",
        )
    return found


def exit_status(statuses: Sequence[JobStatus]) -> int:
    """Return the exit status for jobs: 0 if all are done, else that of the first one which is not."""
    return next((STATUSES[one.state] for one in statuses if STATUSES[one.state]), 0)


def text_of(status: JobStatus) -> str:
    """Return a status in one line."""
    reason = f": {status.reason}" if status.reason else ""
    nodes = f" (on {status.nodes})" if status.nodes and status.state is JobState.RUNNING else ""
    return f"{status.job}: {status.state}{reason}{nodes}"


def document_of(status: JobStatus) -> dict[str, Any]:
    """Return a status for ``--json``."""
    document = asdict(status)
    document["tasks"] = [document_of(task) for task in status.tasks]
    return document
