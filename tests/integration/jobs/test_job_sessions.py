"""Sessions with real processes: environments, variables, messages, files, what is left behind."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest

from osbuild_core.exports.jobs import (
    LOG,
    ActionState,
    ActionStatus,
    LogContent,
    ParameterValue,
    ParameterValueType,
    PathFormat,
    PathMappingRule,
    Session,
    SessionState,
)
from osbuild_core.model.errors import OsbuildError
from tests.integration.jobs.sessions import Run, alive, descendants, environment, opened, script, sh, shell

SUCCESS, FAILED = ActionState.SUCCESS, ActionState.FAILED
SEED = Path(__file__).resolve().parents[4] / "shared" / "seeds" / "000_63286d6fa1a009db.txt"
ROOT = Path(__file__).resolve().parents[3]


# Actions


def test_a_task_runs_in_the_working_directory() -> None:
    with opened() as run:
        assert run.session.state is SessionState.READY
        assert run.session.action_status is None
        assert run.task("pwd; stat -c %a .; echo $OPENJD_SESSION_WORKING_DIR; echo err >&2") == ActionStatus(
            SUCCESS, exit_code=0
        )
        assert run.lines == [str(run.directory), "700", str(run.directory), "err"]
        assert run.session.state is SessionState.READY
        assert [status.state for status in run.told] == [ActionState.RUNNING, SUCCESS]
        directory = run.directory
    assert run.session.state is SessionState.ENDED
    assert not directory.exists()


def test_a_task_that_fails_leaves_a_session_that_can_only_end() -> None:
    with opened() as run:
        run.enter(environment(leave="echo left"))
        assert run.task("exit 3") == ActionStatus(FAILED, exit_code=3)
        assert run.session.state is SessionState.READY_ENDING
        with pytest.raises(RuntimeError, match="READY_ENDING"):
            run.task("true")
        with pytest.raises(RuntimeError):
            run.enter(environment())
        assert run.exit().state is SUCCESS
        assert run.lines == ["left"]
        assert run.session.state is SessionState.READY_ENDING


def test_a_signal_that_ends_a_command_is_its_exit_code() -> None:
    with opened() as run:
        assert run.task("kill -9 $$") == ActionStatus(FAILED, exit_code=-9)


def test_the_last_line_needs_no_end_and_bytes_no_meaning() -> None:
    with opened() as run:
        assert run.task(r"printf 'one\n\377two'").state is SUCCESS
        assert run.lines == ["one", "�two"]


def test_one_action_at_a_time() -> None:
    with opened() as run:
        run.begin("read x <fifo || true; mkfifo fifo; read x <fifo")
        assert run.session.state is SessionState.RUNNING
        for call in (
            lambda: run.session.run_task(step_script=shell("true"), task_parameter_values={}),
            lambda: run.session.enter_environment(environment=environment()),
            lambda: run.session.exit_environment(identifier="x"),
            lambda: run.session.run_subprocess(command="true"),
        ):
            with pytest.raises(RuntimeError, match="RUNNING"):
                call()
        assert run.cancel().state is ActionState.CANCELED


def test_values_of_parameters() -> None:
    with opened(parameters={"Job": "j"}) as run:
        what = script(
            sh("echo {{Task.Param.A}} {{Task.RawParam.A}}"),
            parameterSpace={"taskParameterDefinitions": [{"name": "A", "type": "STRING", "range": ["x"]}]},
        )
        assert run.task(what, {"A": "one two"}).state is SUCCESS
        assert run.lines == ["one two one two"]
        assert "A(STRING) = one two" in run.record.notes


def test_a_command_as_it_is() -> None:
    with opened(os_env_vars={"A": "1"}) as run:
        run.enter(environment(variables={"B": "2"}))
        run._ended.clear()
        run.session.run_subprocess(command="sh", args=["-c", "echo '{{x}}' $A $B $C"], os_env_vars={"C": "3"})
        assert run.wait().state is SUCCESS
        run._ended.clear()
        run.session.run_subprocess(
            command="sh", args=["-c", "echo $A $B."], use_session_env_vars=False, log_banner_message="Hello"
        )
        assert run.wait().state is SUCCESS
        assert run.lines == ["{{x}} 1 2 3", "1 ."]
        assert "--------- Hello" in run.record.notes
        for wrong in ({"command": " "}, {"command": "true", "timeout": 0}):
            with pytest.raises(ValueError, match=r"command|timeout"):
                run.session.run_subprocess(**wrong)  # type: ignore[arg-type]


# Environments


def test_environments_are_left_in_the_opposite_order() -> None:
    with opened() as run:
        assert run.enter(environment("A", "echo in A", "echo out A"), identifier="a").state is SUCCESS
        assert run.enter(environment("B", "echo in B", "echo out B"), identifier="b").state is SUCCESS
        assert run.session.environments_entered == ("a", "b")
        with pytest.raises(RuntimeError, match="before b"):
            run.session.exit_environment(identifier="a")
        with pytest.raises(RuntimeError, match="not been entered"):
            run.session.exit_environment(identifier="c")
        with pytest.raises(RuntimeError, match="already"):
            run.session.enter_environment(environment=environment(), identifier="a")
        run.exit("b", keep_session_running=True)
        assert run.task("echo task").state is SUCCESS
        run.exit("a")
        assert run.session.state is SessionState.READY_ENDING
        assert run.lines == ["in A", "in B", "out B", "task", "out A"]


def test_variables_of_environments() -> None:
    show = "echo $A/$B/$C/${D-unset}"
    with opened(os_env_vars={"A": "os", "D": "os"}) as run:
        outer = environment(
            "A",
            "echo openjd_env: C=said; echo openjd_unset_env: D; " + show,
            show,
            variables={"B": "defined"},
        )
        run.enter(outer, os_env_vars={"A": "call", "B": "call"})
        run.task(show)
        inner = environment(
            "B", r"""printf '%s\n' 'openjd_env: "C=two\nlines"' 'openjd_env: D=back'; """, show
        )
        run.enter(inner)
        run.task('echo "$C"; echo $D; echo openjd_env: C=of a task')
        run.exit(keep_session_running=True)
        run.task(show)
        run.exit(keep_session_running=True)
        run.task(show)
        shown = [line for line in run.lines if not line.startswith("openjd_")]
        assert shown == [
            "call/defined//os",
            "os/defined/said/unset",
            "two",
            "lines",
            "back",
            "os/defined/two lines/back",
            "os/defined/said/unset",
            "os/defined/said/unset",
            "os///os",
        ]


def test_an_environment_of_variables_only_has_no_process() -> None:
    with opened() as run:
        assert run.enter(environment(variables={"A": "{{Session.WorkingDirectory}}"})) == ActionStatus(
            SUCCESS
        )
        run.task("echo $A")
        assert run.exit() == ActionStatus(SUCCESS)
        assert run.lines == [str(run.directory)]


def test_an_environment_that_cannot_be_entered_can_be_left() -> None:
    with opened() as run:
        assert run.enter(environment(enter="exit 1", leave="echo left")).state is FAILED
        assert run.session.state is SessionState.READY_ENDING
        assert len(run.session.environments_entered) == 1
        assert run.exit().state is SUCCESS
        assert run.lines == ["left"]


def test_what_an_environment_starts_lives_until_it_is_left() -> None:
    daemon = "setsid sh -c 'echo $$ >{0}; while :; do sleep 1; done' >/dev/null 2>&1 & while ! [ -s {0} ]; do :; done"
    with opened() as run:
        run.enter(environment("A", daemon.format("a"), "kill -0 $(cat a) && echo there"))
        run.enter(environment("B", daemon.format("b")))
        a, b = ((run.directory / name).read_text().strip() for name in "ab")
        assert run.task(f"kill -0 {a} {b} && echo both").state is SUCCESS
        run.exit(keep_session_running=True)
        assert alive(a)
        assert not alive(b)
        run.exit()
        assert not alive(a)
        assert run.lines == ["both", "there"]


def test_output_of_a_daemon_is_shown_and_is_no_message() -> None:
    with opened() as run:
        run.enter(
            environment(enter="mkfifo go; (read x <go; echo openjd_status: late; echo shown) & echo in")
        )
        assert run.lines == ["in"]
        assert run.task("echo >go; echo task").state is SUCCESS
        run.until("shown")
        assert run.session.action_status == ActionStatus(SUCCESS, exit_code=0)


def test_an_orphan_costs_nothing() -> None:
    """One that holds the output open, in the command's process group or not, is neither waited for nor left."""
    with opened() as run:
        text = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (setsid sh -c 'sleep 1000 & echo $!' &); sleep 0.1"
        assert run.task(text).state is SUCCESS
        assert len(run.lines) == 3
        assert not any(alive(pid) for pid in run.lines)


