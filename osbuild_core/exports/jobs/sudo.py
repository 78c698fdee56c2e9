"""Commands as another user without being root: through sudo, which must let us run anything as that user.

What sudo starts we may not signal, and it brings an environment of its own. So each command is a small script in the
working directory, which is gone as soon as it runs; and what ends it is sent by that user, too.
"""

from __future__ import annotations

import grp
import itertools
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from osbuild_core.exports.jobs.command import Command
from osbuild_core.exports.jobs.switching import Switch
from osbuild_core.exports.jobs.users import PosixSessionUser
from osbuild_core.exports.jobs.workdir import WorkingDirectoryError
from osbuild_core.model.errors import UsageError
from osbuild_core.protocol.keeper import MARKER

ENDER = f"""
for entry in /proc/[0-9]*; do
    pid=${{entry#/proc/}}
    grep -qzE "^{MARKER}=$2" "$entry/environ" 2>/dev/null || continue
    if [ "$1" = TERM ]; then
        parent=$(sed -n 's/^PPid:[^0-9]*//p' "$entry/status" 2>/dev/null)
        grep -qzE "^{MARKER}=$2" "/proc/$parent/environ" 2>/dev/null && continue
    fi
    kill -s "$1" "$pid" 2>/dev/null
done
"""
"""Sends the signal $1 to the processes whose mark is like $2; TERM to the first of them only."""


class Sudo(Switch):
    """Commands run as ``user``. Raises UsageError where sudo is not there, or we are not in the user's group."""

    def __init__(self, user: PosixSessionUser) -> None:
        program = shutil.which("sudo")
        if program is None:
            raise UsageError(
                f"to run commands as {user.user} takes sudo", code="job.user", hint="install it, or be root"
            )
        self.group = grp.getgrnam(user.group).gr_gid
        if self.group not in {os.getegid(), *os.getgroups()}:
            raise UsageError(
                f"we are not in the group {user.group}, which shares the files of a session with {user.user}",
                code="job.user",
                hint=f"usermod --append --groups {user.group} USER, or another group",
            )
        self._sudo = (program, "-n", "-H", "-u", user.user, "--")
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ

    def command(self, command: Command) -> Command:
        script = Path(command.cwd) / f".action-{next(self._numbers)}.sh"
        lines = ['rm -f -- "$0"', f"export {MARKER}=$1"]
        for name, value in command.changes.items():
            lines.append(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
        lines += [f"cd -- {shlex.quote(command.cwd)} || exit 126", f"exec {shlex.join(command.argv)}"]
        try:
            fd = os.open(script, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w", errors="surrogateescape") as file:
                os.fchown(fd, -1, self.group or -1)
                os.fchmod(fd, 0o640)
                file.write("\n".join([*lines, ""]))
        except OSError as error:
            raise WorkingDirectoryError(f"{script}: {(error.strerror or str(error)).lower()}") from error
        return command._replace(
            argv=(*self._sudo, "/bin/sh", str(script)),
            changes={},
            ender=(*self._sudo, "/bin/sh", "-c", ENDER, "sh"),
            shown=command.argv[0],
        )

    def empty(self, directory: Path) -> None:
        # Its files may be in directories of its own, where we cannot remove them.
        subprocess.run(
            [*self._sudo, "find", str(directory), "-mindepth", "1", "-delete"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
