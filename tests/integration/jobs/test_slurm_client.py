"""The client of Slurm, on a real one: jobs of all ends, users, arrays, dependencies; jobs that are forgotten."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from osbuild_core.exports.jobs.slurm.client import Slurm
from osbuild_core.exports.jobs.slurm.errors import SlurmError
from osbuild_core.exports.jobs.slurm.follow import follow
from osbuild_core.exports.jobs.slurm.states import JobState, JobStatus
from osbuild_core.exports.jobs.slurm.submission import Dependency, Submission
from tests.slurm.cluster import Cluster, limits_unavailable, unavailable

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]

NOBODY = "65534"


def job(script: str, *options: str, **rest: object) -> Submission:
    return Submission(
        f"#!/bin/sh\n{script}\n", options=options, directory=Path("/"), output="/dev/null", **rest
    )


def last(slurm: Slurm, *jobs: str) -> dict[str, JobStatus]:
    """Follow ``jobs`` to their ends; return the last of each."""
    end = time.monotonic() + 100
    found = {}
    for status in follow(slurm, jobs, interval=0.05):
        found[status.job] = status
        assert time.monotonic() < end, found
    return found


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other users get to, unlike that of a test."""
    with tempfile.TemporaryDirectory(prefix="public-") as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


@pytest.fixture(scope="module", autouse=True)
def limited() -> Iterator[tuple[Slurm, str]]:
    """A Slurm with limits that soon forgets, and a job in it that is over its time limit: slurmctld looks twice a
    minute only, so it begins before all tests and is asked for after them."""
    if reason := unavailable():
        pytest.skip(reason)
    with Cluster({"MinJobAge": "2"}, memory_limits=limits_unavailable() is None) as cluster:
        client = Slurm({**os.environ, **cluster.environment})
        number = client.submit(job("sleep 600", "--time=1"))
        for status in follow(client, [number], interval=0.05):
            if status.state is JobState.RUNNING:
                break
        # A limit has whole minutes.
        cluster.run("scontrol", "update", f"JobId={number}", "EndTime=now")
        yield client, number


def test_ends_arrays_and_dependencies(slurm: Cluster) -> None:
    client = Slurm()
    good = client.submit(job("exit 0", name="my job JobState=FAILED UserId=nobody(1) "))
    bad = client.submit(job("exit 3"))
    shot = client.submit(job("kill -9 $$"))
    array = client.submit(job("exit $((SLURM_ARRAY_TASK_ID == 2))", array="1-3"))
    after = client.submit(job("exit 0", dependencies=(Dependency((good,)),)))
    never = client.submit(job("exit 0", dependencies=(Dependency((bad,)),)))
    held = client.submit(job("sleep 600", hold=True))
    runs = client.submit(job("sleep 600"))

    waiting = client.query([held])[held]
    assert (waiting.state, waiting.reason) == (JobState.PENDING, "JobHeldUser")
    status = last(client, good, bad, shot, array, after, never)

    assert (status[good].state, status[good].exit_code) == (JobState.DONE, 0)
    assert (status[bad].state, status[bad].reason) == (JobState.FAILED, "exit status 3")
    assert (status[shot].state, status[shot].reason) == (JobState.FAILED, "signal 9")
    assert status[after].state is JobState.DONE
    assert status[never].state is JobState.CANCELLED
    assert (status[array].state, status[array].reason) == (JobState.FAILED, "task 2: exit status 1")
    states = {task.job: task.state.value for task in status[array].tasks}
    assert states == {f"{array}_1": "done", f"{array}_2": "failed", f"{array}_3": "done"}
    assert client.query([f"{array}_2"])[f"{array}_2"].exit_code == 1
    assert client.details(good)[0].name == "my job JobState=FAILED"

    # Each for itself, and all of them from one answer.
    one_by_one = {name: client.query([name])[name] for name in (good, bad, shot, after, never, array)}
    assert client.query(one_by_one) == one_by_one

    client.cancel([held, runs, good])
    ended = last(client, held, runs, good)
    assert {held: "cancelled", runs: "cancelled", good: "done"} == {
        name: one.state.value for name, one in ended.items()
    }


def test_jobs_that_slurm_forgot(slurm: Cluster) -> None:
    client = Slurm()
    good = client.submit(job("exit 0"))
    bad = client.submit(job("exit 4"))
    array = client.submit(job("exit $((SLURM_ARRAY_TASK_ID == 2))", array="1-2"))
    submitted = client.details(good)[0].submitted
    last(client, good, bad, array)
    slurm.stop_controller()
    slurm.start_controller(forget=True)

    found = client.query([good, bad, array, f"{array}_1", "4000000"], since=submitted)
    assert {one.source for one in found.values()} == {"completion log"}
    assert (found[good].state, found[bad].reason) == (JobState.DONE, "exit status 4")
    assert [task.state.value for task in found[array].tasks] == [
        "done",
        "failed",
    ]
    assert found[f"{array}_1"].state is JobState.DONE
    assert "4000000" not in found
    # The numbers begin anew: what was before is not what this one does.
    assert client.query([good], since="2999-01-01T00:00:00") == {}
    with pytest.raises(SlurmError) as caught:
        list(follow(client, ["4000000"], interval=0))
    assert caught.value.code == "slurm.unknown-job"


