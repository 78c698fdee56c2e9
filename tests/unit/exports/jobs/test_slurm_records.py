"""States of Slurm, its complaints and its records of ended jobs, as its programs write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osbuild_core.exports.jobs.slurm.errors import SlurmError, complaint
from osbuild_core.exports.jobs.slurm.history import from_accounting, from_completion_log
from osbuild_core.exports.jobs.slurm.programs import client_environment, run, user_named
from osbuild_core.exports.jobs.slurm.states import MEANINGS, JobState, array_status, meaning, status_of
from osbuild_core.exports.jobs.slurm.submission import Dependency, Submission, arguments_of

# squeue(1), "JOB STATE CODES" of 22.05, and what 23.11 and 24.05 add.
DOCUMENTED = """
    BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED
    RUNNING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED
    SUSPENDED TIMEOUT LAUNCH_FAILED RECONFIG_FAIL POWER_UP_NODE UPDATE_DB EXPEDITING
""".split()


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("PENDING", "pending"),
        ("CONFIGURING", "pending"),
        ("REQUEUE_HOLD", "pending"),
        ("RUNNING", "running"),
        ("COMPLETING", "running"),
        ("SUSPENDED", "running"),
        ("COMPLETED", "done"),
        ("FAILED", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("OUT_OF_ME+", "failed"),
        ("NODE_FAIL", "failed"),
        ("PREEMPTED", "failed"),
        ("SPECIAL_EXIT", "failed"),
        ("CANCELLED", "cancelled"),
        ("CANCELLED by 1000", "cancelled"),
        ("CANCELLED+", "cancelled"),
        ("REVOKED", "cancelled"),
        ("COMPLETED,COMPLETING", "running"),
        ("FAILED+REQUEUED", "pending"),
        ("A_STATE_OF_TOMORROW", "running"),
        ("", "running"),
    ],
)
def test_meaning(text: str, state: str) -> None:
    assert meaning(text).state == state


def test_every_documented_state_has_a_meaning() -> None:
    assert [name for name in DOCUMENTED if name not in MEANINGS] == []
    silent = [name for name, means in MEANINGS.items() if means.reason is None]
    # Those that need no explanation; why a job failed, its exit status says.
    assert sorted(silent) == ["COMPLETED", "FAILED", "PENDING", "RUNNING"]


def test_status() -> None:
    failed = status_of("7", "FAILED", reason="NonZeroExitCode", exit_code="3:0", source="scontrol")
    assert (failed.state, failed.reason, failed.exit_code) == (JobState.FAILED, "exit status 3", 3)
    killed = status_of("7", "FAILED", exit_code="0:9", source="scontrol")
    assert (killed.reason, killed.signal) == ("signal 9", 9)
    waits = status_of("7", "PENDING", reason="Dependency", exit_code="0:0", source="squeue")
    assert (waits.reason, waits.exit_code, waits.ended) == ("Dependency", None, False)
    held = status_of("7", "FAILED", reason="launch failed requeued held", source="squeue")
    assert held.reason == "launch failed requeued held"


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ("COMPLETED COMPLETED", "done"),
        ("COMPLETED FAILED", "failed"),
        ("FAILED CANCELLED", "failed"),
        ("CANCELLED COMPLETED", "cancelled"),
        ("FAILED PENDING", "pending"),
        ("PENDING RUNNING FAILED", "running"),
    ],
)
def test_array(states: str, whole: str) -> None:
    tasks = [status_of(f"9_{i}", state, source="squeue") for i, state in enumerate(states.split())]
    status = array_status("9", tasks)
    assert (status.state, len(status.tasks)) == (whole, len(tasks))


def line(number: int, state: str, end: str, more: str = "", name: str = "wrap", code: str = "0:0") -> str:
    return (
        f"JobId={number} UserId=root(0) GroupId=root(0) Name={name} JobState={state} Partition=ci TimeLimit=UNLIMITED"
        f" StartTime=2026-11-27T06:52:58 EndTime={end} NodeList=n0 NodeCnt=1 ProcCnt=1 WorkDir=/srv/my work"
        " ReservationName= Tres=cpu=1,node=1,billing=1 Account= QOS= WcKey= Cluster=unknown"
        f" SubmitTime=2026-11-27T06:52:56 EligibleTime=2026-11-27T06:52:56"
        f" {more}DerivedExitCode=0:0 ExitCode={code} \n"
    )


def test_completion_log(tmp_path: Path) -> None:
    log = tmp_path / "jobcomp.log"
    log.write_text(
        line(12, "FAILED", "2025-01-01T00:00:00", code="1:0")
        + line(12, "NODE_FAIL", "2026-11-27T07:00:00")
        + line(112, "FAILED", "2026-11-27T07:00:01")
        + "half a li\n"
        + line(12, "COMPLETED", "2026-11-27T07:00:02", name="x JobState=FAILED Partition=")
        + line(31, "COMPLETED", "2026-11-27T07:00:03", "ArrayJobId=30 ArrayTaskId=1 ")
        + line(30, "OUT_OF_MEMORY", "2026-11-27T07:00:03", "ArrayJobId=30 ArrayTaskId=2 ", code="0:125")
    )
    submitted = "2026-11-27T06:00:00"

    requeued = from_completion_log(log, "12", submitted)
    assert requeued is not None
    assert (requeued.state, requeued.source, requeued.nodes) == (JobState.DONE, "completion log", "n0")

    array = from_completion_log(log, "30", submitted)
    assert array is not None
    assert (array.state, array.reason) == (
        JobState.FAILED,
        "task 2: it needed more memory than it may have",
    )
    assert [task.job for task in array.tasks] == ["30_1", "30_2"]
    task = from_completion_log(log, "30_1", submitted)
    assert task is not None
    assert task.state is JobState.DONE

    assert from_completion_log(log, "12", "2026-11-28T00:00:00") is None
    assert from_completion_log(log, "99", submitted) is None
    assert from_completion_log(tmp_path / "none.log", "12", submitted) is None


def test_accounting() -> None:
    asked: list[list[str]] = []

    def sacct(argv: list[str]) -> str:
        asked.append(argv)
        return "7_1|COMPLETED|0:0|n0|2026\n7_2|CANCELLED by 0|0:15|n1|2026\n17|FAILED|1:0|n0|2026\n"

    array = from_accounting(sacct, "7", "2026-11-27T06:00:00")
    assert array is not None
    assert [task.state.value for task in array.tasks] == ["done", "cancelled"]
    assert array.tasks[1].slurm_state == "CANCELLED"
    assert asked[0][-2:] == ["-S", "2026-11-27T06:00:00"]
    assert from_accounting(sacct, "8", "") is None


@pytest.mark.parametrize(
    ("stderr", "code", "text"),
    [
        (
            "sbatch: error: invalid partition specified: nope\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
            "slurm.partition",
            "sbatch: invalid partition specified: nope",
        ),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "slurm.controller",
            "sbatch: Unable to contact slurm controller (connect failure)",
        ),
        (
            "scancel: error: Kill job error on job id 3: Access/permission denied\n",
            "slurm.permission",
            "sbatch: Kill job error on job id 3: Access/permission denied",
        ),
        (
            "sbatch: error: If munged is up, restart with --num-threads=10\n"
            'sbatch: error: Munge encode failed: Failed to connect to "/run/munge.sock": Connection refused\n'
            "sbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error\n"
            "sbatch: error: Batch job submission failed: Protocol authentication error\n",
            "slurm.authentication",
            'sbatch: Munge encode failed: Failed to connect to "/run/munge.sock": Connection refused',
        ),
        (
            "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
            "sbatch: fatal: Could not establish a configuration source\n",
            "slurm.configuration",
            "sbatch: Could not establish a configuration source",
        ),
        (
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n",
            "slurm.script",
            "sbatch: This does not look like a batch script.  The first",
        ),
        (
            "sbatch: error: Memory specification can not be satisfied\n"
            "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
            "slurm.resources",
            "sbatch: Memory specification can not be satisfied",
        ),
        ("slurm_load_jobs error: Invalid job id specified\n", "slurm.unknown-job", None),
        ("sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\"\n", "slurm.option", None),
        ("sbatch: error: Invalid --time specification\n", "slurm.option", None),
        (
            "sbatch: error: Batch job submission failed: Invalid job array specification\n",
            "slurm.array",
            None,
        ),
        (
            "sbatch: error: Batch job submission failed: something new\n",
            "slurm.refused",
            "sbatch: something new",
        ),
        ("", "slurm.refused", "sbatch: it ended with status 1 and said nothing"),
    ],
)
def test_complaints(stderr: str, code: str, text: str | None) -> None:
    error = complaint("sbatch", stderr, 1)
    assert error.code == code
    assert "\n" not in error.detail
    if text is not None:
        assert error.detail == text
    assert error.retryable is (code == "slurm.controller")


def test_arguments() -> None:
    submission = Submission(
        Path("/srv/job.sh"),
        ("a b",),
        ("--time=1",),
        name="x",
        partition="ci",
        array="0-9%2",
        directory=Path("/srv"),
        output="%j.out",
        dependencies=(Dependency(("1", "2_3")), Dependency(("4",), "afterany")),
    )
    assert arguments_of(submission) == [
        *("sbatch", "--parsable", "--job-name=x", "--partition=ci", "--array=0-9%2", "--chdir=/srv"),
        *("--output=%j.out", "--dependency=afterok:1:2_3,afterany:4", "--kill-on-invalid-dep=yes"),
        *("--time=1", "/srv/job.sh", "a b"),
    ]


def test_refused_before_anything_runs(tmp_path: Path) -> None:
    refused = (
        (lambda: Dependency(("1; rm",)), "slurm.dependency"),
        (lambda: Dependency(("1",), "someday"), "slurm.dependency"),
        (lambda: arguments_of(Submission("#!/bin/sh", array="0-9 --wrap=x")), "slurm.array"),
        (lambda: arguments_of(Submission("#!/bin/sh", ("a",))), "slurm.script"),
        (lambda: user_named("nobody-is-called-so"), "slurm.user"),
        (lambda: run(["sbatch"], {"PATH": str(tmp_path)}), "slurm.missing"),
    )
    for call, code in refused:
        with pytest.raises(SlurmError) as caught:
            call()
        assert caught.value.code == code
        assert caught.value.hint


def test_a_configuration_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(SlurmError, match=re.escape(f"{tmp_path}/slurm.conf")) as caught:
        run(["sbatch"], {"PATH": str(tmp_path), "SLURM_CONF": f"{tmp_path}/slurm.conf"})
    assert caught.value.code == "slurm.configuration"


def test_what_an_enclosing_job_says_is_not_for_the_next() -> None:
    given = {
        "HOME": "/root",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "7",
        "SLURM_TIME_FORMAT": "relative",
        "SQUEUE_FORMAT": "%u",
        "SBATCH_PARTITION": "ci",
    }
    assert client_environment(given, submitting=True) == {
        "HOME": "/root",
        "SLURM_CONF": "/etc/slurm.conf",
        "SBATCH_PARTITION": "ci",
    }
    asking = client_environment(given)
    assert set(asking) == {"HOME", "SLURM_CONF", "LC_ALL", "SLURM_TIME_FORMAT"}
    assert asking["SLURM_TIME_FORMAT"] == "standard"
