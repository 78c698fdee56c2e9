"""What a session of a job costs: a task against its bare command, much output against ``cat``, waiting.

* A trivial task against ``subprocess.run`` of the same command: slopes over many tasks, so that what a session costs
  to begin is left out. Once as ``job run`` has it, which attends to its sessions, and once with a callback from a
  thread of the session's own, as openjd-sessions has it.
* 200,000 lines that a task prints against ``cat`` of the same file: kept in memory by a journal and by
  ``subprocess.run``; written to a file, with times before them as ``job run`` has them, and by ``cat`` itself.
* The processor time of a session, with its keeper, while a task sleeps for ten seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from measure import in_turns, slope, verdict, workspace

from osbuild_core.cli.job_log import JobLog
from osbuild_core.exports.jobs import ActionState, ActionStatus, Session
from osbuild_core.exports.jobs.events import Noted, Printed
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import Action, StepActions, StepScript

LINES = 200_000


class Journal:
    """What a session writes to in ``job run``, without the events that nobody asked for."""

    def __init__(self, log: JobLog) -> None:
        self._log = log

    def output(self, text: str) -> None:
        self._log(Printed(1, text))

    def note(self, text: str, content: object = None, level: int = 20) -> None:
        self._log(Noted(1, text, level))


class Tasks:
    """A session that runs one command again and again."""

    def __init__(
        self, session: Session, command: Sequence[str], ended: threading.Event, attended: bool
    ) -> None:
        words = [FormatString(word) for word in command]
        self.session = session
        self._script = StepScript(StepActions(Action(words[0], tuple(words[1:]))))
        self._ended = ended
        self._attended = attended

    def run(self) -> None:
        self._ended.clear()
        self.session.run_task(step_script=self._script, task_parameter_values={})
        self.session.wait() if self._attended else self._ended.wait()
        status = self.session.action_status
        assert status is not None and status.state is ActionState.SUCCESS


@contextmanager
def tasks(command: Sequence[str], journal: Any, *, attended: bool = True) -> Iterator[Tasks]:
    ended = threading.Event()

    def callback(_: str, status: ActionStatus) -> None:
        if status.state is not ActionState.RUNNING:
            ended.set()

    more = {"callback": callback, "journal": journal, "attended": attended}
    with Session(session_id="bench", job_parameter_values={}, **more) as session:
        yield Tasks(session, command, ended, attended)


def repeated(count: int, run: Callable[[], object]) -> float:
    """Return the seconds that ``run`` takes so many times."""
    started = time.perf_counter()
    for _ in range(count):
        run()
    return time.perf_counter() - started


def trivial(directory: Path, command: Sequence[str], rounds: int) -> None:
    """Compare tasks with bare commands, of a row of lengths."""

    def bare() -> None:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    points: list[list[tuple[int, float]]] = [[], [], []]
    with (
        (directory / "log").open("w") as out,
        tasks(command, written(out)) as here,
        tasks(command, written(out), attended=False) as apart,
    ):
        here.run()
        apart.run()
        for count in (20, 60, 100):
            found = in_turns(rounds, *(partial(repeated, count, run) for run in (here.run, apart.run, bare)))
            for kept, value in zip(points, found, strict=True):
                kept.append((count, value))
    attended, called, other = (slope(kept) for kept in points)
    what = " ".join(command)
    verdict(f"a task of job run / subprocess.run ({what})", attended, other, 1.5)
    verdict(f"a task that a callback tells of / subprocess.run ({what})", called, other, 1.5)


def written(out: IO[str]) -> Journal:
    """Return a journal that writes to a file what ``job run`` would."""
    return Journal(JobLog(out, "relative", verbose=False, several=False))


class Kept:
    """A journal that keeps what is printed, as ``subprocess.run`` does."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def output(self, text: str) -> None:
        self.pieces.append(text)

    def note(self, text: str, content: object = None, level: int = 20) -> None:
        pass


def output(directory: Path, rounds: int) -> None:
    """Compare the time of 200,000 lines with that of cat: kept in memory by both, and written to a file by both."""
    file, log = directory / "lines", directory / "log"
    file.write_text(
        "".join(f"{number:7} frame of a scene that is rendered here\n" for number in range(LINES))
    )
    command = ["cat", str(file)]

    def kept() -> None:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)

    def copied() -> None:
        with (directory / "copy").open("wb") as out:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, check=True)

    out = log.open("w")
    for what, journal, bare in (
        ("kept", Kept(), kept),
        ("written to a file with times", written(out), copied),
    ):
        with tasks(command, journal) as several:
            several.run()
            mine, other = in_turns(rounds, partial(repeated, 1, several.run), partial(repeated, 1, bare))
        verdict(f"{LINES} lines of a task, {what} / cat", mine, other, 3)
    out.close()
    assert log.read_text().count("frame of a scene") == LINES * (rounds + 1)


def processor_time(pid: int) -> float:
    """Return the seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def waiting(directory: Path) -> None:
    """Measure the processor time while a task sleeps."""
    with (directory / "log").open("w") as out, tasks(["sleep", "10"], written(out)) as several:
        (keeper,) = (int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
        used = resource.getrusage(resource.RUSAGE_SELF)
        before = used.ru_utime + used.ru_stime + processor_time(keeper)
        several.run()
        used = resource.getrusage(resource.RUSAGE_SELF)
        after = used.ru_utime + used.ru_stime + processor_time(keeper)
    verdict("processor time of a session / a sleep of 10 s", after - before, 10.0, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with contextlib.suppress(PermissionError):
        # What else runs on the machine comes after both sides: a session's processes wake each other up often, and
        # each time they would queue behind it.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with workspace() as directory:
        trivial(directory, ["/bin/true"], arguments.rounds)
        trivial(directory, ["sh", "-c", "echo one"], arguments.rounds)
        output(directory, arguments.rounds)
        waiting(directory)


if __name__ == "__main__":
    main()