def test_jobs_of_other_users(slurm: Cluster, public: Path) -> None:
    client = Slurm({**os.environ, "A_SECRET": "of root"})
    script = public / "job.sh"
    script.write_text('#!/bin/sh\nid -u; echo "$HOME:$A_SECRET:$1"; touch here\n')
    script.chmod(0o644)
    asked = Submission(script, ("an argument",), directory=public, output=f"{public}/out", user=NOBODY)
    number = client.submit(asked)
    assert last(client, number)[number].state is JobState.DONE
    assert (public / "out").read_text() == "65534\n/nonexistent::an argument\n"
    assert (public / "here").stat().st_uid == 65534

    script.chmod(0o600)
    with pytest.raises(SlurmError) as caught:
        client.submit(asked)
    assert (caught.value.code, "nobody may not read" in caught.value.detail) == ("slurm.permission", True)
    script.chmod(0o644)
    public.chmod(0o755)
    with pytest.raises(SlurmError) as caught:
        client.submit(replace(asked, output=None))
    assert (caught.value.code, "write to" in caught.value.detail) == ("slurm.permission", True)

    mine = client.submit(job("sleep 600"))
    with pytest.raises(SlurmError) as caught:
        client.cancel([mine], user=NOBODY)
    assert caught.value.code == "slurm.permission"


def test_programs_that_are_in_a_place_of_their_own(slurm: Cluster, public: Path) -> None:
    (public / "bin").mkdir(mode=0o755)
    for name in ("sbatch", "squeue", "scontrol", "sacct"):
        (public / "bin" / name).symlink_to(shutil.which(name) or "")
    client = Slurm({"PATH": f"{public}/bin", "SLURM_CONF": os.environ["SLURM_CONF"]})
    script = 'test "$PATH" = /usr/local/bin:/usr/bin:/bin:' + f"{public}/bin"
    theirs = client.submit(job(script, user=NOBODY))
    own = client.submit(job('test "$A" = b', environment={"PATH": "/usr/bin:/bin", "A": "b"}))
    assert {one.state for one in last(client, theirs, own).values()} == {JobState.DONE}


def test_an_environment_of_its_own(slurm: Cluster, public: Path) -> None:
    client = Slurm({**os.environ, "SHELL_SECRET": "x"})
    own = Submission(
        "#!/bin/sh\n#SBATCH --export=NONE\necho $GIVEN:$SHELL_SECRET\n",
        directory=public,
        output=f"{public}/own",
        environment={"GIVEN": "yes"},
    )
    number = client.submit(own)
    assert last(client, number)[number].state is JobState.DONE
    assert (public / "own").read_text() == "yes:\n"


def test_refusals(slurm: Cluster, tmp_path: Path) -> None:
    client = Slurm()
    (tmp_path / "no-script").write_text("echo no interpreter\n")
    refused = {
        "slurm.partition": job("exit", partition="nope"),
        "slurm.resources": job("exit", "--mem=99999"),
        "slurm.option": job("exit", "--bogus"),
        "slurm.script": Submission(tmp_path / "no-script"),
    }
    for code, submission in refused.items():
        with pytest.raises(SlurmError) as caught:
            client.submit(submission)
        assert caught.value.code == code
        assert caught.value.hint
    with pytest.raises(SlurmError) as caught:
        client.submit(refused["slurm.partition"])
    assert caught.value.hint == "there are: ci"


def test_no_answer(slurm: Cluster, tmp_path: Path) -> None:
    config = slurm.places.config.read_text()
    lines = [line for line in config.splitlines() if not line.startswith("SlurmctldPort")]
    (tmp_path / "slurm.conf").write_text("\n".join([*lines, "SlurmctldPort=1", "MessageTimeout=1", ""]))
    down = Slurm({**os.environ, "SLURM_CONF": str(tmp_path / "slurm.conf")})
    for call in (lambda: down.submit(job("exit")), lambda: down.query(["1"]), lambda: down.cancel(["1"])):
        with pytest.raises(SlurmError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == ("slurm.controller", True)
    with pytest.raises(SlurmError) as caught:
        list(follow(down, ["1"], interval=0, patience=0))
    assert caught.value.code == "slurm.controller"


def test_a_controller_that_comes_back_while_a_job_is_followed(slurm: Cluster) -> None:
    client = Slurm()
    number = client.submit(job("exit 0", hold=True))
    states = follow(client, [number], interval=0.05)
    assert next(states).state is JobState.PENDING
    slurm.stop_controller()
    slurm.start_controller()
    slurm.run("scontrol", "release", number)
    assert [status.state for status in states][-1] is JobState.DONE


def test_a_time_limit(limited: tuple[Slurm, str]) -> None:
    client, number = limited
    status = last(client, number)[number]
    assert (status.state, status.slurm_state) == (JobState.FAILED, "TIMEOUT")
    assert status.reason == "it ran longer than its time limit"


def test_jobs_that_slurm_forgets_after_a_while(limited: tuple[Slurm, str]) -> None:
    client, _ = limited
    number = client.submit(job("exit $((SLURM_ARRAY_TASK_ID == 2 ? 5 : 0))", array="1-2"))
    seen, end = ["squeue"], time.monotonic() + 100
    while seen[-1] != "completion log":
        status = client.query([number])[number]
        assert not status.ended or status.reason == "task 2: exit status 5"
        if status.source != seen[-1]:
            seen.append(status.source)
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    assert [task.state.value for task in status.tasks] == ["done", "failed"]
    # Who asks in time is told by slurmctld.
    assert seen == ["squeue", "scontrol", "completion log"]


def test_out_of_memory(limited: tuple[Slurm, str]) -> None:
    if reason := limits_unavailable():
        pytest.skip(reason)
    client, _ = limited
    number = client.submit(job("exec python3 -c 'bytearray(400 << 20)'", "--mem=50"))
    status = last(client, number)[number]
    assert (status.state, status.slurm_state) == (JobState.FAILED, "OUT_OF_MEMORY")
    assert status.reason == "it needed more memory than it may have"
