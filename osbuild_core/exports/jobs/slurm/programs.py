"""Runs Slurm's programs: in which environment, and as whom."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.jobs.slurm.errors import SlurmError, complaint, missing
from osbuild_core.model.errors import OsbuildError

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
    """Return an environment for ``user`` with nothing of the caller's but which cluster it is, and the language.

    Slurm's programs are on its PATH also where they are in a place of their own, since jobs use them.
    """
    sbatch = shutil.which("sbatch", path=environment.get("PATH", os.defpath))
    folders = ["/usr/local/bin", "/usr/bin", "/bin"]
    if sbatch is not None and os.path.dirname(sbatch) not in folders:
        folders.append(os.path.dirname(sbatch))
    own = {
        "HOME": user.home,
        "LOGNAME": user.name,
        "PATH": ":".join(folders),
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
    stdin: bytes = b"",
    search: str | None = None,
    interrupted: Callable[[str], object] | None = None,
) -> str:
    """Return what a program prints. Raises SlurmError with what it complains of.

    ``search`` is the PATH on which it is, where that is not the one of ``environment``. Where this is interrupted,
    the program is killed; with ``interrupted`` it comes to its end first, and that is called with what it printed.
    """
    program = argv[0]
    path = shutil.which(program, path=search or environment.get("PATH", os.defpath))
    if path is None:
        raise missing(program)
    config = environment.get("SLURM_CONF")
    if config and not os.path.exists(config):
        # The programs would try again for a minute.
        raise SlurmError(
            f"there is no file {config}", code="slurm.configuration", hint="it is what SLURM_CONF says"
        )
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [path, *argv[1:]],
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C is for us: half a submission would leave a job that nobody knows of.
        start_new_session=True,
        **as_user(user),
    )
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise complaint(program, f"Socket timed out: no answer within {TIMEOUT:.0f} s", 1) from None
        except BaseException:
            if interrupted is not None:
                with contextlib.suppress(OSError, ValueError, OsbuildError, subprocess.TimeoutExpired):
                    interrupted(process.communicate(timeout=TIMEOUT)[0].decode(errors="replace"))
            process.kill()
            raise
    if process.returncode != 0:
        raise complaint(program, (stderr.strip() or stdout).decode(errors="replace"), process.returncode)
    return stdout.decode(errors="replace")
