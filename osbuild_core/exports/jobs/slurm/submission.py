"""What is asked of sbatch, and how that looks as its arguments. See sbatch(1)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.exports.jobs.slurm.errors import SlurmError

DEPENDENCIES = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer")

_ARRAY = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%\d+)?")
_JOB = re.compile(r"\d+(_\d+|_\*)?(\+\d+)?")


@dataclass(frozen=True)
class Dependency:
    """Jobs that come first: ``kind`` says how they have to end (``afterok``: with status 0)."""

    jobs: tuple[str, ...]
    kind: str = "afterok"

    def __post_init__(self) -> None:
        if self.kind not in DEPENDENCIES or not self.jobs or not all(map(_JOB.fullmatch, self.jobs)):
            raise SlurmError(
                f"{self.text!r} is no dependency",
                code="slurm.dependency",
                hint=f"TYPE:JOB[:JOB…] with one of {', '.join(DEPENDENCIES)}",
            )

    @property
    def text(self) -> str:
        return ":".join((self.kind, *self.jobs))


def dependency_of(text: str) -> Dependency:
    """Return what ``TYPE:JOB[:JOB…]`` says; only numbers are ``afterok``. Raises SlurmError."""
    kind, _, jobs = text.partition(":") if not text[:1].isdecimal() else ("afterok", ":", text)
    return Dependency(tuple(jobs.split(":")) if jobs else (), kind)


@dataclass(frozen=True)
class Submission:
    """A job to be submitted.

    ``script`` is a file that the job's user can read, or the text of one; ``arguments`` are for the script,
    ``options`` for sbatch, where they win over the other fields and over the script's ``#SBATCH`` lines. ``output``
    and ``error`` are files with sbatch's patterns (``%j``, ``%A``, ``%a``); ``directory`` is where the job runs.
    ``environment`` is the job's, None for what its user has: the caller's own, a clean one for another user's.
    ``user`` is a name or number; other users than the caller are for root.

    A job whose dependency can never be met is cancelled, unless ``keep_invalid_dependency``. A dependency on a job
    that Slurm has forgotten is met at once: ask for its state first.
    """

    script: Path | str
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    name: str | None = None
    partition: str | None = None
    dependencies: tuple[Dependency, ...] = ()
    array: str | None = None
    directory: Path | None = None
    output: str | None = None
    error: str | None = None
    hold: bool = False
    environment: Mapping[str, str] | None = None
    user: str | None = None
    keep_invalid_dependency: bool = False


def arguments_of(submission: Submission) -> list[str]:
    """Return the argument vector of sbatch for ``submission``; a script that is text goes to its standard input.

    Raises SlurmError for an array that is none, and for arguments of such a script.
    """
    if submission.array is not None and not _ARRAY.fullmatch(submission.array):
        raise SlurmError(
            f"{submission.array!r} is no array", code="slurm.array", hint="as in 0-15, 1,3,5-7 or 0-99%4"
        )
    argv = ["sbatch", "--parsable"]
    for option, value in (
        ("job-name", submission.name),
        ("partition", submission.partition),
        ("array", submission.array),
        ("chdir", None if submission.directory is None else os.fspath(submission.directory)),
        ("output", submission.output),
        ("error", submission.error),
    ):
        if value is not None:
            argv.append(f"--{option}={value}")
    if submission.dependencies:
        argv.append("--dependency=" + ",".join(one.text for one in submission.dependencies))
        if not submission.keep_invalid_dependency:
            argv.append("--kill-on-invalid-dep=yes")
    if submission.hold:
        argv.append("--hold")
    argv += submission.options
    if isinstance(submission.script, Path):
        return [*argv, os.fspath(submission.script), *submission.arguments]
    if submission.arguments:
        # Without a file, sbatch would take the first one for the script.
        raise SlurmError(
            "a script without a file has no arguments", code="slurm.script", hint="write it to a file"
        )
    return argv
