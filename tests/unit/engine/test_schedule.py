"""Tasks run as soon as they may, and what a failure does to the rest."""

from __future__ import annotations

import threading

import pytest

from osbuild_core.engine.schedule import Task, run_tasks


class Flag:
    def __init__(self) -> None:
        self.event = threading.Event()

    def run(self, tasks, jobs=2, keep_going=False):
        return run_tasks(
            tasks,
            {"": jobs, "other": 1},
            keep_going=keep_going,
            cancel=self.event.set,
            cancelled=self.event.is_set,
        )


def test_dependencies_end_before_what_needs_them_starts():
    order: list[str] = []

    def note(name: str) -> bool:
        order.append(name)
        return True

    tasks = [
        Task("c", lambda: note("c"), frozenset({"a", "b"})),
        Task("b", lambda: note("b"), frozenset({"a"})),
        Task("a", lambda: note("a")),
    ]
    schedule = Flag().run(tasks)
    assert order == ["a", "b", "c"]
    assert schedule.success and schedule.ended == {"a": True, "b": True, "c": True}


def test_independent_tasks_run_at_the_same_time():
    barrier = threading.Barrier(4, timeout=30)
    tasks = [Task(str(n), lambda: barrier.wait() >= 0) for n in range(4)]
    assert Flag().run(tasks, jobs=4).success


def test_a_lane_limits_its_own_tasks_only():
    running = {"": 0, "other": 0}
    most = {"": 0, "other": 0}
    lock = threading.Lock()

    def work(lane: str) -> bool:
        with lock:
            running[lane] += 1
            most[lane] = max(most[lane], running[lane])
        threading.Event().wait(0.01)
        with lock:
            running[lane] -= 1
        return True

    tasks = [
        Task(f"{lane}{n}", lambda lane=lane: work(lane), lane=lane)
        for n in range(6)
        for lane in ("", "other")
    ]
    Flag().run(tasks, jobs=3)
    assert most["other"] == 1
    assert 2 <= most[""] <= 3


def test_a_failure_cancels_the_rest():
    flag = Flag()
    tasks = [
        Task("long", lambda: flag.event.wait(30) and False),
        Task("bad", lambda: False),
        Task("after", lambda: True, frozenset({"bad"})),
        Task("never", lambda: True, frozenset({"long"})),
    ]
    schedule = flag.run(tasks)
    assert schedule.ended == {"long": False, "bad": False}


def test_keep_going_runs_what_does_not_depend_on_the_failure():
    tasks = [
        Task("bad", lambda: False),
        Task("after", lambda: True, frozenset({"bad"})),
        Task("other", lambda: True),
        Task("more", lambda: True, frozenset({"other"})),
    ]
    flag = Flag()
    schedule = flag.run(tasks, jobs=1, keep_going=True)
    assert schedule.ended == {"bad": False, "other": True, "more": True}
    assert not flag.event.is_set()


def test_an_exception_is_raised_after_all_have_ended():
    flag = Flag()
    ended = []

    def slow() -> bool:
        flag.event.wait(30)
        ended.append("slow")
        return True

    def broken() -> bool:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        flag.run([Task("slow", slow), Task("broken", broken)])
    assert ended == ["slow"]


@pytest.mark.parametrize("where", ["start", "cancelled"])
def test_an_interruption_at_any_point_waits_for_what_runs(where):
    flag = Flag()
    ended = []
    asked = []

    def slow() -> bool:
        flag.event.wait(30)
        ended.append("slow")
        return True

    def cancelled() -> bool:
        asked.append(1)
        if where == "cancelled" and len(asked) == 2:
            raise KeyboardInterrupt
        return flag.event.is_set()

    class Interrupted(frozenset[str]):
        def __iter__(self):
            raise KeyboardInterrupt

    tasks = [Task("slow", slow), Task("quick", lambda: True)]
    if where == "start":
        tasks.append(Task("third", lambda: True, Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, {"": 3}, keep_going=False, cancel=flag.event.set, cancelled=cancelled)
    assert ended == ["slow"]
