"""Builds on a cluster, the parts: the script of a job, what follows a job, what asks the scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from osbuild_core.exports.jobs.cluster.folder import RunFolder, check_directory, remove_old
from osbuild_core.exports.jobs.cluster.follow import Follower, last_words
from osbuild_core.exports.jobs.cluster.scheduler import Fate, Request, Seen
from osbuild_core.exports.jobs.cluster.script import job_script
from osbuild_core.exports.jobs.cluster.submission import Submission
from osbuild_core.exports.jobs.cluster.watch import Watch
from osbuild_core.model.errors import OsbuildError, UsageError
from osbuild_core.model.events import Warned
from osbuild_core.protocol.event_stream import encode

BUILD = """#!/bin/sh
echo "$@" >"$RECORD"
trap 'echo terminated >>"$RECORD"; kill "$nap"; exit 143' TERM
if [ -n "$SLOW" ]; then sleep 60 & nap=$!; wait; fi
exit "$STATUS"
"""


def until(there: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


class Job:
    """The script, run as Slurm runs it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "run" / "1-it's"
        self.folder.mkdir(parents=True)
        self.program = tmp_path / "program"
        self.program.write_text(BUILD)
        self.program.chmod(0o755)
        self.record = tmp_path / "record"
        self.node_store = tmp_path / "sto re" / "n7"
        self.alive = self.folder.parent / "alive"
        self.alive.write_text("0\n")

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        words = ["manifest.json", "--pipeline", "it's"]
        store = str(self.node_store.with_name("%N"))
        text = job_script(str(self.folder), f"env sh {self.program}", store, words, beat=0.1, lost=2)
        environment = {
            **os.environ,
            "RECORD": str(self.record),
            "STATUS": "0",
            "SLOW": "",
            "SLURM_JOB_ID": "12",
            "SLURMD_NODENAME": "n7",
            **variables,
        }
        return subprocess.Popen(["sh", "-c", text], env=environment, start_new_session=True)

    def beats(self) -> threading.Event:
        ended = threading.Event()

        def beat() -> None:
            number = 0
            while not ended.wait(0.05):
                number += 1
                self.alive.write_text(f"{number}\n")

        threading.Thread(target=beat, daemon=True).start()
        return ended


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("status", [0, 1, 7])
def test_a_job_builds(job: Job, status: int) -> None:
    assert job.start(STATUS=str(status), SLURM_RESTART_COUNT="3").wait(timeout=30) == status
    assert job.record.read_text().split("\n")[0] == (
        f"build manifest.json --pipeline it's --store {job.node_store}"
        f" --events events-12.3.jsonl --fence {job.folder}/attempt:12.3"
    )
    assert (job.folder / "attempt").read_text() == "12.3\n"
    assert job.node_store.parent.is_dir()


def test_a_task_of_an_array(job: Job) -> None:
    assert job.start(SLURM_ARRAY_JOB_ID="11", SLURM_ARRAY_TASK_ID="4").wait(timeout=30) == 0
    assert (job.folder / "attempt").read_text() == "11_4.0\n"


def test_a_job_is_terminated(job: Job) -> None:
    process = job.start(SLOW="1")
    until(job.record.exists)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert job.record.read_text().endswith("terminated\n")


def test_a_job_that_nobody_wants_does_not_begin(job: Job) -> None:
    (job.folder / "cancelled-12").touch()
    assert job.start().wait(timeout=30) == 0
    assert not job.record.exists() and not (job.folder / "attempt").exists()


@pytest.mark.parametrize("what", ["cancelled", "other attempt", "folder gone", "no sign of life"])
def test_a_job_notices(job: Job, what: str) -> None:
    ended = job.beats()
    process = job.start(SLOW="1")
    until(job.record.exists)
    # With signs of life it goes on for longer than it would without.
    time.sleep(3 if what == "no sign of life" else 0.2)
    assert process.poll() is None
    if what == "cancelled":
        (job.folder / "cancelled-12").touch()
    elif what == "other attempt":
        (job.folder / "attempt").write_text("12.1\n")
    elif what == "folder gone":
        (job.folder / "attempt").unlink()
    else:
        ended.set()
    assert process.wait(timeout=30) == 143
    ended.set()
    assert job.record.read_text().endswith("terminated\n")


