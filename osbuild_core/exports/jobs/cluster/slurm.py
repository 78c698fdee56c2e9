"""Slurm as the scheduler of builds."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Mapping

from osbuild_core.exports.jobs.cluster.scheduler import Fate, Request, Seen
from osbuild_core.exports.jobs.planned.steps import plain
from osbuild_core.exports.jobs.planned.text import quoted
from osbuild_core.exports.jobs.slurm.client import Slurm
from osbuild_core.exports.jobs.slurm.errors import missing
from osbuild_core.exports.jobs.slurm.states import JobState, JobStatus
from osbuild_core.exports.jobs.slurm.submission import Submission

_FATES = {
    JobState.PENDING: Fate.WAITING,
    JobState.RUNNING: Fate.RUNNING,
    JobState.DONE: Fate.DONE,
    JobState.FAILED: Fate.FAILED,
    JobState.CANCELLED: Fate.CANCELLED,
}

_AGAIN = frozenset({"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "LAUNCH_FAILED"})
"""States in which a job has ended without a fault of its own."""

_MISSED = 3
"""Times in a row that nobody knows a job before it counts as gone: its record may take a moment to be written."""


class SlurmScheduler:
    """The cluster that the environment leads to, see slurm.conf(5)."""

    def __init__(self) -> None:
        self._slurm = Slurm()
        self._missed: dict[str, int] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise SlurmError where there is no Slurm, or no answer of its controller."""
        if shutil.which("sbatch") is None:
            raise missing("sbatch")
        self._slurm.ping()

    def submit(self, request: Request) -> str:
        """Submit a job; return its number. Raises SlurmError."""
        return self._slurm.submit(
            Submission(
                script=request.script,
                # With the name of a file in it, not with its path, in which a % would begin a pattern.
                output=request.log.name,
                directory=request.script.parent,
                name=plain(request.name),
                options=_options(request),
            )
        )

    def submit_array(self, requests: list[Request]) -> list[str]:
        """Submit jobs as tasks of one; return their numbers, as ``12_0``. Raises SlurmError."""
        lines = [
            "#!/bin/sh",
            "# The tasks of a build of several manifests.",
            'case "$SLURM_ARRAY_TASK_ID" in',
        ]
        for number, request in enumerate(requests):
            go = f"cd -- {quoted([str(request.script.parent)])} || exit 1"
            run = f"exec sh {quoted([request.script.name])} >>{quoted([request.log.name])} 2>&1"
            lines.append(f"{number}) {go}; {run} ;;")
        lines.append("esac")
        first = requests[0]
        job = self._slurm.submit(
            Submission(
                script="\n".join(lines) + "\n",
                output="/dev/null",
                directory=first.script.parent.parent,
                name=plain(first.name),
                array=f"0-{len(requests) - 1}",
                options=_options(first),
            )
        )
        return [f"{job}_{number}" for number in range(len(requests))]

    def look(self, jobs: Iterable[str]) -> Mapping[str, Seen]:
        """Return what squeue, or what remembers ended jobs, says of ``jobs``. Raises SlurmError."""
        wanted = list(jobs)
        known = self._slurm.query(wanted)
        found: dict[str, Seen] = {}
        with self._lock:
            for job in wanted:
                status = known.get(job)
                self._missed[job] = 0 if status is not None else self._missed.get(job, 0) + 1
                if status is not None:
                    found[job] = _seen(status)
                elif self._missed[job] >= _MISSED:
                    found[job] = Seen(Fate.GONE, "the cluster does not know it any more")
        return found

    def cancel(self, jobs: Iterable[str]) -> None:
        """Cancel ``jobs``; those that have ended are left as they are. Raises SlurmError."""
        self._slurm.cancel(jobs)


def _seen(status: JobStatus) -> Seen:
    state = status.slurm_state
    fate = Fate.AGAIN if status.ended and state in _AGAIN else _FATES[status.state]
    # Squeue knows a list of nodes for jobs that run; what waits has none.
    return Seen(fate, state, status.reason or "", status.nodes)


def _options(request: Request) -> tuple[str, ...]:
    options = ["--requeue", "--open-mode=append", "--nodes=1", "--ntasks=1"]
    if request.cpus is not None:
        options.append(f"--cpus-per-task={request.cpus}")
    if request.memory is not None:
        options.append(f"--mem={-(-request.memory // (1 << 20))}M")
    return (*options, *request.options)
