"""Processes killed anywhere in begin, commit, take-over, flattening and eviction: the store stays right."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from osbuild_core.store import locks
from osbuild_core.store.namespace import mounts_below
from osbuild_core.store.store import Store
from tests.integration.store.conftest import in_namespace

pytestmark = pytest.mark.root

ROUNDS = 12
SOAK_ROUNDS = 1000


def _work_until_killed(path: Path, seed: int, ready: int) -> None:
    """Build chains of objects whose documents say what is in them, in every way that there is."""
    choice = random.Random(seed)
    store = Store.open(path)
    os.write(ready, b"x")
    files: dict[str, str] = {}
    lease = None
    for number in range(10_000):
        key = f"{seed}-{number}"
        take_over = choice.random() < 0.4
        plain = choice.random() < 0.02
        direct = choice.random() < 0.5
        with (
            store.building(key),
            store.begin(key, lease, take_over=take_over, plain=plain, direct=direct) as work,
        ):
            for _ in range(choice.randrange(4)):
                name = f"file{choice.randrange(20)}"
                target = work.tree / name
                if name in files and choice.random() < 0.3:
                    target.unlink()
                    del files[name]
                else:
                    files[name] = f"{key} {name}" * choice.randrange(1, 500)
                    target.write_text(files[name])
            if choice.random() < 0.1:
                continue_with = None
                files_then: dict[str, str] = {}
            else:
                epoch = 1000 if choice.random() < 0.2 else None
                work.commit({"files": files}, source_epoch=epoch)
                continue_with, files_then = key, files
        lease = store.acquire(continue_with) if continue_with else None
        files = dict(files_then) if lease is not None else {}
        if choice.random() < 0.1:
            store.evict(choice.choice([0, 200_000, 10_000_000]))
        if choice.random() < 0.02:
            store.sync()


def _check(path: Path, *, contents: bool = True) -> int:
    """Open the store as the next process would; returns the number of objects, all of which are right."""
    _wait_for_copies(path)
    with Store.open(path) as store:
        assert os.listdir(store.tmp) == ["empty-layer"]
        assert mounts_below(path) == []
        count = 0
        for info in store.objects():
            count += 1
            if not contents:
                continue
            with store.acquire(info.key) as lease, lease.mount() as tree:
                found = {entry.name: entry.read_text() for entry in tree.iterdir()}
            assert found == info.document["files"], info.key
        assert count == len(os.listdir(path / "objects")), "what cannot be used was removed"
        return count


def _wait_for_copies(path: Path) -> None:
    """A copying program may outlive the killed process for a moment; its entry is locked as long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for lock in path.glob("tmp/*.lock"):
            fd = locks.open_locked(str(lock))
            if fd is None:
                break
            os.close(fd)
        else:
            return
        time.sleep(0.01)


def _kill_somewhere(path: Path, seed: int) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            in_namespace(lambda: _work_until_killed(path, seed, writing))
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    time.sleep(random.Random(-seed).uniform(0.005, 0.4))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status), "it was to be killed, not to fail"


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_killed_anywhere(place: Path, backend: str) -> None:
    path = place / "store"
    Store.open(path, backend=backend).close()
    counts = []
    for seed in range(ROUNDS):
        _kill_somewhere(path, seed)
        counts.append(_check(path))
    assert any(counts)


@pytest.mark.soak
def test_killed_anywhere_many_times(place: Path) -> None:
    for seed in range(1000, 1000 + SOAK_ROUNDS):
        _kill_somewhere(place / "store", seed)
        _check(place / "store")


def test_killed_while_a_copy_is_made(place: Path) -> None:
    path = place / "store"
    with Store.open(path, backend="copy") as store, store.begin("a", None) as work:
        for number in range(5000):
            (work.tree / f"file{number}").write_text("x" * 5000)
        work.commit({})
    pid = os.fork()
    if pid == 0:
        try:
            mine = Store.open(path, backend="copy")
            mine.begin("b", mine.acquire("a"))
        finally:
            os._exit(1)
    while not list(path.glob("tmp/core-work-*/object/layer/file*")):
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    # The copying program ends with us; as long as it is there, nothing is deleted under its hands.
    deadline = time.monotonic() + 10
    while _running(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with Store.open(path) as store:
        assert [info.key for info in store.objects()] == ["a"]
        assert os.listdir(store.tmp) == ["empty-layer"]
    _check(path, contents=False)


def _running(path: Path) -> list[str]:
    """Return the processes that have ``path`` among their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(path) in command:
                found.append(command)
    return found


def test_several_at_once_one_killed(place: Path) -> None:
    path = place / "store"
    Store.open(path).close()
    pids = []
    for seed in (1, 2, 3):
        pid = os.fork()
        if pid == 0:
            try:
                writing = os.open("/dev/null", os.O_WRONLY)
                in_namespace(partial(_work_until_killed, path, seed, writing))
            finally:
                os._exit(1)
        pids.append(pid)
    for pid in pids:
        time.sleep(0.4)
        os.kill(pid, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        Store.open(path).close()
    _check(path)
