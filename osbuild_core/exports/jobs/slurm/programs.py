"""Runs Slurm's programs: in which environment, and as whom."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.jobs.slurm.errors import SlurmError, complaint, missing

TIMEOUT = 120.0
"""Seconds that a program may take; those of Slurm give up on their controller much earlier by themselves."""

_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_DEBUG_FLAGS"})
_FORMS = re.compile(r"(?:SLURM|SBATCH|SQUEUE|SACCT|SCANCEL|SCONTROL|SINFO|SRUN)_")


@dataclass(frozen=True)
class User:
    """Whom a job is for."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def user_named(name: str) -> User:
    """Return the user that is called ``name``, or has it as number. Raises SlurmError."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise SlurmError(
            f"there is no user {name!r}", code="slurm.user", hint="see `getent passwd`"
        ) from None
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or "/bin/sh")


def client_environment(environment: Mapping[str, str], *, submitting: bool = False) -> dict[str, str]:
    """Return ``environment`` without what an enclosing job or a user's taste would change of the programs.

    Options of sbatch by variables (``SBATCH_PARTITION``) stay where a job is submitted.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not _FORMS.match(name) or (submitting and name.startswith("SBATCH_"))
    }
    return {**kept, "LC_ALL": "C", "SLURM_TIME_FORMAT": "standard"} if not submitting else kept


def environment_of(user: User, environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for ``user`` with nothing of the caller's but which cluster it is, and the language."""
    own = {
        "HOME": user.home,
        "LOGNAME": user.name,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "SHELL": user.shell,
        "USER": user.name,
    }
    kept = {name: environment[name] for name in (*_KEPT, "LANG", "TZ") if name in environment}
    kept.pop("SLURM_JWT", None)
    return own | kept


def as_user(user: User | None) -> dict[str, Any]:
    """Return the options of ``subprocess`` that run a program as ``user``. Raises SlurmError."""
    if user is None or user.uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise SlurmError(
            f"jobs for {user.name} cannot be submitted by you",
            code="slurm.permission",
            hint="only root submits for other users",
        )
    groups = os.getgrouplist(user.name, user.gid)
    return {"user": user.uid, "group": user.gid, "extra_groups": groups}


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    user: User | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes | None = None,
) -> str:
    """Return what a program prints. Raises SlurmError with what it complains of."""
    program = argv[0]
    path = shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None:
        raise missing(program)
    config = environment.get("SLURM_CONF")
    if config and not os.path.exists(config):
        # The programs would try again for a minute.
        raise SlurmError(
            f"there is no file {config}", code="slurm.configuration", hint="it is what SLURM_CONF says"
        )
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [path, *argv[1:]],
            env=dict(environment),
            cwd=cwd,
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=TIMEOUT,
            # A Ctrl-C is for us: a job that sbatch has just submitted would be nobody's.
            start_new_session=True,
            **as_user(user),
        )
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f"{program}: no answer within {TIMEOUT:.0f} s",
            code="slurm.controller",
            hint="does `scontrol ping` say that slurmctld is UP?",
            retryable=True,
        ) from None
    if done.returncode != 0:
        # Of a task that it does not know scontrol says so on its output.
        said = done.stderr or done.stdout
        raise complaint(program, said.decode(errors="replace"), done.returncode)
    return done.stdout.decode(errors="replace")
