"""What is remembered of submitted jobs: a JSON file beside the script, ``SCRIPT.jobs.json``.

It has a list of submissions, the latest last; each says what ``status``, ``logs`` and ``cancel`` cannot ask a
cluster for that has forgotten the job.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osbuild_core.exports.jobs.scripts.writing import put
from osbuild_core.model.errors import OsbuildError, UsageError

SUFFIX = ".jobs.json"
VERSION = 1


@dataclass(frozen=True)
class SubmittedJob:
    """A job as it was submitted.

    ``submitted`` is a time as Slurm writes it; ``output`` and ``error`` are paths, with ``*`` for the number of the
    task in an array's; ``config`` is the cluster's slurm.conf where one was named, ``completion_log`` where the
    cluster writes down ended jobs, ``user`` for whom it was submitted.
    """

    job: str
    submitted: str
    name: str = ""
    script: str = ""
    directory: str = ""
    output: str = ""
    error: str = ""
    array: str | None = None
    user: str | None = None
    config: str | None = None
    completion_log: str | None = None


def record_of(script: Path) -> Path:
    """Return where the submissions of ``script`` are remembered."""
    return script.with_name(script.name + SUFFIX)


def remember(script: Path, job: SubmittedJob, owner: tuple[int, int] | None = None) -> None:
    """Add ``job`` to the submissions of ``script``. Raises OsbuildError where that cannot be written."""
    path = record_of(script)
    known = submissions(script) if path.exists() else []
    document = {"version": VERSION, "submissions": [asdict(one) for one in (*known, job)]}
    try:
        put(path, (json.dumps(document, indent=2) + "\n").encode(), 0o644, owner)
    except OSError as error:
        raise OsbuildError(
            f"job {job.job} is submitted, but cannot be remembered in {path}: {error.strerror}", code="system"
        ) from error


def submissions(script: Path) -> list[SubmittedJob]:
    """Return what is remembered of ``script``, the latest last. Raises UsageError where there is nothing."""
    path = record_of(script)
    try:
        document: Any = json.loads(path.read_bytes())
        if document["version"] != VERSION:
            raise UsageError(f"{path}: it is of version {document['version']}", code="usage.job")
        return [SubmittedJob(**one) for one in document["submissions"]]
    except FileNotFoundError:
        raise UsageError(
            f"{script}: nothing is known of a job of it",
            code="usage.job",
            hint="submit it with osbuild-core job submit",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="usage.job") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: it is not what was written there", code="usage.job", hint="remove it to begin anew"
        ) from error


def find(target: str) -> tuple[Path, list[SubmittedJob]]:
    """Return the script that ``target`` is about, and its submissions.

    ``target`` is a script, or a directory that has one script with submissions. Raises UsageError.
    """
    path = Path(target)
    if not path.is_dir():
        script = Path(target.removesuffix(SUFFIX)) if target.endswith(SUFFIX) else path
        return script, submissions(script)
    records = sorted(path.glob(f"*{SUFFIX}"))
    if len(records) != 1:
        reason = (
            "no script there was submitted" if not records else "more than one script there was submitted"
        )
        raise UsageError(
            f"{target}: {reason}", code="usage.job", hint="name the script, or the number of the job"
        )
    script = records[0].with_name(records[0].name.removesuffix(SUFFIX))
    return script, submissions(script)