def test_following_attempts(tmp_path: Path) -> None:
    follower = Follower(tmp_path)

    def news() -> list[tuple[str, str]]:
        return [(line.attempt, line.document.get("message", "")) for line in follower.news()]

    def write(attempt: str, text: str) -> None:
        with (tmp_path / f"events-{attempt}.jsonl").open("a") as file:
            file.write(text)

    assert news() == []
    (tmp_path / "attempt").write_text("12.0\n")
    assert news() == []
    whole = encode(Warned("one")) + "\n"
    write("12.0", whole[:9])
    assert news() == []
    write("12.0", whole[9:] + "no event\n" + encode(Warned("two")) + "\n" + whole[:3])
    assert news() == [("12.0", "one"), ("12.0", "two")]
    # What the node that was lost still writes is not read any more.
    (tmp_path / "attempt").write_text("12.1\n")
    write("12.0", whole[3:])
    write("12.1", whole)
    assert news() == [("12.1", "one")]
    assert news() == []


def test_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_text("a\n b \n\n")
    assert last_words(log) == "b"


class Told:
    """A scheduler that says what it is told to."""

    def __init__(self) -> None:
        self.states: dict[str, Seen] = {}
        self.asked: list[list[str]] = []
        self.error: OsbuildError | None = None

    def check(self) -> None: ...

    def submit(self, request: Request) -> str:
        return request.name

    def submit_array(self, requests: list[Request]) -> list[str]:
        self.asked.append([request.name for request in requests])
        if self.error:
            raise self.error
        return [f"9_{number}" for number, _ in enumerate(requests)]

    def look(self, jobs: Iterable[str]) -> Mapping[str, Seen]:
        self.asked.append(sorted(jobs))
        if self.error:
            raise self.error
        return {job: self.states.get(job, Seen(Fate.RUNNING)) for job in self.asked[-1]}

    def cancel(self, jobs: Iterable[str]) -> None: ...


def test_one_question_for_all_jobs() -> None:
    told, warned = Told(), []
    watch = Watch(told, 3600, warned.append)
    for job in ("1", "2"):
        watch.add(job)
    watch.look()
    told.states["1"] = Seen(Fate.DONE)
    told.error = OsbuildError("the controller is down")
    watch.look()
    watch.look()
    assert len(warned) == 1 and watch.seen("1").fate is Fate.RUNNING
    told.error = None
    watch.look()
    watch.look()
    assert told.asked == [["1", "2"]] * 4 + [["2"]]
    assert watch.live() == ["2"]
    assert watch.wait(["1", "2"], 0.1) == ["2"]
    told.states["2"] = Seen(Fate.FAILED)
    assert watch.wait(["2"], 30) == []
    watch.close()


@pytest.mark.parametrize("error", [None, OsbuildError("full")])
def test_jobs_that_come_together_become_an_array(error: OsbuildError | None) -> None:
    told = Told()
    told.error = error
    submission = Submission(told, array=True)
    made: dict[str, object] = {}

    def submit(name: str) -> None:
        try:
            made[name] = submission.submit(Request(Path(), Path(), name))
        except OsbuildError as problem:
            made[name] = problem

    threads = [threading.Thread(target=submit, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (names,) = told.asked
    assert sorted(names) == ["a", "b", "c"]
    assert made == {name: error or f"9_{names.index(name)}" for name in names}


def test_the_directory_of_a_run(tmp_path: Path) -> None:
    runs = tmp_path / "cache" / "runs"
    with pytest.raises(UsageError, match="there is no directory"):
        check_directory(runs)
    runs.parent.mkdir()
    check_directory(runs)
    folder = RunFolder(runs, {"version": "2"}, 0.02)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    alive = folder.path / "alive"
    before = alive.read_text()
    until(lambda: alive.read_text() != before)
    assert folder.job("a b").name == "1-a-b" and folder.job("a b").name == "2-a-b"
    folder.close(remove=True)
    assert list(runs.parent.iterdir()) == []


def test_old_runs_are_removed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "alive").touch()
    (tmp_path / "other").mkdir()
    long_ago = time.time() - 15 * 86400
    os.utime(tmp_path / "old/alive", (long_ago, long_ago))
    remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other"]
    remove_old(tmp_path / "none")