def test_an_orphan_without_an_environment_is_found_too() -> None:
    with opened() as run:
        assert run.task("env -i setsid sleep 1000 >/dev/null 2>&1 & echo $!").state is SUCCESS
        assert not alive(run.lines[0])


def test_what_a_task_kills_of_its_own_is_not_what_an_environment_started() -> None:
    with opened() as run:
        run.enter(environment(enter="env -i setsid sleep 1000 >/dev/null 2>&1 & echo $! >pid; sleep 0.1"))
        pid = (run.directory / "pid").read_text().strip()
        run.task("sleep 1000 & true")
        assert alive(pid)
        run.exit()
        assert not alive(pid)


def test_no_line_is_lost_between_one_action_and_the_next() -> None:
    """Pipes come and go while the session's thread looks at those before; their numbers are used again."""
    for _ in range(5):
        with opened() as run:
            for number in range(10):
                run.enter(environment(enter=f"echo in {number}"))
            for number in range(10):
                run.task(f"echo task {number}")
            for _ in range(10):
                run.exit(keep_session_running=True)
            assert run.lines == [f"{word} {number}" for word in ("in", "task") for number in range(10)]


# Messages


def test_progress_status_and_failure_whatever_the_level_of_the_log() -> None:
    before = LOG.level
    LOG.setLevel(logging.CRITICAL)
    try:
        with opened(journal=None) as run:
            status = run.task(
                "echo openjd_progress: 12.5; echo openjd_status: half way; echo openjd_fail: no; exit 2"
            )
    finally:
        LOG.setLevel(before)
    assert status == ActionStatus(FAILED, 12.5, "half way", "no", 2)
    assert run.told == [
        ActionStatus(ActionState.RUNNING),
        ActionStatus(ActionState.RUNNING, 12.5),
        ActionStatus(ActionState.RUNNING, 12.5, "half way"),
        ActionStatus(ActionState.RUNNING, 12.5, "half way", "no"),
        status,
    ]


