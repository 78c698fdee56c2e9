"""Sessions of a user that is not root, whose commands run as another one: through a real sudo."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HOST, USER = "nobody", "daemon"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("sudo") is None, reason="sudo is not installed"),
]

PROGRAM = """
import sys
from datetime import timedelta
from tests.integration.jobs.sessions import alive, environment, opened, script, sh, shell, wait_for
from osbuild_core.exports.jobs import ActionState, PosixSessionUser

def check(condition, what):
    if not condition:
        sys.exit(f"not so: {what}")

user = PosixSessionUser("daemon")
check(not user.is_process_user(), "another user")
"""


def run(text: str, directory: Path, *, group: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``PROGRAM`` and ``text`` as HOST, in a mount namespace in which it may run everything as USER."""
    directory.chmod(0o755)
    rules = directory / "sudoers"
    rules.write_text(f"Defaults !lecture\n{HOST} ALL=({USER}) NOPASSWD: ALL\n")
    rules.chmod(0o440)
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o1777)
    host, other = pwd.getpwnam(HOST), pwd.getpwnam(USER)
    groups = f"--groups={other.pw_gid}" if group else "--clear-groups"
    inside = (
        f"mount --bind {rules} /etc/sudoers &&"
        f' exec setpriv --reuid={host.pw_uid} --regid={host.pw_gid} {groups} "$@"'
    )
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside, "sh", sys.executable, "-B", "-c", PROGRAM + text],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "HOME": str(temporary)},
    )


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that everybody can reach. Skips where the checkout is in none."""
    path = Path("/var/tmp") / f"osbuild-core-sudo-{os.getpid()}"
    path.mkdir()
    reach = ["setpriv", f"--reuid={HOST}", "--clear-groups", "test", "-r", str(ROOT / "pyproject.toml")]
    try:
        if subprocess.run(reach).returncode != 0:
            pytest.skip(f"{HOST} cannot read the checkout")
        yield path
    finally:
        shutil.rmtree(path)


def done(text: str, directory: Path) -> None:
    result = run(text, directory)
    assert (result.returncode, result.stderr) == (0, "")
    left = directory / "tmp"
    assert not list(left.glob("OpenJD*/*")), "the working directory is still there"


def test_commands_files_and_variables(place: Path) -> None:
    text = r"""
text = "#!/bin/sh\nid -un >made; mkdir -m 700 d; touch d/x; cat made\n"
file = {"name": "F", "type": "TEXT", "runnable": True, "data": text}
with opened(user=user, os_env_vars={"MINE": "it's 1"}) as run:
    run.enter(environment(enter="echo openjd_env: SAID=2; echo $MINE"))
    status = run.task(script(sh("id -un; echo $HOME; echo \"$MINE\" $SAID; pwd; {{Task.File.F}}; exit 3"), file))
    check(status == (ActionState.FAILED, None, None, None, 3), status)
    expected = ["openjd_env: SAID=2", "it's 1", "daemon", "/usr/sbin", "it's 1 2", str(run.directory), "daemon"]
    check(run.lines == expected, run.lines)
    check(run.directory.stat().st_mode & 0o7777 == 0o770, "the mode of the directory")
    check(not list(run.directory.glob(".action*")), "the script has gone")
"""
    done(text, place)


def test_what_is_cancelled_is_gone(place: Path) -> None:
    text = r"""
with opened(user=user) as run:
    run.begin("trap '' TERM; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait; wait")
    wait_for(lambda: len(run.lines) == 2)
    check(run.cancel().state is ActionState.CANCELED, "canceled")
    check(not any(alive(pid) for pid in run.lines), "killed")
method = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 60}
with opened(user=user) as run:
    text = "trap 'cat cancel_info.json; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    run.begin(shell(text, cancelation=method))
    run.until("up")
    status = run.cancel()
    check(status.exit_code == 7, status)
    check("NotifyEnd" in run.lines[-1], run.lines)
"""
    done(text, place)


def test_what_is_left_behind_is_gone(place: Path) -> None:
    text = r"""
with opened(user=user) as run:
    run.enter(environment(enter="setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
    check(run.task("sleep 1000 & echo $!; setsid sleep 1000 & echo $!").state is ActionState.SUCCESS, "the task")
    first, *others = run.lines
    check(alive(first), "what the environment started")
    check(not any(alive(pid) for pid in others), others)
    check(run.exit(keep_session_running=True).state is ActionState.SUCCESS, "left")
    check(not alive(first), "left behind")
    run.begin("sleep 1000 & echo $!; wait")
    wait_for(lambda: len(run.lines) == 4)
check(not alive(run.lines[-1]), "the end of the session")
"""
    done(text, place)


def test_it_takes_the_group(place: Path) -> None:
    result = run("with opened(user=user): pass", place, group=False)
    assert result.returncode == 1
    assert "we are not in the group daemon" in result.stderr
