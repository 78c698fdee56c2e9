"""How actions are ended: timeouts, both methods of cancelation, limits; and what cannot be started or written."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.jobs import ActionState, ActionStatus, PosixSessionUser, SessionState
from osbuild_core.model.errors import OsbuildError, UsageError
from tests.integration.jobs.sessions import Run, alive, environment, opened, script, sh, shell, wait_for

CANCELED, FAILED, TIMEOUT = ActionState.CANCELED, ActionState.FAILED, ActionState.TIMEOUT
NOTIFY = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 600}


def test_terminate() -> None:
    with opened() as run:
        run.begin("trap '' TERM INT; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait; wait")
        wait_for(lambda: len(run.lines) == 2)
        assert run.cancel() == ActionStatus(CANCELED, exit_code=-9)
        assert not any(alive(pid) for pid in run.lines)
        assert run.session.state is SessionState.READY_ENDING
        with pytest.raises(RuntimeError, match="no action"):
            run.session.cancel_action()


def test_notify_lets_an_action_end_by_itself() -> None:
    text = "trap 'cat cancel_info.json; exit 7' TERM; echo up; while :; do sleep 0.01; done"
    with opened() as run:
        run.begin(shell(text, cancelation=NOTIFY))
        run.until("up")
        before = datetime.now(UTC)
        assert run.cancel() == ActionStatus(CANCELED, exit_code=7)
        end = datetime.strptime(json.loads(run.lines[-1])["NotifyEnd"], "%Y-%m-%dT%H:%M:%SZ").replace(
            tzinfo=UTC
        )
        assert timedelta(seconds=598) < end - before < timedelta(seconds=640)
        assert not (run.directory / "cancel_info.json").exists()


def test_an_action_that_does_not_listen_is_killed_after_its_notice() -> None:
    text = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    with opened() as run:
        run.begin(shell(text, cancelation=NOTIFY | {"notifyPeriodInSeconds": 1}))
        run.until("up")
        started = time.monotonic()
        assert run.cancel() == ActionStatus(CANCELED, exit_code=-9)
        assert time.monotonic() - started >= 1


def test_a_limit_shortens_the_notice_and_a_second_one_shortens_that() -> None:
    text = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    with opened() as run:
        run.begin(shell(text, cancelation=NOTIFY))
        run.until("up")
        run.session.cancel_action(time_limit=timedelta(seconds=500))
        assert run.session.state is SessionState.CANCELING
        wait_for((run.directory / "cancel_info.json").exists)
        run.session.cancel_action(time_limit=timedelta(seconds=900))
        assert run.session.state is SessionState.CANCELING
        assert run.cancel(time_limit=timedelta(0), mark_action_failed=True) == ActionStatus(
            FAILED, exit_code=-9
        )


def test_a_limit_of_nothing_is_an_end_without_notice() -> None:
    with opened() as run:
        run.begin(shell("trap 'echo told' TERM; echo up; while :; do sleep 0.01; done", cancelation=NOTIFY))
        run.until("up")
        assert run.cancel(time_limit=timedelta(0)) == ActionStatus(CANCELED, exit_code=-9)
        assert run.lines == ["up"]


def test_a_timeout_uses_the_same_method() -> None:
    with opened() as run:
        assert run.task(shell("sleep 1000", timeout=1)) == ActionStatus(TIMEOUT, exit_code=-9)
        assert run.session.state is SessionState.READY_ENDING
    with opened() as run:
        text = "trap 'echo told; exit 0' TERM; while :; do sleep 0.01; done"
        assert run.task(shell(text, timeout=1, cancelation=NOTIFY)) == ActionStatus(TIMEOUT, exit_code=0)
        assert run.lines == ["told"]


def test_times_and_methods_may_be_format_strings() -> None:
    with opened(parameters={"T": "1", "M": "TERMINATE", "No": "soon"}) as run:
        made = {"mode": "{{Param.M}}", "notifyPeriodInSeconds": "{{Param.No}}"}
        what = _with_parameters(sh("trap '' TERM; sleep 1000", timeout="{{Param.T}}", cancelation=made))
        assert run.task(what).state is TIMEOUT
    for wrong in ({"timeout": "{{Param.No}}"}, {"cancelation": {"mode": "{{Param.No}}"}}):
        with opened(parameters={"No": "soon"}) as run:
            status = run.task(_with_parameters(sh("true", **wrong)))
            assert status.state is FAILED
            assert status.exit_code is None
            assert status.fail_message is not None and "'soon'" in status.fail_message


def _with_parameters(action: dict[str, Any]) -> Any:
    from osbuild_core.exports.jobs import decode_job_template

    names = [{"name": name, "type": "STRING"} for name in ("T", "M", "No")]
    made = decode_job_template(
        template={
            "specificationVersion": "jobtemplate-2023-09",
            "extensions": ["FEATURE_BUNDLE_1"],
            "name": "T",
            "parameterDefinitions": names,
            "steps": [{"name": "S", "script": {"actions": {"onRun": action}}}],
        }
    )
    return made.steps[0].script


def test_entering_an_environment_can_be_cancelled_with_all_that_it_started() -> None:
    with opened() as run:
        run._ended.clear()
        enter = "setsid sleep 1000 >/dev/null 2>&1 & echo $!; sleep 1000"
        run.session.enter_environment(environment=environment(enter=enter, leave="echo left"))
        wait_for(lambda: run.lines)
        assert run.cancel().state is CANCELED
        assert not alive(run.lines[0])
        assert run.exit().state is ActionState.SUCCESS


def test_a_callback_may_cancel_what_has_just_started() -> None:
    ended = threading.Event()

    def callback(_: str, status: ActionStatus) -> None:
        if status.state is ActionState.RUNNING:
            run.session.cancel_action()
        else:
            ended.set()

    with opened(callback=callback) as run:
        run.session.run_task(step_script=shell("sleep 1000"), task_parameter_values={})
        assert ended.wait(30)
        assert run.session.action_status == ActionStatus(CANCELED, exit_code=-9)


def test_what_is_cancelled_is_not_what_comes_after_it() -> None:
    """However a cancelation and the end of an action meet, it is the one that was meant or none."""
    for number in range(25):
        with opened() as run:
            run.begin("true")
            time.sleep(number % 5 * 0.001)
            with contextlib.suppress(RuntimeError):
                run.session.cancel_action()
            status = run.wait()
            if status.state is ActionState.SUCCESS:
                assert run.task("true") == ActionStatus(ActionState.SUCCESS, exit_code=0)
            else:
                assert status.state is CANCELED
                assert run.session.state is SessionState.READY_ENDING


# What cannot be started or written

RUNNABLE = "chmod +x; an embedded file needs runnable: true"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("no-such-command", 127, "it is not there (is it installed, and in PATH?)"),
        ("/no/such/command", 127, "it is not there (is it installed, and in PATH?)"),
        ("/etc/passwd", 126, f"it is not executable ({RUNNABLE})"),
        ("/etc", 126, "it is a directory (name a program in it)"),
    ],
)
def test_a_command_that_cannot_be_run(command: str, code: int, says: str) -> None:
    with opened() as run:
        run.enter(environment(leave="echo left"))
        status = run.task(script({"command": command}))
        assert status == ActionStatus(
            FAILED, fail_message=f"cannot start {command!r}: {says}", exit_code=code
        )
        assert run.told[-1] == status
        assert run.exit().state is ActionState.SUCCESS


@pytest.mark.parametrize(
    ("text", "runnable", "code", "says"),
    [
        ("#!/no/interpreter -x\ntrue", True, 127, "its interpreter /no/interpreter is not there"),
        ("#!/bin/sh\ntrue", False, 126, f"it is not executable ({RUNNABLE})"),
        ("true", True, 126, "exec format error (a script needs a first line like #!/bin/sh)"),
    ],
)
def test_an_embedded_file_that_cannot_be_run(text: str, runnable: bool, code: int, says: str) -> None:
    file = {"name": "F", "type": "TEXT", "data": text, "runnable": runnable}
    with opened() as run:
        status = run.task(script({"command": "{{Task.File.F}}"}, file))
        assert status.exit_code == code
        assert status.fail_message is not None and f"/F': {says}" in status.fail_message


def test_the_path_is_that_of_the_action(tmp_path: Path) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    with opened() as run:
        run.enter(environment(variables={"PATH": f"{tmp_path}:/usr/bin:/bin"}))
        assert run.task(script({"command": "mine"})).state is ActionState.SUCCESS
        program.write_text("echo without a first line\n")
        status = run.task(script({"command": "mine"}))
        assert status.exit_code == 126
        assert status.fail_message is not None and "#!/bin/sh" in status.fail_message


def test_arguments_that_are_too_long() -> None:
    with opened(parameters={"P": "x" * 200_000}) as run:
        what = _with_parameters(sh("true"))
        long = what._replace(
            actions=what.actions._replace(
                onRun=what.actions.onRun._replace(args=("-c", "true", "x" * 200_000))
            )
        )
        status = run.task(long)
        assert (status.state, status.exit_code) == (FAILED, 126)
        assert status.fail_message is not None and "too long" in status.fail_message


def test_large_environments_arrive() -> None:
    with opened() as run:
        run.enter(environment(variables={f"V{n}": "x" * 2000 for n in range(100)}))
        assert run.task("echo ${#V99}").state is ActionState.SUCCESS
        assert run.lines == ["2000"]


@contextmanager
def small_tmpfs(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.root
def test_a_full_working_directory(tmp_path: Path) -> None:
    file = {"name": "F", "type": "TEXT", "data": "x" * 10_000}
    with small_tmpfs(tmp_path / "small") as small, opened(session_root_directory=small) as run:
        run.enter(environment(leave="rm full"))
        assert run.task("head -c 1M /dev/zero >full 2>/dev/null || true").state is ActionState.SUCCESS
        status = run.task(script(sh("true"), file))
        assert status.state is FAILED
        assert status.fail_message is not None
        assert "no space left on device (make room there" in status.fail_message
        assert str(run.session.files_directory) in status.fail_message
        assert list(run.session.files_directory.iterdir()) == []
        assert run.exit().state is ActionState.SUCCESS


@pytest.mark.root
def test_a_full_place_for_working_directories(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "small") as small:
        (small / "full").write_bytes(bytes(1 << 16))
        with pytest.raises(OsbuildError) as caught:
            Run(session_root_directory=small)
        assert caught.value.code == "job.directory"
        assert caught.value.hint is not None and "make room" in caught.value.hint
        assert os.listdir(small) == ["full"]


def test_the_place_for_working_directories_is_not_writable(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OsbuildError) as caught:
        Run(session_root_directory=tmp_path)
    assert caught.value.hint is not None and "may we write there" in caught.value.hint


# Other users


@pytest.mark.root
def test_commands_of_another_user() -> None:
    user = PosixSessionUser("nobody", password="not needed")
    assert not user.is_process_user()
    file = {"name": "F", "type": "TEXT", "runnable": True, "data": "#!/bin/sh\nid -un >made; cat made $1\n"}
    os.environ["OF_ROOT"] = "x"
    try:
        with opened(user=user, os_env_vars={"MINE": "1"}) as run:
            owner = pwd.getpwnam("nobody")
            found = run.directory.stat()
            assert (found.st_uid, found.st_mode & 0o7777) == (owner.pw_uid, 0o700)
            text = (
                "id -un; id -gn; echo $HOME $MINE .$OF_ROOT; {{Task.File.F}} {{Session.PathMappingRulesFile}}"
            )
            assert run.task(script(sh(text), file)).state is ActionState.SUCCESS
            group = subprocess.run(["id", "-gn", "nobody"], capture_output=True, text=True).stdout.strip()
            assert run.lines == ["nobody", group, f"{owner.pw_dir} 1 .", "nobody", "{}"]
            # Not root any more, in no way.
            assert run.task("cat /etc/shadow").state is FAILED
            assert run.session.state is SessionState.READY_ENDING
        assert not run.directory.exists()
        with opened(user=user) as run:
            run.begin("trap '' TERM; sleep 1000 & echo $!; wait; wait")
            wait_for(lambda: run.lines)
            assert run.cancel().state is CANCELED
            assert not alive(run.lines[0])
    finally:
        del os.environ["OF_ROOT"]


@pytest.mark.root
def test_what_another_user_may_not_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    with opened(user=PosixSessionUser("nobody")) as run:
        status = run.task(script({"command": str(program)}))
        assert (status.state, status.exit_code) == (FAILED, 126)
        assert status.fail_message is not None and "may this user run it?" in status.fail_message


def test_users_that_do_not_exist() -> None:
    for arguments in (("no-such-user",), ("root", "no-such-group")):
        with pytest.raises(UsageError, match="no-such"):
            PosixSessionUser(*arguments)
    assert PosixSessionUser(pwd.getpwuid(os.geteuid()).pw_name).is_process_user()
