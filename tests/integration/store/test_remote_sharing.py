"""Several machines on one cache: the same at once, other trees for one key, killed anywhere, slow, pruned."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from osbuild_core.model.errors import Cancelled
from osbuild_core.store.namespace import mounts_below
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.blobs import open_blobs
from osbuild_core.store.remote.cache import RemoteCache
from osbuild_core.store.remote.directory import DirectoryBlobs
from osbuild_core.store.remote.record import record_name
from osbuild_core.store.store import Store
from tests.integration.store.conftest import in_namespace
from tests.integration.store.scenarios import append, write
from tests.integration.store.test_remote_trees import Step, build, key, read, remote_of

pytestmark = pytest.mark.root

STEPS: list[Step] = [
    lambda t: [write(t / f"d{n % 5}/file{n}", f"{n}\n" * 200) for n in range(50)],
    lambda t: append(t / "d1/file1"),
    lambda t: (t / "d2/file2").unlink(),
]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def test_another_tree_of_the_same_key_is_never_mixed_in(place: Path) -> None:
    """Both build, each its own; the second one's tree lies on its own first one, and goes there as a whole."""
    mine: list[Step] = [
        lambda t: write(t / "id", "mine"),
        lambda t: write(t / "copy", (t / "id").read_text()),
    ]
    other: list[Step] = [lambda t: write(t / "id", "other"), mine[1]]
    with Store.open(place / "one") as one, Store.open(place / "two") as two, Store.open(place / "3") as three:
        keys = build(one, mine[:1], remote=remote_of(one, place))
        assert build(two, other, remote=remote_of(two, place))[0] == keys[0]
        keys.append(key("1"))
        # Whoever has the one takes the other with all of its own.
        lease, _ = remote_of(one, place).pull(keys[1])
        assert lease is not None
        lease.close()
        assert (tree := read(one, keys[1])) == read(two, keys[1])
        assert tree["./id"]["content"] == tree["./copy"]["content"]
        lease, moved = remote_of(three, place).pull(keys[1])
        assert lease is not None and moved.objects == 1
        lease.close()
        assert read(three, keys[1]) == tree
        # A third tree that is built on what came from there is told as lying on it.
        assert json.loads((place / "cache" / record_name(keys[1])).read_text())["parent"] is None


def test_a_tree_whose_parent_is_another_one_here_brings_its_own(place: Path) -> None:
    step: Step = lambda t: write(t / "copy", (t / "id").read_text())  # noqa: E731
    with Store.open(place / "one") as one, Store.open(place / "two") as two:
        keys = build(one, [lambda t: write(t / "id", "mine"), step], remote=remote_of(one, place))
        build(two, [lambda t: write(t / "id", "other")])
        before = read(two, keys[0])
        lease, moved = remote_of(two, place).pull(keys[1])
        assert lease is not None and moved.objects == 1
        lease.close()
        assert read(two, keys[1]) == read(one, keys[1])
        assert read(two, keys[0]) == before


def test_what_was_pruned_is_put_there_again(place: Path) -> None:
    with Store.open(place / "one") as one, Store.open(place / "two") as two:
        keys = build(one, STEPS, remote=remote_of(one, place))
        (place / "cache" / record_name(keys[1])).unlink()
        # Another machine finds the first one only, and builds the others anew: the third entry is of no use now.
        remote = remote_of(two, place)
        assert not remote.has(keys[2])
        base, _ = remote.pull(keys[0])
        assert base is not None
        for number in (1, 2):
            with two.begin(keys[number], base) as work:
                STEPS[number](work.tree)
                base = work.commit_held({})
        base.close()
        assert remote.push(keys[2], keys[1::-1]).objects == 2
        lease, moved = remote_of(one, place).pull(keys[2])
        assert lease is not None
        lease.close()
        with Store.open(place / "three") as three:
            lease, moved = remote_of(three, place).pull(keys[2])
            assert lease is not None and moved.objects == 3
            lease.close()
            assert read(three, keys[2]) == read(two, keys[2])


def test_many_at_once(place: Path) -> None:
    """Every process builds, puts there and takes from there the same keys."""
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                in_namespace(partial(_share, place, number))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len(names(place / "cache/objects")) == len(STEPS)
    assert names(place / "cache/tmp") == []
    with Store.open(place / "last") as last:
        # In as many layers as the first ones to come have made of it.
        lease, _ = remote_of(last, place).pull(key("2"))
        assert lease is not None
        lease.close()
        assert "./d2/file2" not in read(last, key("2"))
        assert last.verify().broken == ()


def _share(place: Path, number: int) -> None:
    # Two and two share a store to build in, and another one to bring into.
    with Store.open(place / f"store{number % 2}") as store, Store.open(place / f"other{number % 2}") as other:
        build(store, STEPS, remote=remote_of(store, place))
        for one in (store, other):
            lease, _ = remote_of(one, place).pull(key("2"))
            assert lease is not None
            with lease, lease.mount() as tree:
                assert not (tree / "d2/file2").exists() and (tree / "d1/file1").read_text().endswith("more\n")


