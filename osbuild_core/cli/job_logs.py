"""``osbuild-core job logs``: what jobs have printed."""

from __future__ import annotations

import glob
import re
import sys
import time
from typing import TYPE_CHECKING

import click

from osbuild_core.cli.job_targets import HELP, cluster_of, jobs_of, status_of_job
from osbuild_core.model.errors import OsbuildError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.scripts.record import SubmittedJob

_CHUNK = 1 << 16


@click.command("logs", epilog=HELP)
@click.argument("target")
@click.option("--task", type=click.IntRange(min=0), metavar="NUMBER", help="Only this task of an array.")
@click.option("--error", is_flag=True, help="What went to standard error, where that is a file of its own.")
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
def command(target: str, task: int | None, error: bool, follow: bool) -> int:
    """Print what a job has printed so far, as it is in its file; this machine has to see that file."""
    (job,) = jobs_of(target)
    patterns = _patterns(job, task, error)
    shown = _Shown()
    while True:
        ended = not follow or status_of_job(job).ended
        for path in _paths(patterns):
            shown.print(path)
        sys.stdout.flush()
        if ended:
            break
        time.sleep(0.5)
    if not shown.read:
        status = status_of_job(job)
        hint = status.reason if not status.ended and status.reason else "is it a file of another machine?"
        raise OsbuildError(
            f"job {job.job} is {status.state}, and there is no {' or '.join(patterns)}",
            code="job.log",
            hint=hint,
            retryable=not status.ended,
        )
    return 0


def _patterns(job: SubmittedJob, task: int | None, error: bool) -> list[str]:
    """Return where the output is; with ``*`` for any task of an array. Raises OsbuildError."""
    number, _, own = job.job.partition("_")
    if task is None and own:
        task = int(own)
    remembered = job.error if error else job.output
    if remembered:
        return [_of_task(remembered, task)]
    name = number if task is None else f"{number}_{task}"
    found = [one.error if error else one.output for one in cluster_of(job).details(name)]
    return [_of_task(path, task) for path in dict.fromkeys(found) if path]


def _of_task(path: str, task: int | None) -> str:
    return path if task is None else path.replace("*", str(task))


def _paths(patterns: list[str]) -> list[str]:
    """Return the files that there are, in the order of their tasks."""
    found = set()
    for pattern in patterns:
        head, star, tail = pattern.partition("*")
        found |= set(glob.glob(f"{glob.escape(head)}{star}{glob.escape(tail)}"))
    return sorted(
        found, key=lambda path: [int(word) if word.isdecimal() else 0 for word in re.split(r"(\d+)", path)]
    )


class _Shown:
    """Prints files as they grow; ``read`` says how much of each was printed."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self._last: str | None = None

    def print(self, path: str) -> None:
        """Print what is new in the file at ``path``, after its name if that was not the last one."""
        out = sys.stdout.buffer
        with open(path, "rb") as file:
            file.seek(self.read.setdefault(path, 0))
            while part := file.read(_CHUNK):
                if self._last not in (None, path):
                    out.write(f"==> {path} <==\n".encode())
                self._last = path
                out.write(part)
                self.read[path] += len(part)
