"""Asks the scheduler about all jobs of a run at once, however many threads wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from osbuild_core.exports.jobs.cluster.scheduler import Fate, Scheduler, Seen
from osbuild_core.model.errors import OsbuildError

SUBMITTED = Seen(Fate.WAITING, "PENDING")


class Watch:
    """``warn`` is told, once each time, that the scheduler cannot be asked."""

    def __init__(self, scheduler: Scheduler, seconds: float, warn: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._warn = warn
        self._jobs: dict[str, Seen] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._silent = False

    def add(self, job: str) -> None:
        """Watch a job that was submitted."""
        with self._lock:
            self._jobs[job] = SUBMITTED
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cluster watch", daemon=True)
                self._thread.start()

    def seen(self, job: str) -> Seen:
        """Return what is known of a job that was added."""
        with self._lock:
            return self._jobs[job]

    def live(self) -> list[str]:
        """Return the jobs that are not over, as far as is known."""
        with self._lock:
            return [job for job, seen in self._jobs.items() if not seen.fate.over]

    def look(self) -> None:
        """Ask now."""
        jobs = self.live()
        if not jobs:
            return
        try:
            found = self._scheduler.look(jobs)
        except OsbuildError as error:
            if not self._silent:
                self._warn(f"{error.detail}; the jobs go on, and so does the waiting for them")
            self._silent = True
            return
        self._silent = False
        with self._lock:
            self._jobs.update(found)

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.look()

    def wait(self, jobs: Iterable[str], seconds: float) -> list[str]:
        """Wait until ``jobs`` are over, but no longer than ``seconds``; return those that are not."""
        wanted = set(jobs)
        step = min(self._seconds, 0.5)
        passed = 0.0
        while wanted:
            self.look()
            wanted &= set(self.live())
            if not wanted or passed >= seconds:
                break
            self._ended.wait(step)
            passed += step
        return sorted(wanted)

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
