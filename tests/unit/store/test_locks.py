"""Open-file-description locks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osbuild_core.model.errors import Cancelled
from osbuild_core.store import locks


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "lock").touch()
    return str(tmp_path / "lock")


def opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def test_shared_and_exclusive(path: str) -> None:
    one, two, three = opened(path), opened(path), opened(path)
    assert locks.try_shared(one)
    assert locks.try_shared(two)
    assert not locks.try_exclusive(three)
    assert not locks.try_exclusive(one), "two is in the way"
    assert not locks.try_exclusive(three), "a refused upgrade keeps the shared lock"
    os.close(two)
    assert locks.try_exclusive(one)
    assert not locks.try_shared(three)
    locks.unlock(one)
    assert locks.try_shared(three)
    os.close(one)
    os.close(three)


def test_closing_another_descriptor_keeps_the_lock(path: str) -> None:
    one, two = opened(path), opened(path)
    assert locks.try_exclusive(one)
    os.close(opened(path))
    assert not locks.try_shared(two)
    os.close(one)
    os.close(two)


def test_ranges(path: str) -> None:
    one, two = opened(path), opened(path)
    assert locks.try_shared(one, 2**61, 1)
    assert locks.try_exclusive(two, 2**61 + 1, 1)
    assert not locks.try_exclusive(two, 2**61, 1)
    os.close(one)
    os.close(two)


def test_a_replaced_file_is_seen(path: str) -> None:
    fd = opened(path)
    assert locks.is_still(fd, path)
    os.rename(path, path + ".old")
    assert not locks.is_still(fd, path)
    Path(path).touch()
    assert not locks.is_still(fd, path)
    os.close(fd)


def test_waiting_ends_when_cancelled(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    answers = iter([False, False, True])
    with locks.waiting_lock(path, lambda: False):
        assert locks.open_locked(path) is None
        with pytest.raises(Cancelled), locks.waiting_lock(path, lambda: next(answers)):
            pass
    assert not os.path.exists(path)


def test_another_process_and_its_children(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    fd = locks.open_locked(path)
    assert fd is not None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if locks.open_locked(path) is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    again = locks.open_locked(path)
    assert again is not None
    os.close(again)
