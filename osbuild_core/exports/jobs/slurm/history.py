"""Jobs that slurmctld has forgotten: what the accounting database or the completion log says of them.

The log is that of ``jobcomp/filetxt``: a line of ``KEY=value`` for each end of a job. One that was requeued has
several, of which the last counts; numbers of jobs begin anew some day, so lines from before a job was submitted are
another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from osbuild_core.exports.jobs.slurm.errors import SlurmError
from osbuild_core.exports.jobs.slurm.states import JobStatus, array_status, status_of

Run = Callable[[list[str]], str]

# The name of a job may have anything in it, and comes before its state.
_LINE = re.compile(
    r"JobId=(?P<id>\d+) .* JobState=(?P<state>\S+) Partition=\S* TimeLimit=\S* StartTime=\S* EndTime=(?P<end>\S*)"
    r" NodeList=(?P<nodes>\S*) NodeCnt=.*? SubmitTime=\S*"
    r"(?:.*? ArrayJobId=(?P<array>\d+) ArrayTaskId=(?P<task>\d+))?(?:.*? ExitCode=(?P<exit>\d+:\d+))?"
)


def completion_log(run: Run) -> Path | None:
    """Return the completion log of the cluster, where it writes one. Raises SlurmError."""
    config = dict(re.findall(r"^(\w+) +=[ ]?(.*)$", run(["scontrol", "show", "config"]), re.MULTILINE))
    if config.get("JobCompType") != "jobcomp/filetxt":
        return None
    location = config.get("JobCompLoc", "").strip()
    return Path(location if location.startswith("/") else "/var/log/slurm_jobcomp.log")


def from_completion_log(path: Path, job: str, since: str) -> JobStatus | None:
    """Return what the log at ``path`` says of ``job`` (``12``, ``12_3``) that was submitted at ``since``.

    ``since`` is a time as Slurm writes it (``2026-11-27T06:52:56``), empty where it is not known. None where the
    log says nothing, or cannot be read.
    """
    wanted, _, task = job.partition("_")
    needles = (f"JobId={wanted} ".encode(), f" ArrayJobId={wanted} ".encode())
    found: dict[str, JobStatus] = {}
    try:
        with path.open("rb") as file:
            for line in file:
                if not (line.startswith(needles[0]) or needles[1] in line):
                    continue
                match = _LINE.match(line.decode(errors="replace"))
                if match is None or match["end"] < since:
                    continue
                number = match["task"] if match["array"] else None
                if (match["array"] or match["id"]) == wanted:
                    name = wanted if number is None else f"{wanted}_{number}"
                    found[name] = status_of(
                        name,
                        match["state"],
                        exit_code=match["exit"] or "",
                        nodes=match["nodes"],
                        source="completion log",
                    )
    except OSError:
        return None
    return _of(job, task, found)


def from_accounting(run: Run, job: str, since: str) -> JobStatus | None:
    """Return what sacct says of ``job``; None where it knows nothing, or there is no accounting."""
    wanted, _, task = job.partition("_")
    argv = ["sacct", "-n", "-P", "-X", "-j", wanted, "-o", "JobID,State,ExitCode,NodeList,End"]
    try:
        text = run([*argv, *(["-S", since] if since else [])])
    except SlurmError:
        return None
    found: dict[str, JobStatus] = {}
    for line in text.splitlines():
        name, state, exit_code, nodes, *_ = [*line.split("|"), "", "", "", ""]
        if name.partition("_")[0] == wanted and state:
            found[name] = status_of(name, state, exit_code=exit_code, nodes=nodes, source="sacct")
    return _of(job, task, found)


def _of(job: str, task: str, found: dict[str, JobStatus]) -> JobStatus | None:
    if task or job in found:
        return found.get(job)
    return array_status(job, found.values()) if found else None