def test_the_next_action_knows_nothing_of_the_messages_before() -> None:
    with opened() as run:
        run.task("echo openjd_progress: 1")
        assert run.task("true") == ActionStatus(SUCCESS, exit_code=0)


@pytest.mark.parametrize(
    "line", [" openjd_env: A=1", "OPENJD_ENV: A=1", "openjd_unset_env A", "openjd_env:A=1"]
)
def test_what_nearly_is_a_message_fails_the_action(line: str) -> None:
    with opened() as run:
        status = run.task(f"echo '{line}'; sleep 1000")
        assert status.state is FAILED
        assert status.exit_code == -9
        assert status.fail_message is not None
        assert repr(line) in status.fail_message
        assert "at the beginning of a line" in status.fail_message
        assert any("-- ERROR" in shown for shown in run.lines)


def test_a_malformed_variable_fails_the_environment_though_it_ends_well() -> None:
    with opened() as run:
        status = run.enter(environment(enter="echo openjd_env: 1A=x"))
        assert status.state is FAILED
        assert status.fail_message is not None and "NAME=VALUE" in status.fail_message


def test_malformed_progress_is_marked_and_costs_nothing() -> None:
    with opened() as run:
        assert run.task("echo openjd_progress: 101") == ActionStatus(SUCCESS, exit_code=0)
        assert run.lines == ["openjd_progress: 101 -- ERROR: openjd_progress: '101' is not a percentage"]


