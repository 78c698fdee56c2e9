"""What Slurm's programs complain of, as errors with a code and a hint."""

from __future__ import annotations

import re
from typing import NamedTuple

from osbuild_core.model.errors import OsbuildError


class SlurmError(OsbuildError):
    """A program of Slurm is not there, got no answer, or was refused what it asked for."""

    code = "slurm.refused"


class _Complaint(NamedTuple):
    pattern: str
    code: str
    hint: str | None
    retryable: bool = False


_COMPLAINTS = (
    _Complaint(
        r"Munge|authentication error|auth_g_|Invalid authentication",
        "slurm.authentication",
        "is munge running here, with the key that the cluster has?",
    ),
    _Complaint(
        r"Unable to contact slurm controller|at \S+ is DOWN|Connection refused|Socket timed out|Zero Bytes|timed out"
        r"|Communication connection failure",
        "slurm.controller",
        "does `scontrol ping` say that slurmctld is UP?",
        True,
    ),
    _Complaint(
        r"configuration (?:source|file)|DNS SRV|ClusterName needs",
        "slurm.configuration",
        "is this a machine of the cluster? SLURM_CONF names its slurm.conf",
    ),
    _Complaint(
        r"Access/permission denied|[Nn]ot permitted|not authorized|User not allowed|[Ii]nvalid user|DisableRootJobs",
        "slurm.permission",
        "jobs are their users' and root's",
    ),
    _Complaint(r"[Ii]nvalid partition", "slurm.partition", None),
    _Complaint(r"[Ii]nvalid (?:account|qos)|account/partition", "slurm.account", "see `sacctmgr show assoc`"),
    _Complaint(r"Invalid job id|^Job \S+ not found", "slurm.unknown-job", "it may have ended long ago"),
    _Complaint(
        r"Unable to open file|does not look like a batch script|requires.*\"#!\"|not a valid batch script"
        r"|DOS line breaks",
        "slurm.script",
        "a job script begins with #! and the path of its interpreter",
    ),
    _Complaint(
        r"node configuration is not available|can not be satisfied|More processors requested|limit|Node count",
        "slurm.resources",
        "see `sinfo -l` for what there is",
    ),
    _Complaint(
        r"dependency",
        "slurm.dependency",
        "TYPE:JOB with TYPE of after, afterok, afternotok, afterany, singleton",
    ),
    _Complaint(r"array", "slurm.array", "as in 0-15, 1,3,5-7 or 0-99%4"),
    _Complaint(
        r"unrecognized option|Invalid .* specification|invalid|Try \"", "slurm.option", "see sbatch(1)"
    ),
    _Complaint(r"temporarily|try again|too many", "slurm.busy", "try again in a moment", True),
)

_PREFIX = re.compile(r"^(?:\w+: )?(?:error: |fatal: )?(?:Batch job submission failed: )?", re.MULTILINE)
_NOISE = re.compile(r"retrying in|If munged is up|slurm_send_node_msg|^Try |RESTORE|^\*+$|^$")


def complaint(program: str, stderr: str, status: int) -> SlurmError:
    """Return the error that ``program`` meant with what it wrote before it ended with ``status``."""
    lines = [line for line in _PREFIX.sub("", stderr.strip()).splitlines() if not _NOISE.search(line)]
    for known in _COMPLAINTS:
        if re.search(known.pattern, stderr):
            said = next(
                (line for line in lines if re.search(known.pattern, line)), lines[-1] if lines else ""
            )
            return SlurmError(
                f"{program}: {said.strip()}", code=known.code, hint=known.hint, retryable=known.retryable
            )
    said = lines[-1].strip() if lines else f"it ended with status {status} and said nothing"
    return SlurmError(f"{program}: {said}")


def missing(program: str) -> SlurmError:
    """Return the error for a machine without ``program``."""
    return SlurmError(
        f"there is no {program} here",
        code="slurm.missing",
        hint="install the package slurm-client, or put the directory of Slurm's programs into PATH",
    )
