"""The client: submit jobs, ask for their states, cancel them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.exports.jobs.slurm import history
from osbuild_core.exports.jobs.slurm.errors import SlurmError, complaint
from osbuild_core.exports.jobs.slurm.programs import (
    User,
    client_environment,
    environment_of,
    run,
    user_named,
)
from osbuild_core.exports.jobs.slurm.states import JobStatus, array_status, status_of
from osbuild_core.exports.jobs.slurm.submission import Submission, arguments_of

_NUMBER = re.compile(r"^(\d+)(?:;\S*)?$", re.MULTILINE)
"""What ``sbatch --parsable`` prints: the number of the job, and the name of a cluster that is not the own one."""

_ANY_TASK = "4294967294"
"""What scontrol has for %a in paths of an array whose tasks it has not told apart yet."""


_MANY = 4
"""Ended jobs that are asked for one by one."""


@dataclass(frozen=True)
class JobDetails:
    """What ``scontrol show job`` says of a job, or of a task of an array, beyond its status.

    Paths are with sbatch's patterns filled in, ``*`` for the task of those in an array that wait together;
    ``submitted`` is a time as Slurm writes it.
    """

    status: JobStatus
    name: str
    output: str
    error: str
    directory: str
    submitted: str


class Slurm:
    """The cluster that ``environment`` (None: this process's own) leads to.

    All methods raise SlurmError: ``slurm.missing`` without Slurm's programs, ``slurm.controller`` (retryable) where
    slurmctld gives no answer.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._asking = client_environment(self._environment)
        self._log: Path | None = None
        self._log_known = False

    def ping(self) -> None:
        """Ask whether there is somebody to submit to; many things are better not begun without."""
        printed = run(["scontrol", "ping"], self._asking)
        if " is UP" not in printed:
            raise complaint("scontrol", printed, 1)

    def submit(self, submission: Submission) -> str:
        """Submit a job and return its number.

        Interrupted, it cancels what may have been submitted by then. Raises SlurmError: ``slurm.partition``,
        ``slurm.permission``, ``slurm.script``, ``slurm.resources``, …
        """
        user = None if submission.user is None else user_named(submission.user)
        if user is not None and user.uid == os.geteuid():
            user = None
        environment = self._job_environment(submission, user)
        argv = arguments_of(submission)
        script = b"" if isinstance(submission.script, Path) else submission.script.encode()
        if submission.environment is not None or user is not None:
            # Without it, `#SBATCH --export` of the script or SBATCH_EXPORT could take away what was asked for.
            argv.insert(2, "--export=ALL")
        try:
            cwd = self._cwd(submission, user)
            printed = run(
                argv,
                environment,
                user=user,
                cwd=cwd,
                stdin=script,
                search=self._asking.get("PATH"),
                interrupted=lambda printed: self.cancel(_NUMBER.findall(printed)),
            )
        except SlurmError as error:
            raise self._explained(error) from None
        numbers: list[str] = _NUMBER.findall(printed)
        if not numbers:
            raise SlurmError(f"sbatch: it printed {printed!r}, which is no job's number")
        return numbers[0]

    def query(self, jobs: Iterable[str], *, since: str = "") -> dict[str, JobStatus]:
        """Return what is known of each of ``jobs``: from squeue, from scontrol, then from where ended jobs are kept.

        A job of which nothing is known is not in it. ``since`` is when the first of them was submitted, as Slurm
        writes times: records from before are of other jobs, which had their numbers.
        """
        wanted = list(dict.fromkeys(jobs))
        if not wanted:
            return {}
        live = self._queue(wanted)
        ended = [job for job in wanted if all(row.ended for row in live.get(job, []))]
        # Of many that ended since the last time, one answer is quicker than many.
        known = self._all_details() if len(ended) > _MANY else None
        found: dict[str, JobStatus] = {}
        for job in wanted:
            rows = self._ended(job, since, known) if job in ended else live[job]
            if len(rows) == 1 and rows[0].job == job:
                found[job] = rows[0]
            elif rows:
                found[job] = array_status(job, rows)
        return found

    def details(self, job: str) -> tuple[JobDetails, ...]:
        """Return what slurmctld knows of ``job``: of each task of an array, one for any other job.

        Raises SlurmError: ``slurm.unknown-job`` for one that it has forgotten.
        """
        return _all(run(["scontrol", "show", "job", job, "-o"], self._asking))

    def cancel(self, jobs: Iterable[str], *, user: str | None = None) -> None:
        """Cancel ``jobs``; those that have ended are left as they are. Raises SlurmError: ``slurm.permission``."""
        argv = ["scancel", *jobs]
        if len(argv) > 1:
            run(argv, self._asking, user=None if user is None else user_named(user))

    def completion_log(self) -> Path | None:
        """Return where the cluster writes down ended jobs, if in a file."""
        if not self._log_known:
            self._log = history.completion_log(self._ask)
            self._log_known = True
        return self._log

    def partitions(self) -> list[str]:
        """Return the names of the cluster's partitions."""
        return sorted(set(run(["sinfo", "-h", "-o", "%R"], self._asking).split()))

    def _ask(self, argv: list[str]) -> str:
        return run(argv, self._asking)

    def _job_environment(self, submission: Submission, user: User | None) -> dict[str, str]:
        if user is None:
            own = client_environment(self._environment, submitting=True)
        else:
            own = environment_of(user, self._environment)
        if submission.environment is None:
            return own
        needed: dict[str, str] = {
            name: own[name] for name in ("PATH", "SLURM_CONF", "SLURM_CLUSTERS") if name in own
        }
        return needed | dict(submission.environment)

    @staticmethod
    def _cwd(submission: Submission, user: User | None) -> Path | None:
        """Return where sbatch runs; checks that ``user`` may read the script and write where the job runs."""
        if user is None:
            return None
        script, directory = submission.script, submission.directory
        checks = [] if directory is None else [("-x", directory, "enter")]
        if directory is not None and submission.output is None:
            checks.append(("-w", directory, "write to"))
        if isinstance(script, Path):
            checks.append(("-r", script, "read"))
        for test, path, verb in checks:
            try:
                run(["test", test, os.fspath(path)], {"PATH": os.defpath}, user=user)
            except SlurmError:
                raise SlurmError(
                    f"{user.name} may not {verb} {path}",
                    code="slurm.permission",
                    hint="the job runs as that user: it has to be readable and writable for them",
                ) from None
        return directory or Path("/")

    def _explained(self, error: SlurmError) -> SlurmError:
        """Return ``error`` with the partitions that there are, where one was asked for that is not."""
        if error.code != "slurm.partition":
            return error
        try:
            hint = f"there are: {', '.join(self.partitions())}"
        except SlurmError:
            hint = "see `sinfo`"
        return SlurmError(error.detail, code=error.code, hint=hint)

    def _queue(self, jobs: list[str]) -> dict[str, list[JobStatus]]:
        """Return the rows of squeue for each of ``jobs``: several for an array, none for unknown ones."""
        numbers = ",".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
        argv = ["squeue", "-h", "-r", "-t", "all", "-j", numbers, "-o", "%i|%F|%T|%N|%r"]
        try:
            text = run(argv, self._asking)
        except SlurmError as error:
            if error.code == "slurm.unknown-job":
                return {}
            raise
        found: dict[str, list[JobStatus]] = {}
        for line in text.splitlines():
            name, array, state, nodes, reason = line.split("|", 4)
            row = status_of(name, state, nodes=nodes, reason=reason, source="squeue")
            for key in {name, array}:
                found.setdefault(key, []).append(row)
        return found

    def _all_details(self) -> dict[str, list[JobStatus]]:
        """Return what slurmctld knows of all jobs, by the number of the job, of the array and of the task."""
        found: dict[str, list[JobStatus]] = {}
        for one in _all(run(["scontrol", "show", "job", "-o"], self._asking)):
            for key in {one.status.job, one.status.job.partition("_")[0]}:
                found.setdefault(key, []).append(one.status)
        return found

    def _ended(
        self, job: str, since: str, everything: Mapping[str, list[JobStatus]] | None
    ) -> list[JobStatus]:
        """Return the status of a job that has ended, or of all tasks of an array, from who still knows of it."""
        try:
            rows = (
                [one.status for one in self.details(job)] if everything is None else everything.get(job, [])
            )
        except SlurmError as error:
            if error.code != "slurm.unknown-job":
                raise
            rows = []
        known = {row.job: row for row in rows}
        if known and (job in known or "_" in job):
            return [known[job]] if job in known else []
        past = history.from_accounting(self._ask, job, since)
        log = self.completion_log() if past is None else None
        if log is not None:
            past = history.from_completion_log(log, job, since)
        for one in () if past is None else (past.tasks or (past,)):
            known.setdefault(one.job, one)
        return list(known.values())


def _all(text: str) -> tuple[JobDetails, ...]:
    return tuple(_details(line) for line in text.splitlines() if line.startswith("JobId="))


def _details(line: str) -> JobDetails:
    """Read a line of ``scontrol show job -o``; names and paths in it may have blanks."""
    # Whatever the name of the job is made of ends where the user begins.
    head, _, rest = line.partition(" UserId=")
    array = re.match(r"JobId=(\d+)(?: ArrayJobId=(\d+) ArrayTaskId=(\S+))?", head)

    def value(key: str) -> str:
        match = re.search(rf"(?:^| ){key}=(.*?)(?= [\w/:]+=|\s*$)", rest)
        return "" if match is None or match[1] == "(null)" else match[1]

    number = "" if array is None else array[1] if array[2] is None else f"{array[2]}_{array[3]}"
    status = status_of(
        number,
        value("JobState"),
        reason=value("Reason"),
        exit_code=value("ExitCode"),
        nodes=value("NodeList"),
        source="scontrol",
    )
    return JobDetails(
        status,
        head.partition(" JobName=")[2],
        value("StdOut").replace(_ANY_TASK, "*"),
        value("StdErr").replace(_ANY_TASK, "*"),
        value("WorkDir"),
        value("SubmitTime"),
    )