def test_secrets_are_set_and_not_shown() -> None:
    with opened() as run:
        run.enter(environment(enter="echo openjd_redacted_env: S=geheim; echo the geheim word"))
        run.task("echo $S; echo openjd_status: $S; echo openjd_fail: $S; echo ${#S}")
        run.enter(environment(variables={"T": "geheim too"}))
        status = run.task("echo ' openjd_env: A=geheim'")
        everything = "\n".join([*run.lines, *run.record.notes, *map(str, run.told), str(status)])
        assert "geheim" not in everything
        assert "6" in run.lines
        assert run.lines[1] == "the ******** word"


def test_secrets_need_the_extension() -> None:
    with opened(revision_extensions=()) as run:
        assert run.session.get_enabled_extensions() == []
        run.enter(environment(enter="echo openjd_redacted_env: S=geheim"))
        run.task("echo .$S. geheim")
        assert run.lines == ["openjd_redacted_env: S=********", ".. ********"]
        assert any("REDACTED_ENV_VARS" in note for note in run.record.notes)


def test_records_of_the_log() -> None:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keep()
    LOG.addHandler(handler)
    before = LOG.level
    try:
        with opened(journal=None) as run:
            run.task("echo one; echo two; echo openjd_session_runtime_loglevel: ERROR; echo three")
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)
    assert all(record.session_id == "test" for record in records)  # type: ignore[attr-defined]
    output = [r for r in records if r.openjd_log_content == LogContent.COMMAND_OUTPUT]  # type: ignore[attr-defined]
    assert [record.getMessage() for record in output] == ["one", "two"]


def test_a_callback_that_fails_is_survived() -> None:
    ended = threading.Event()

    def callback(_: str, status: ActionStatus) -> None:
        if status.state is not ActionState.RUNNING:
            ended.set()
        raise ValueError("mine")

    with opened(callback=callback) as run:
        for _ in range(2):
            ended.clear()
            run.session.run_task(step_script=shell("echo openjd_status: x"), task_parameter_values={})
            assert ended.wait(30)
        assert run.session.state is SessionState.READY
    assert any("callback failed: ValueError" in note for note in run.record.notes)


def test_a_journal_that_fails_is_survived() -> None:
    class Broken:
        def output(self, text: str) -> None:
            raise OSError("full")

        def note(self, text: str, content: LogContent | None = None, level: int = 0) -> None:
            pass

    with opened(journal=Broken()) as run:
        assert run.task("echo one; echo openjd_status: two").status_message == "two"
        assert run.session.state is SessionState.READY


# Files


def test_embedded_files() -> None:
    files = (
        {
            "name": "Run",
            "type": "TEXT",
            "runnable": True,
            "data": "#!/bin/sh\necho run; cat {{Task.File.Data}}\n",
        },
        {"name": "Data", "type": "TEXT", "filename": "d.txt", "data": "a\nb\n", "endOfLine": "CRLF"},
    )
    with opened() as run:
        text = "stat -c %A {{Task.File.Data}} {{Task.File.Run}}; {{Task.File.Run}} | od -c"
        assert run.task(script(sh(text), *files)).state is SUCCESS
        assert run.lines[:3] == [
            "-rw-------",
            "-rwx------",
            "0000000   r   u   n  \\n   a  \\r  \\n   b  \\r  \\n",
        ]
        assert list(run.session.files_directory.iterdir()) == []
        places = [note for note in run.record.notes if note.startswith("Wrote: ")]
        assert [place.rpartition("/")[2] for place in places] == ["Run", "d.txt"]


def test_files_of_an_environment_stay_until_it_is_left() -> None:
    file = {"name": "F", "type": "TEXT", "filename": "same", "data": "of E\n"}
    with opened() as run:
        run.enter(
            environment(enter="echo openjd_env: F={{Env.File.F}}", leave="cat {{Env.File.F}}", files=(file,))
        )
        task = script(sh("cat {{Task.File.F}} $F"), file | {"data": "of the task\n"})
        assert run.task(task).state is SUCCESS
        run.exit()
        assert run.lines[1:] == ["of the task", "of E", "of E"]
        assert list(run.session.files_directory.iterdir()) == []