ROUNDS = 8
SOAK_ROUNDS = 600


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)])
def test_killed_anywhere(place: Path, rounds: int) -> None:
    """What is in the cache is whole after every kill, and so is the store."""
    choice = random.Random(5)
    for number in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            in_namespace(partial(_exchange_until_killed, place, number, writing))
            os._exit(0)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        time.sleep(choice.random() * 0.4)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for record in (place / "cache/objects").iterdir():
            layer = json.loads(record.read_text())["layer"]
            assert (place / f"cache/layers/{layer}.tar.zst").exists()
        with Store.open(place / "store") as store:
            assert store.verify().broken == ()
            assert mounts_below(store.tmp) == []
            assert [name for name in names(store.tmp) if name != "empty-layer"] == []
    with Store.open(place / "last") as last:
        remote = remote_of(last, place)
        for record in (place / "cache/objects").iterdir():
            lease, _ = remote.pull(record.stem)
            assert lease is not None
            lease.close()
            number = lease.info.document["stage"]
            assert "./d0/file0" in read(last, record.stem)
            assert ("./d2/file2" in read(last, record.stem)) == (number < 2)


def _exchange_until_killed(place: Path, seed: int, ready: int) -> None:
    with Store.open(place / "store") as store:
        remote = remote_of(store, place)
        for turn in range(10_000):
            keys = build(store, STEPS, prefix=f"{seed}-{turn}-")
            if turn == 0:
                os.write(ready, b"x")
            remote.push(keys[-1], keys[-2::-1])
            store.evict(0)
            lease, _ = remote.pull(keys[-1])
            if lease is not None:
                lease.close()


class Stuck(DirectoryBlobs):
    """A directory whose file system has stopped to answer, for one kind of call."""

    def __init__(self, path: Path, method: str) -> None:
        super().__init__(path)
        self._method = method
        self.answer = threading.Event()

    def _wait(self, method: str) -> None:
        if method == self._method:
            self.answer.wait(60)

    def get(self, name: str) -> BinaryIO | None:
        self._wait("get")
        blob = super().get(name)
        if self._method == "read" and blob is not None and name.startswith("layers/"):
            return io.BufferedReader(_Slow(blob, self.answer))
        return blob

    def put(self, name: str, source: Path, check: Callable[[], None] = lambda: None) -> bool:
        self._wait("put")
        return super().put(name, source, check)


class _Slow(io.RawIOBase):
    def __init__(self, blob: BinaryIO, answer: threading.Event) -> None:
        self._blob = blob
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._answer.wait(60)
        data = self._blob.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("method", ["get", "read", "put"])
def test_what_does_not_answer_is_left_alone(place: Path, method: str) -> None:
    with Store.open(place / "one") as one, Store.open(place / "two") as two:
        keys = build(one, STEPS[:2], remote=remote_of(one, place))
        blobs = Stuck(place / "cache", method)
        warnings: list[str] = []
        access = Access(blobs, warn=warnings.append, stall_seconds=0.3)
        remote = RemoteCache(lambda: two, access)
        try:
            if method == "put":
                mine = build(two, STEPS[:2], prefix="mine")
                assert remote.push(mine[1], mine[:1]).objects == 0
            else:
                lease, _ = remote.pull(keys[1])
                assert lease is None and not remote.has(keys[1])
            assert warnings == [
                "the remote cache: the remote cache has not answered for 0.3 seconds; going on without it"
            ]
            # Nothing is asked a second time.
            assert remote.push(keys[1]).objects == 0 and not remote.has(keys[0])
            assert len(warnings) == 1
        finally:
            blobs.answer.set()
        # What comes late comes to nothing.
        assert len(names(place / "cache/objects")) == 2


def test_who_waits_for_it_can_be_cancelled(place: Path) -> None:
    with Store.open(place / "one") as one, Store.open(place / "two") as two:
        keys = build(one, STEPS[:2], remote=remote_of(one, place))
        blobs = Stuck(place / "cache", "read")
        asked: list[None] = []

        def check() -> None:
            asked.append(None)
            if len(asked) > 3:
                raise Cancelled("enough")

        remote = RemoteCache(lambda: two, Access(blobs, check=check))
        try:
            with pytest.raises(Cancelled):
                remote.pull(keys[1])
        finally:
            blobs.answer.set()
        assert list(two.objects()) == []
        assert [name for name in names(two.tmp) if name != "empty-layer"] == []


def test_an_attempt_that_does_not_count_publishes_nothing(place: Path) -> None:
    def may_not() -> None:
        raise Cancelled("superseded", code="fence.superseded")

    with Store.open(place / "one") as one:
        keys = build(one, STEPS)
        remote = RemoteCache(lambda: one, Access(open_blobs(f"file://{place}/cache"), may_publish=may_not))
        with pytest.raises(Cancelled):
            remote.push(keys[-1], keys[-2::-1])
    assert not [path for path in (place / "cache").rglob("*") if path.is_file()]
