"""``osbuild-core job run`` as its callers use it: selection, parallel tasks, results, events, signals, bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from osbuild_core.exports.jobs import ActionState
from osbuild_core.exports.jobs.amounts import MEMORY, VCPU, host_amounts, slots
from osbuild_core.exports.jobs.results import Results, ResultsError
from tests.integration.core_cli.conftest import OSBUILD_CORE, Cli
from tests.integration.jobs.sessions import alive, descendants, sh, template, wait_for


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return Cli(tmp_path)


def frames(text: str, values: str = "1-4", **members: Any) -> dict[str, Any]:
    """Return a step with a task for each of these values, which runs ``text`` with sh."""
    return {
        "name": "Frames",
        "parameterSpace": {"taskParameterDefinitions": [{"name": "F", "type": "INT", "range": values}]},
        "script": {"actions": {"onRun": sh(text)}},
        **members,
    }


def once(name: str, text: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "script": {"actions": {"onRun": sh(text)}}, **members}


def around(name: str, enter: str | None = None, leave: str | None = None) -> dict[str, Any]:
    actions = {key: sh(text) for key, text in (("onEnter", enter), ("onExit", leave)) if text is not None}
    return {"name": name, "script": {"actions": actions}}


def write(cli: Cli, *steps: dict[str, Any], name: str = "t.yaml", **members: Any) -> str:
    document = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "Test",
        "extensions": ["TASK_CHUNKING", "FEATURE_BUNDLE_1", "REDACTED_ENV_VARS"],
        **members,
        "steps": list(steps),
    }
    (cli.directory / name).write_text(yaml.safe_dump(document, sort_keys=False))
    return name


def run(cli: Cli, *arguments: Any, status: int = 0) -> dict[str, Any]:
    """Return the result as JSON."""
    done = cli.run("job", "run", *arguments, "--output", "json")
    assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def printed(result: dict[str, Any], pattern: str = r"[a-z]+ \d+") -> list[str]:
    """Return the lines of a result that commands printed, as far as they are like ``pattern``."""
    lines = [entry["message"] for entry in result.get("logs", ())]
    return [line for line in lines if re.fullmatch(pattern, line)]


def events_of(cli: Cli, name: str = "events") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cli.directory / name).read_text().splitlines()]


# As openjd run does it


def test_a_job_for_people(cli: Cli) -> None:
    job = write(
        cli,
        frames("echo frame {{Task.Param.F}}", "1-2"),
        jobEnvironments=[around("E", "echo in", "echo out")],
    )
    done = cli.run("job", "run", job)
    assert (done.returncode, done.stderr) == (0, "")
    log, _, result = done.stdout.partition("\n--- Results of local session ---\n")
    lines = [line.split("\t", 1) for line in log.splitlines()]
    assert all(re.fullmatch(r"0:00:\d\d\.\d{6}", stamp) for stamp, _ in lines)
    texts = [text for _, text in lines]
    order = [
        "--------- Entering Environment: E",
        "in",
        "frame 1",
        "frame 2",
        "--------- Exiting Environment: E",
        "out",
    ]
    assert [text for text in texts if text in order] == order
    assert re.fullmatch(
        r"\nSession ended successfully\n\nJob: Test\nStep: Frames\nDuration: [\d.]+ seconds\nChunks run: 2\n\n",
        result,
    )


def test_a_job_for_machines(cli: Cli) -> None:
    job = write(cli, frames("echo frame {{Task.Param.F}}"))
    result = run(cli, job)
    assert printed(result) == ["frame 1", "frame 2", "frame 3", "frame 4"]
    duration = result.pop("duration")
    assert duration > 0
    assert all(set(entry) == {"timestamp", "message"} for entry in result.pop("logs"))
    assert result == {
        "status": "success",
        "message": "Session ended successfully",
        "job_name": "Test",
        "step_name": "Frames",
        "chunks_run": 4,
        "chunks_failed": 0,
        "chunks_skipped": 0,
    }
    done = cli.run("job", "run", job, "--output", "yaml")
    assert yaml.safe_load(done.stdout)["chunks_run"] == 4


@pytest.mark.parametrize("form", ["local", "utc"])
def test_times_of_the_clock(cli: Cli, form: str) -> None:
    done = cli.run("job", "run", write(cli, once("A", "echo one")), "--timestamp-format", form)
    stamps = [line.split("\t")[0] for line in done.stdout.splitlines() if "\t" in line]
    assert stamps
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", stamp) for stamp in stamps)


def test_what_fails_has_its_line_place_and_hint(cli: Cli) -> None:
    step = frames("[ {{Task.Param.F}} != 2 ] || { echo openjd_fail: no light; exit 3; }", name="Frames")
    job = write(cli, step, once("Film", "echo film"), jobEnvironments=[around("E", None, "echo left 1")])
    done = cli.run("job", "run", job)
    assert done.returncode == 1
    assert done.stderr == ("error: steps[0].script.actions.onRun: Frames, F=2: no light (exit status 3)\n")
    assert "Session ended with errors" in done.stdout
    result = run(cli, job, status=1)
    assert (result["status"], result["chunks_run"], result["chunks_failed"]) == ("error", 1, 1)
    (error,) = result["errors"]
    assert error["code"] == "job.failed"
    assert error["path"] == ["steps", 0, "script", "actions", "onRun"]
    # Nothing after it, and the environment is left all the same.
    assert printed(result) == ["left 1"]


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (
            {"command": "no-such-command"},
            "cannot start 'no-such-command': it is not there (is it installed, and in PATH?)",
        ),
        (
            {"command": "/etc/passwd"},
            "cannot start '/etc/passwd': it is not executable"
            " (chmod +x; an embedded file needs runnable: true)",
        ),
        (sh("exit 4"), "it ended with exit status 4 (its output may say why)"),
        (sh("kill -9 $$"), "it ended with signal 9 (its output may say why)"),
        (sh("sleep 1000", timeout=1), "it took longer than its timeout (raise the timeout of the action)"),
        (
            sh("echo ' openjd_env: A=1'; sleep 1000"),
            "' openjd_env: A=1' is not quite a message (openjd_env: NAME=VALUE, at the beginning of a line,"
            " in small letters)",
        ),
    ],
)
def test_faults_of_a_task(cli: Cli, action: dict[str, Any], line: str) -> None:
    job = write(cli, {"name": "A", "script": {"actions": {"onRun": action}}})
    done = cli.run("job", "run", job)
    assert (done.returncode, done.stderr) == (1, f"error: steps[0].script.actions.onRun: A: {line}\n")


def test_environments_that_fail(cli: Cli) -> None:
    inner = {"name": "I", "variables": {"A": "1"}}
    job = write(
        cli,
        once("A", "echo task 1", stepEnvironments=[inner, around("S", "exit 5", "echo left 2")]),
        once("B", "echo task 2"),
        jobEnvironments=[around("J", "echo entered 1", "echo left 1; exit 6")],
    )
    result = run(cli, job, status=1)
    assert printed(result) == ["entered 1", "left 2", "left 1"]
    assert [error["path"] for error in result["errors"]] == [
        ["steps", 0, "stepEnvironments", 1, "script", "actions", "onEnter"],
        ["jobEnvironments", 0, "script", "actions", "onExit"],
    ]
    assert [error["message"] for error in result["errors"]] == [
        "S: it ended with exit status 5",
        "J: it ended with exit status 6",
    ]


def test_steps_and_what_they_depend_on(cli: Cli) -> None:
    job = write(
        cli,
        once(
            "C",
            "echo step 3",
            dependencies=[{"dependsOn": "B"}],
            stepEnvironments=[around("E", "echo in 3", "echo out 3")],
        ),
        once("A", "echo step 1"),
        once("B", "echo step 2", dependencies=[{"dependsOn": "A"}]),
    )
    assert printed(run(cli, job)) == ["step 1", "step 2", "in 3", "step 3", "out 3"]
    assert printed(run(cli, job, "--step", "B")) == ["step 2"]
    assert printed(run(cli, job, "--step", "B", "--run-dependencies")) == ["step 1", "step 2"]
    result = run(cli, job, "--step", "C", "--no-run-dependencies")
    assert (printed(result), result["step_name"]) == (["in 3", "step 3", "out 3"], "C")


def test_tasks_by_their_parameters(cli: Cli) -> None:
    job = write(cli, frames("echo frame {{Task.Param.F}}"))
    assert printed(run(cli, job, "-tp", "F=3")) == ["frame 3"]
    assert printed(run(cli, job, "--tasks", '[{"F": 4}, {"F": "1"}]')) == ["frame 4", "frame 1"]
    (cli.directory / "tasks.yaml").write_text("- {F: 2}\n")
    assert printed(run(cli, job, "--tasks", "file://tasks.yaml")) == ["frame 2"]
    assert printed(run(cli, job, "--maximum-tasks", 2)) == ["frame 1", "frame 2"]


def test_environment_templates_and_parameters(cli: Cli) -> None:
    outer = {
        "specificationVersion": "environment-2023-09",
        "parameterDefinitions": [{"name": "Word", "type": "STRING", "default": "outer"}],
        "environment": around("O", "echo '{{Param.Word}} 1'", "echo end 1"),
    }
    (cli.directory / "env.yaml").write_text(yaml.safe_dump(outer))
    job = write(cli, once("A", "echo task 1"), jobEnvironments=[around("J", "echo job 1", None)])
    assert printed(run(cli, job, "--env", "env.yaml", "-p", "Word=given")) == [
        "given 1",
        "job 1",
        "task 1",
        "end 1",
    ]
    broken = outer | {"environment": {"name": "O"}}
    (cli.directory / "env.yaml").write_text(yaml.safe_dump(broken))
    done = cli.run("job", "run", job, "--env", "env.yaml")
    assert done.returncode == 1
    assert "environment: env.yaml: it needs a script, variables or both" in done.stderr


def test_path_mapping_and_preserved_directories(cli: Cli) -> None:
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {"source_path_format": "POSIX", "source_path": "/mnt/a", "destination_path": "/srv/b"}
        ],
    }
    (cli.directory / "rules.json").write_text(json.dumps(rules))
    job = write(
        cli,
        once("A", "echo x >made; echo '{{Param.P}} 1'"),
        parameterDefinitions=[{"name": "P", "type": "PATH"}],
    )
    result = run(cli, job, "-p", "P=/mnt/a/x", "--path-mapping-rules", "file://rules.json", "--preserve")
    assert printed(result, ".* 1") == ["/srv/b/x 1"]
    directory = Path(result["message"].rpartition("preserved at: ")[2])
    assert (directory / "made").read_text() == "x\n"
    again = run(cli, job, "-p", "P=/mnt/a/x", "--path-mapping-rules", json.dumps(rules))
    assert printed(again, ".* 1") == ["/srv/b/x 1"]
    assert [path.name for path in (cli.directory / "tmp" / "OpenJD").iterdir()] == [directory.name]


def test_more_of_what_happens(cli: Cli) -> None:
    job = write(cli, once("A", "true"))
    assert "osbuild-core" not in cli.run("job", "run", job).stdout
    assert "\tosbuild-core " in cli.run("job", "run", job, "--verbose").stdout


# Beyond it


def test_tasks_side_by_side(cli: Cli) -> None:
    """Two tasks that wait for each other can only end if they run at once, each in a session of its own."""
    go = cli.directory / "go"
    text = f"case {{{{Task.Param.F}}}} in 1) echo x >{go};; 2) read y <{go};; esac"
    os.mkfifo(cli.directory / "go")
    env = around("J", "echo in 1", "echo out 1")
    job = write(cli, frames(text, "1-2"), jobEnvironments=[env])
    result = run(cli, job, "--jobs", 2)
    assert result["chunks_run"] == 2
    lines = Counter(entry["message"] for entry in result["logs"])
    assert [lines[f"[{session}] {word}"] for session in (1, 2) for word in ("in 1", "out 1")] == [1, 1, 1, 1]


def test_amounts_of_the_host(cli: Cli) -> None:
    assert host_amounts()[VCPU] >= 1
    assert host_amounts()[MEMORY] > 100
    there = {VCPU: Decimal(8), MEMORY: Decimal(1000)}

    def needing(*amounts: dict[str, Any]) -> Any:
        needs = {"hostRequirements": {"amounts": list(amounts)}} if amounts else {}
        made = template(steps=[once("A", "true", **needs)])
        from osbuild_core.exports.jobs import create_job

        return create_job(job_template=made, job_parameter_values={}).steps[0]

    for amounts, jobs, expected in (
        ([], 5, 5),
        ([{"name": VCPU, "min": 2}], 5, 4),
        ([{"name": "amount.worker.VCPU".lower(), "min": 3}], 5, 2),
        ([{"name": VCPU, "min": 2}, {"name": MEMORY, "min": 300}], 9, 3),
        ([{"name": VCPU, "max": 2}], 5, 5),
        ([{"name": "amount.licenses", "min": 2}], 5, 5),
    ):
        assert slots(needing(*amounts), jobs, there) == (expected, ())
    lacking = slots(needing({"name": VCPU, "min": 16}), 4, there)
    assert lacking.at_once == 1
    assert lacking.lacking == ("amount.worker.vcpu of 16 is needed, and 8 is there",)
    job = write(cli, once("A", "echo task 1", hostRequirements={"amounts": [{"name": VCPU, "min": 10_000}]}))
    result = run(cli, job)
    assert printed(result) == ["task 1"]
    assert any("of 10000 is needed" in entry["message"] for entry in result["logs"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_keep_going(cli: Cli, jobs: int) -> None:
    env = around("J", "echo in 1", "echo out 1")
    job = write(
        cli,
        frames("echo frame {{Task.Param.F}}; [ $(({{Task.Param.F}} % 2)) = 0 ]"),
        once("After", "echo after 1", dependencies=[{"dependsOn": "Frames"}]),
        once("Other", "echo other 1"),
        jobEnvironments=[env],
    )
    result = run(cli, job, "--keep-going", "--jobs", jobs, "--events", "events", status=1)
    lines = [line.rpartition("] ")[2] for line in printed(result, r"(\[\d\] )?\w+ \d")]
    counts = Counter(lines)
    assert [counts[f"frame {number}"] for number in range(1, 5)] == [1, 1, 1, 1]
    assert (counts["after 1"], counts["other 1"]) == (0, 1)
    assert counts["in 1"] == counts["out 1"] >= 2
    assert (result["chunks_run"], result["chunks_failed"]) == (3, 2)
    assert sorted(error["message"] for error in result["errors"]) == [
        f"Frames, F={number}: it ended with exit status 1" for number in (1, 3)
    ]
    states = {e["step"]: e["state"] for e in events_of(cli) if e["event"] == "step-finished"}
    assert states == {"Frames": "failed", "After": "skipped", "Other": "success"}


def test_without_keep_going_the_others_are_cancelled(cli: Cli) -> None:
    text = (
        "case {{Task.Param.F}} in 1) read x <"
        + f"{cli.directory}/go; exit 1;; *) echo x >{cli.directory}/go;"
    )
    os.mkfifo(cli.directory / "go")
    result = run(cli, write(cli, frames(text + " sleep 1000;; esac", "1-9")), "--jobs", 2, status=1)
    assert (result["chunks_run"], result["chunks_failed"]) == (0, 1)
    assert len(result["errors"]) == 1


def test_resume_runs_what_failed_or_never_ran(cli: Cli) -> None:
    job = write(
        cli,
        frames("echo frame {{Task.Param.F}}; [ {{Task.Param.F}} != 3 ] || [ -e " + f"{cli.directory}/good ]"),
    )
    result = run(cli, job, status=1)
    assert printed(result) == ["frame 1", "frame 2", "frame 3"]
    result = run(cli, job, "--resume", status=1)
    assert printed(result) == ["frame 3"]
    (cli.directory / "good").touch()
    result = run(cli, job, "--resume", "--events", "events")
    assert printed(result) == ["frame 3", "frame 4"]
    assert (result["chunks_run"], result["chunks_skipped"]) == (2, 2)
    skipped = [e["parameters"] for e in events_of(cli) if e["event"] == "task-skipped"]
    assert skipped == [{"F": "1"}, {"F": "2"}]
    assert printed(run(cli, job, "--resume")) == []
    # Without it, all is done anew, and what was is forgotten.
    (cli.directory / "good").unlink()
    run(cli, job, status=1)
    assert printed(run(cli, job, "--resume", status=1)) == ["frame 3"]


def test_results_go_by_content(cli: Cli) -> None:
    def job(text: str, values: str = "1-2", **members: Any) -> str:
        return write(
            cli,
            once("Before", text),
            frames("echo frame {{Task.Param.F}}", values, dependencies=[{"dependsOn": "Before"}]),
            **members,
        )

    results = ("--results", "kept", "--resume")
    assert printed(run(cli, job("echo before 1"), *results)) == ["before 1", "frame 1", "frame 2"]
    # More tasks of the same step are more to do, nothing else.
    assert printed(run(cli, job("echo before 1", "1-3"), *results)) == ["frame 3"]
    # Another script is another step, and so is what depends on it.
    assert printed(run(cli, job("echo before 2", "1-3"), *results)) == [
        "before 2",
        "frame 1",
        "frame 2",
        "frame 3",
    ]
    environment = {"jobEnvironments": [{"name": "E", "variables": {"A": "1"}}]}
    assert len(printed(run(cli, job("echo before 2", "1-3", **environment), *results))) == 4
    # Of one task that is run by itself, the others stay known.
    assert printed(
        run(cli, job("echo before 2", "1-3"), "--results", "kept", "--step", "Frames", "-tp", "F=2")
    ) == ["frame 2"]
    assert printed(run(cli, job("echo before 2", "1-3"), *results)) == []


def test_results_that_were_cut_short_or_are_none(cli: Cli) -> None:
    job = write(cli, frames("echo frame {{Task.Param.F}}", "1-2"))
    run(cli, job, "--results", "kept")
    kept = cli.directory / "kept"
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(lines[0] + b"[]\nnothing\n" + lines[1][:30])
    assert printed(run(cli, job, "--results", "kept", "--resume")) == ["frame 2"]
    assert printed(run(cli, job, "--results", "kept", "--resume")) == []
    done = cli.run("job", "run", job, "--results", ".")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: cannot use .: is a directory (name another file with --results)\n"
    state = cli.directory / "state"
    assert not state.exists()
    state.write_text("")
    done = cli.run("job", "run", job)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: nothing is kept for --resume: ")
    assert cli.run("job", "run", job, "--resume").returncode == 1


def test_results_do_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    for number in range(700):
        with Results(path) as results:
            results.forget(keys=["one"])
            results.keep("one", "step", ActionState.SUCCESS, {"name": str(number)})
    assert path.read_bytes().count(b"\n") < 450
    with Results(path) as results:
        assert results.done("one")
        results.forget(steps=["step"])
    with Results(path) as results:
        assert not results.done("one")


def test_results_are_kept_in_a_file() -> None:
    for path in ("/dev/zero", "/dev/full", "/dev/null"):
        with pytest.raises(ResultsError, match=f"cannot use {path}: it is no regular file"):
            Results(Path(path))


def test_one_run_at_a_time_has_the_results(cli: Cli) -> None:
    job = write(cli, once("A", "echo up; sleep 1000"))
    with started(cli, job, "--results", "kept") as first:
        done = cli.run("job", "run", job, "--results", "kept")
        assert done.returncode == 1
        assert "another run has kept open" in done.stderr
        first.send_signal(signal.SIGINT)


def test_events(cli: Cli) -> None:
    text = "echo openjd_progress: 50; echo openjd_status: half; echo 'frame {{Task.Param.F}}'"
    job = write(cli, frames(text, "1-1"), jobEnvironments=[around("J", "true", "true")])
    done = cli.run("job", "run", job, "--events", "-")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events if e["event"] not in ("note", "output")] == [
        "run-started",
        "step-started",
        "task-started",
        "session-started",
        "environment-entered",
        "message",
        "message",
        "task-finished",
        "step-finished",
        "environment-exited",
        "session-finished",
        "run-finished",
    ]
    messages = [e for e in events if e["event"] == "message"]
    assert [(e.get("progress"), e.get("status")) for e in messages] == [(50.0, None), (None, "half")]
    finished = next(e for e in events if e["event"] == "task-finished")
    assert (finished["state"], finished["exit_code"], finished["parameters"]) == ("success", 0, {"F": "1"})
    times = [e["time"] for e in events]
    assert times == sorted(times)
    assert "".join(e["text"] for e in events if e["event"] == "output").endswith("frame 1")
    # The lines for people are elsewhere then.
    assert "frame 1" in done.stderr


def test_secrets_are_in_no_output(cli: Cli) -> None:
    job = write(
        cli,
        once("A", "echo $S; echo openjd_status: $S; echo openjd_fail: $S; exit 1"),
        jobEnvironments=[around("J", "echo openjd_redacted_env: S=geheim", None)],
    )
    done = cli.run("job", "run", job, "--events", "events", "--verbose")
    assert done.returncode == 1
    everything = done.stdout + done.stderr + (cli.directory / "events").read_text()
    # What the template itself says is no secret.
    assert "geheim" not in everything.replace("echo openjd_redacted_env: S=geheim", "")
    assert "********" in done.stdout
    for path in (cli.directory / "state").rglob("*"):
        assert path.is_dir() or "geheim" not in path.read_text()


def test_chunks_grow_and_shrink_to_the_time_they_are_to_take(cli: Cli) -> None:
    chunked = {
        "name": "C",
        "type": "CHUNK[INT]",
        "range": "1-200",
        "chunks": {"defaultTaskCount": 1, "targetRuntimeSeconds": 3600, "rangeConstraint": "CONTIGUOUS"},
    }
    step = once("A", "echo '{{Task.Param.C}}'", parameterSpace={"taskParameterDefinitions": [chunked]})
    result = run(cli, write(cli, step))
    chunks = printed(result, r"\d+-\d+")
    sizes = [int(last) - int(first) + 1 for first, last in (chunk.split("-") for chunk in chunks)]
    assert sum(sizes) == 200
    assert sizes[0] == 1
    assert len(sizes) < 20


# Signals


@contextmanager
def started(cli: Cli, *arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a run, wait until a task has printed that it is up."""
    process = subprocess.Popen(
        [str(OSBUILD_CORE), "job", "run", *map(str, arguments)],
        cwd=cli.directory,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.rstrip().endswith("\tup") or line.rstrip().endswith("] up"):
                break
        assert line
        yield process
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_what_runs_and_leaves_the_environments(cli: Cli, number: int, status: int) -> None:
    text = "setsid sleep 1000 & sleep 1000 & echo up; wait"
    left = cli.directory / "left"
    job = write(cli, frames(text, "1-9"), jobEnvironments=[around("J", "true", f"echo x >>{left}")])
    with started(cli, job, "--jobs", 2) as process:
        below = descendants(process.pid)
        process.send_signal(number)
    assert process.returncode == status
    assert left.read_text() == "x\nx\n"
    assert not any(alive(pid) for pid in below)
    assert not (cli.directory / "tmp" / "OpenJD").exists()


def test_a_second_signal_ends_what_does_not_listen(cli: Cli) -> None:
    stubborn = sh(
        "trap '' TERM; echo up; while :; do sleep 0.1; done",
        cancelation={"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 600},
    )
    step = {"name": "A", "script": {"actions": {"onRun": stubborn}}}
    job = write(cli, step, jobEnvironments=[around("J", "true", "sleep 1000")])
    with started(cli, job) as process:
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        info = cli.directory / "tmp" / "OpenJD"
        wait_for(lambda: list(info.glob("*/cancel_info.json")))
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert not any(alive(pid) for pid in below)


def test_nothing_is_left_of_a_run_that_is_killed(cli: Cli) -> None:
    daemon = "setsid sleep 1000 >/dev/null 2>&1 &"
    job = write(
        cli,
        frames("setsid sleep 1000 & echo up; sleep 1000", "1-9"),
        jobEnvironments=[around("J", daemon, None)],
    )
    with started(cli, job, "--jobs", 2) as process:
        below = descendants(process.pid)
        assert len(below) >= 4
        process.kill()
        # Its output is held open by nothing that is left.
        process.communicate(timeout=60)
    wait_for(lambda: not any(alive(pid) for pid in below))
    wait_for(lambda: not (cli.directory / "tmp" / "OpenJD").exists())


def test_a_reader_that_goes_is_the_end_of_the_run(cli: Cli) -> None:
    job = write(cli, once("A", "while :; do echo up; done"))
    process = subprocess.Popen(
        [str(OSBUILD_CORE), "job", "run", job],
        cwd=cli.directory,
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


# Bad input


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--step", "Frame"], "the job 'Test' has no step 'Frame' (did you mean 'Frames'?)"),
        (["-tp", "F=9"], "task 0 of the step 'Frames': F has no value '9'"),
        (["-tp", "G=1"], "task 0 of the step 'Frames': a task has the parameters F, not G"),
        (["-tp", "F"], "--task-param 'F' has no value (NAME=VALUE)"),
        (["-tp", "F=1", "-tp", "F=2"], "--task-param 'F=2' is there twice (NAME=VALUE)"),
        (["--tasks", "{}"], """--tasks has to be a list of tasks ([{"Frame": "1"}, {"Frame": "2"}])"""),
        (["--tasks", "file://none"], "--tasks: cannot read none: No such file or directory"),
        (
            ["--tasks", "x"],
            "--tasks is not JSON: Expecting value: line 1 column 1 (char 0)"
            " (JSON, or file:// and the name of a file)",
        ),
        (
            ["--tasks", '[{"F": 1}]', "-tp", "F=1"],
            "only one of --task-param, --tasks and --maximum-tasks can be given",
        ),
        (
            ["--path-mapping-rules", "[]"],
            "--path-mapping-rules: it has to be a mapping with version and path_mapping_rules",
        ),
        (["--env", "none.yaml"], "cannot read none.yaml: No such file or directory"),
        (["--events", "/no/where"], "cannot write /no/where: No such file or directory"),
        (["--root", "tree"], "--root and --manifest go together (a pipeline, and the file that has it)"),
        (["-p", "X=1"], "t.yaml: X: there is no such parameter (there are: none)"),
    ],
)
def test_bad_input(cli: Cli, arguments: list[str], line: str) -> None:
    job = write(cli, frames("true"))
    done = cli.run("job", "run", job, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {line}\n")
    done = cli.run("job", "run", job, *arguments, "--output", "json")
    assert json.loads(done.stdout)["status"] == "error"


@pytest.mark.root
def test_a_working_directory_that_is_full(cli: Cli) -> None:
    file = {"name": "F", "type": "TEXT", "data": "x" * 5000}
    step = frames("echo task {{Task.Param.F}}")
    step["script"]["embeddedFiles"] = [file]
    fill = around("J", "head -c 1M /dev/zero >full 2>/dev/null || true", "echo left 1")
    job = write(cli, step, jobEnvironments=[fill])
    small = cli.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small], check=True)
    try:
        cli.environment["TMPDIR"] = str(small)
        done = cli.run("job", "run", job)
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 1
    pattern = (
        r"error: steps\[0\]\.script\.actions\.onRun: Frames, F=1: \S+: no space left on device"
        r" \(make room there, or have sessions elsewhere \(TMPDIR\)\)\n"
    )
    assert re.fullmatch(pattern, done.stderr), done.stderr
    assert "\tleft 1\n" in done.stdout


def test_templates_that_are_not_ours_are_refused_by_name(cli: Cli) -> None:
    job = write(cli, once("A", "true"), extensions=["EXPR"])
    done = cli.run("job", "run", job)
    assert done.returncode == 1
    # Where openjd-model is installed, it is the running that is refused.
    assert "extensions[0]: " in done.stderr and "EXPR" in done.stderr