def test_nothing_is_left_of_an_action() -> None:
    with opened() as run:
        what = script(
            sh("true", cancelation={"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 1}),
            {"name": "F", "type": "TEXT", "data": "x"},
        )
        run.task(what)
        before = sorted(run.directory.rglob("*"))
        mine = sorted(os.listdir("/proc/self/fd"))
        for _ in range(20):
            run.task(what)
        assert sorted(run.directory.rglob("*")) == before
        assert sorted(os.listdir("/proc/self/fd")) == mine


def test_path_mapping() -> None:
    rules = [
        PathMappingRule(
            source_path_format=PathFormat.POSIX,
            source_path=PurePosixPath("/mnt"),
            destination_path=PurePosixPath("/other"),
        ),
        PathMappingRule.from_dict(
            {
                "source_path_format": "windows",
                "source_path": "Z:\\Shows\\One",
                "destination_path": "/shows/one",
            }
        ),
    ]
    values = {"P": ParameterValue(ParameterValueType.PATH, "z:\\shows\\one\\A.blend")}
    what = shell(
        "echo '{{Param.P}}' '{{RawParam.P}}' {{Session.HasPathMappingRules}}; cat {{Session.PathMappingRulesFile}}"
    )
    with opened(path_mapping_rules=rules, job_parameter_values=values) as run:
        assert run.task(what).state is SUCCESS
        assert run.lines[0] == "/shows/one/A.blend z:\\shows\\one\\A.blend true"
        written = json.loads(run.lines[1])
        assert written["version"] == "pathmapping-1.0"
        # The most specific rule is the first to be tried.
        assert [rule["destination_path"] for rule in written["path_mapping_rules"]] == [
            "/shows/one",
            "/other",
        ]
    with opened(job_parameter_values=values) as run:
        run.task(what)
        assert run.lines == ["z:\\shows\\one\\A.blend z:\\shows\\one\\A.blend false", "{}"]


def test_the_working_directory_can_be_kept_and_be_elsewhere(tmp_path: Path) -> None:
    with opened(retain_working_dir=True, session_root_directory=tmp_path) as run:
        run.task("echo x >made")
        assert run.directory.parent == tmp_path
    assert (run.directory / "made").read_text() == "x\n"
    with pytest.raises(RuntimeError, match="not there"):
        Run(session_root_directory=tmp_path / "nothing")
    with pytest.raises(OsbuildError) as caught:
        Run(session_root_directory=tmp_path / "nothing")
    assert caught.value.code == "job.directory"
    assert caught.value.hint


# The end


def test_a_session_that_ends_takes_everything_with_it() -> None:
    others = descendants()
    run = Run()
    run.begin("echo $$; sleep 1000 & setsid sleep 1000 & wait")
    wait_line = run.until
    import time

    while not run.lines:
        time.sleep(0.01)
    wait_line(run.lines[0])
    below = set(descendants()) - set(others)
    assert len(below) >= 4
    run.session.cleanup()
    run.session.cleanup()
    assert not any(alive(pid) for pid in below)
    assert not run.directory.exists()
    assert run.told[-1].state is ActionState.CANCELED


HOLDER = """
import sys, time
from tests.integration.jobs.sessions import Run, environment
run = Run()
run.enter(environment(enter="setsid sleep 1000 >/dev/null 2>&1 &"))
run.begin("sleep 1000 & setsid sleep 1001 & echo up; wait")
run.until("up")
print(run.directory, flush=True)
time.sleep(1000)
"""


def test_a_session_that_is_killed_takes_everything_with_it() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout is not None
    directory = Path(holder.stdout.readline().strip())
    below = descendants(holder.pid)
    assert len(below) >= 5
    holder.kill()
    holder.wait()
    holder.stdout.close()
    from tests.integration.jobs.sessions import wait_for

    wait_for(lambda: not any(alive(pid) for pid in below))
    wait_for(lambda: not directory.exists())


def test_a_keeper_that_is_killed_is_the_end_of_its_commands() -> None:
    others = descendants()
    with opened() as run:
        run.begin("sleep 1000 & setsid sleep 1000 & echo up; wait")
        run.until("up")
        below = set(descendants()) - set(others)
        keeper = run.session._launcher._processes._keeper.process
        keeper.kill()
        status = run.wait()
        assert status.state is FAILED
        assert status.fail_message is not None and "keeper" in status.fail_message
        assert not any(alive(pid) for pid in below)
        assert run.session.state is SessionState.READY_ENDING
    assert not run.directory.exists()


# The page of openjd-sessions


def test_the_example_of_openjd_sessions_runs_as_its_page_says(tmp_path: Path) -> None:
    if not SEED.exists():
        pytest.skip(f"{SEED.name} is not there")
    page = SEED.read_text()
    program = page[page.index("from openjd.model import") : page.index("\nImpersonating a User\n")]
    program = re.sub(r"openjd\.(model|sessions)", "osbuild_core.exports.jobs", program)
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = [line for line in done.stdout.splitlines() if re.match("Foo|Entering D|Exiting D", line)]
    tasks = [f"Foo=12 Bar={number}" for number in range(1, 11)]
    entered = ["Entering DemoJobEnv", "Entering DemoStepEnv"]
    assert printed == [*entered, *tasks, "Exiting DemoStepEnv", "Exiting DemoJobEnv"]


def test_the_names_of_openjd_are_there() -> None:
    import osbuild_core.exports.jobs as ours

    for name in (
        "Session ActionState ActionStatus PosixSessionUser LOG SessionState PathMappingRule decode_job_template"
        " create_job preprocess_job_parameters StepParameterSpaceIterator"
    ).split():
        assert hasattr(ours, name)
    assert ours.Session is Session


# Sessions that are attended


def test_an_attended_session_has_no_thread_of_its_own() -> None:
    before = threading.active_count()
    with opened(attended=True) as run:
        for number in range(3):
            run.begin(f"echo {number}")
            run.session.wait()
            assert run.wait().state is ActionState.SUCCESS
        run.begin("exit 3")
        run.session.wait()
        assert run.wait().exit_code == 3
        assert threading.active_count() == before
        # Nothing runs: nothing to wait for.
        run.session.wait()
    assert run.lines[:3] == ["0", "1", "2"]


def test_what_an_attended_environment_left_behind_is_read_while_nobody_attends() -> None:
    daemon = "(setsid sh -c 'while [ ! -e go ]; do sleep 0.01; done; echo late; exec sleep 1000' &)"
    with opened(attended=True) as run:
        run._ended.clear()
        entered = run.session.enter_environment(environment=environment(enter=daemon))
        run.session.wait()
        assert run.wait().state is ActionState.SUCCESS
        (run.directory / "go").touch()
        run.until("late")
        run.begin("echo task")
        run.session.wait()
        assert run.lines == ["late", "task"]
        run._ended.clear()
        run.session.exit_environment(identifier=entered)
        run.session.wait()
        assert run.wait().state is ActionState.SUCCESS
        assert not descendants(run.session._launcher._processes._keeper.process.pid)


def test_an_attended_action_can_be_cancelled_and_times_out() -> None:
    with opened(attended=True) as run:
        run.begin("echo up; sleep 1000")
        threading.Timer(0.1, run.session.cancel_action).start()
        run.session.wait()
        assert run.wait() == ActionStatus(ActionState.CANCELED, exit_code=-9)
    with opened(attended=True) as run:
        run.begin(shell("sleep 1000", timeout=1))
        run.session.wait()
        assert run.wait() == ActionStatus(ActionState.TIMEOUT, exit_code=-9)


def test_a_keeper_that_dies_ends_what_is_attended() -> None:
    with opened(attended=True) as run:
        run.begin("sleep 1000")
        run.session._launcher._processes._keeper.process.kill()
        run.session.wait()
        assert run.wait().state is ActionState.FAILED


def test_waiting_works_with_a_callback_too() -> None:
    with opened() as run:
        run.begin("sleep 0.05; echo one")
        run.session.wait()
        assert run.lines == ["one"]
        assert run.session.state is SessionState.READY
