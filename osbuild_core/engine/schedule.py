"""Runs tasks as soon as what they depend on has ended well, as many at once as their lane allows.

Knows nothing of pipelines: it is given names, dependencies, lanes and functions.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Task(NamedTuple):
    """``run`` tells whether it succeeded; it is called in a thread of its own. ``lane`` limits how many of
    its kind run at once; tasks of a lane start in the order in which they are given."""

    name: str
    run: Callable[[], bool]
    needs: frozenset[str] = frozenset()
    lane: str = ""


class Schedule(NamedTuple):
    """How the tasks ended, by name: true, false, or absent for those that never started."""

    ended: Mapping[str, bool]

    @property
    def success(self) -> bool:
        return all(self.ended.values())


def run_tasks(
    tasks: Sequence[Task],
    lanes: Mapping[str, int],
    *,
    keep_going: bool,
    cancel: Callable[[], None],
    cancelled: Callable[[], bool],
) -> Schedule:
    """Run ``tasks``; ``lanes`` says how many tasks of each lane may run at once.

    When a task fails, what needs it never starts; the others run on with ``keep_going``, and otherwise
    ``cancel`` is called, which is to end those that run. Always waits for all that has started. An
    exception of a task, or one that arrives meanwhile (a KeyboardInterrupt), is raised once all have ended.
    """
    threads: list[threading.Thread] = []
    try:
        return _run_tasks(tasks, lanes, threads, keep_going, cancel, cancelled)
    except BaseException:
        # Whatever was interrupted, and wherever: what counts is that nothing runs any more.
        cancel()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise


def _run_tasks(
    tasks: Sequence[Task],
    lanes: Mapping[str, int],
    threads: list[threading.Thread],
    keep_going: bool,
    cancel: Callable[[], None],
    cancelled: Callable[[], bool],
) -> Schedule:
    done: queue.SimpleQueue[tuple[Task, bool | BaseException]] = queue.SimpleQueue()
    waiting = list(tasks)
    running: dict[str, int] = dict.fromkeys(lanes, 0)
    ended: dict[str, bool] = {}
    active = 0

    def start(task: Task) -> None:
        def body() -> None:
            try:
                outcome: bool | BaseException = task.run()
            except BaseException as error:
                outcome = error
            done.put((task, outcome))

        thread = threading.Thread(target=body, name=task.name)
        threads.append(thread)
        thread.start()

    while True:
        if not cancelled():
            for task in list(waiting):
                if running[task.lane] < lanes[task.lane] and all(ended.get(n) for n in task.needs):
                    waiting.remove(task)
                    running[task.lane] += 1
                    active += 1
                    start(task)
        if not active:
            return Schedule(ended)
        task, outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        active -= 1
        running[task.lane] -= 1
        ended[task.name] = outcome
        if not outcome and not keep_going:
            cancel()
