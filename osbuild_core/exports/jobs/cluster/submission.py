"""Submits jobs: one by one, or those that come together as the tasks of one array job."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from osbuild_core.exports.jobs.cluster.scheduler import Request, Scheduler

GATHER = 0.5
"""Seconds that the first job of an array waits for others."""


class Submission:
    """May be used from any thread."""

    def __init__(self, scheduler: Scheduler, *, array: bool) -> None:
        self._scheduler = scheduler
        self._array = array
        self._waiting: list[tuple[Request, Future[str]]] = []
        self._lock = threading.Lock()

    def submit(self, request: Request) -> str:
        """Submit a job; return its id. Raises OsbuildError."""
        if not self._array:
            return self._scheduler.submit(request)
        made: Future[str] = Future()
        with self._lock:
            self._waiting.append((request, made))
            first = len(self._waiting) == 1
        if first:
            threading.Event().wait(GATHER)
            with self._lock:
                waiting, self._waiting = self._waiting, []
            self._submit_all(waiting)
        return made.result()

    def _submit_all(self, waiting: list[tuple[Request, Future[str]]]) -> None:
        try:
            jobs = self._scheduler.submit_array([request for request, _ in waiting])
        except BaseException as error:
            for _, made in waiting:
                made.set_exception(error)
            return
        for (_, made), job in zip(waiting, jobs, strict=True):
            made.set_result(job)
