"""What the engine relies on, with both backends: keys, leases, leftovers, pins, eviction, durability."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from osbuild_core.model.errors import Cancelled, StoreError
from osbuild_core.store.lease import Lease
from osbuild_core.store.namespace import mounts_below
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.store import Store
from tests.integration.store.conftest import in_namespace
from tests.integration.store.scenarios import run

pytestmark = pytest.mark.root


def make(store: Store, key: str, base: str | None = None, **files: str) -> ObjectInfo:
    """Commit ``key`` on ``base`` with some files more; a file's name has __ for a slash."""
    lease = None
    if base is not None:
        lease = store.acquire(base)
        assert lease is not None
    with store.begin(key, lease) as work:
        for name, text in files.items():
            path = work.tree / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return work.commit({"key": key})


def content(store: Store, key: str) -> dict[str, str]:
    with store.acquire(key) or pytest.fail(f"no {key}") as lease, lease.mount() as tree:
        return {str(p.relative_to(tree)): p.read_text() for p in sorted(tree.rglob("*")) if p.is_file()}


def use_at(store: Store, key: str, when: float) -> None:
    os.utime(store.path / "objects" / key / "object.json", (when, when))


def test_commit_and_read_back(any_store: Store) -> None:
    assert not any_store.has("a")
    assert any_store.info("a") is None
    assert any_store.acquire("a") is None
    made = make(any_store, "a", etc__one="1")
    again = make(any_store, "b", "a", etc__two="2")
    assert any_store.has("a")
    assert made.document == {"key": "a"}
    assert any_store.info("b") == again
    assert again.backend == any_store.backend
    assert content(any_store, "b") == {"etc/one": "1", "etc/two": "2"}
    assert {info.key for info in any_store.objects()} == {"a", "b"}
    assert mounts_below(any_store.path) == []
    assert os.listdir(any_store.tmp) == ["empty-layer"]


def test_another_store_object_sees_it(any_store: Store) -> None:
    make(any_store, "a", file="1")
    with Store.open(any_store.path) as other:
        assert other.has("a")
        assert content(other, "a") == {"file": "1"}


def test_the_tree_of_a_lease_is_read_only(any_store: Store, place: Path) -> None:
    make(any_store, "a", file="1")
    with any_store.acquire("a") as lease, lease.mount(place / "here") as tree:
        assert tree == place / "here"
        with pytest.raises(OSError, match="Read-only"):
            (tree / "file").write_text("2")
    assert not (place / "here/file").exists()


def test_an_error_of_the_reader_stays_its_own(any_store: Store) -> None:
    make(any_store, "a", file="1")
    with any_store.acquire("a") as lease, pytest.raises(FileNotFoundError), lease.mount() as tree:
        (tree / "missing").read_text()
    assert mounts_below(any_store.path) == []


def test_aborted_work_leaves_only_its_log(any_store: Store) -> None:
    with any_store.begin("a", None) as work:
        (work.tree / "file").write_text("1")
        (work.directory / "scratch" / "input").mkdir(parents=True)
        work.log.write_text("it went wrong\n")
    assert not any_store.has("a")
    assert os.listdir(any_store.tmp) == ["empty-layer"]
    assert (any_store.path / "logs/a.log").read_text() == "it went wrong\n"
    with any_store.begin("a", None) as work:
        work.log.write_text("fine\n")
        info = work.commit({})
    assert info.log.read_text() == "fine\n"


def test_nothing_is_left_when_beginning_fails(any_store: Store) -> None:
    make(any_store, "a")
    make(any_store, "b", "a")
    lease = any_store.acquire("b")
    os.rename(any_store.path / "objects/a", any_store.path / "hidden")
    os.rename(any_store.path / "objects/b/layer", any_store.path / "hidden-too")
    with pytest.raises(StoreError):
        any_store.begin("c", lease)
    assert lease.fd == -1
    assert os.listdir(any_store.tmp) == ["empty-layer"]


def test_the_first_of_two_commits_stays(any_store: Store) -> None:
    one, two = any_store.begin("a", None), any_store.begin("a", None)
    (one.tree / "file").write_text("one")
    (two.tree / "file").write_text("two")
    first = one.commit({"number": 1})
    second = two.commit({"number": 2})
    assert second.document == {"number": 1} == first.document
    assert content(any_store, "a") == {"file": "one"}
    assert os.listdir(any_store.tmp) == ["empty-layer"]


def test_times_are_clamped(any_store: Store) -> None:
    make(any_store, "a", old="1")
    with any_store.begin("b", any_store.acquire("a")) as work:
        (work.tree / "old").chmod(0o600)
        (work.tree / "dir").mkdir()
        (work.tree / "dir/new").write_text("2")
        os.symlink("new", work.tree / "dir/link")
        os.mkfifo(work.tree / "older")
        os.utime(work.tree / "older", (5, 5))
        work.commit({}, source_epoch=1000)
    with any_store.acquire("b") as lease, lease.mount() as tree:
        times = {str(p.relative_to(tree)): os.lstat(p).st_mtime_ns for p in [tree, *tree.rglob("*")]}
    assert times.pop("older") == 5 * 10**9
    assert set(times.values()) == {1000 * 10**9}
    assert set(times) == {".", "old", "dir", "dir/new", "dir/link"}


def test_clamping_goes_past_flags(any_store: Store) -> None:
    with any_store.begin("a", None) as work:
        (work.tree / "fixed").write_text("1")
        run("chattr", "+i", work.tree / "fixed")
        info = work.commit({}, source_epoch=1000)
    assert info.flagged
    assert os.stat(info.layer / "fixed").st_mtime == 1000
    # An object with such files can be evicted all the same.
    assert any_store.evict(0) > 0
    assert not any_store.has("a")


def test_building_excludes_others(store: Store) -> None:
    order: list[str] = []
    entered = threading.Event()

    def first() -> None:
        with store.building("a"):
            entered.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with pytest.raises(Cancelled), store.building("a", lambda: True):
        pass
    with store.building("b"):
        order.append("other key")
    with Store.open(store.path) as again, again.building("a"):
        order.append("second")
    thread.join()
    assert order == ["other key", "first", "second"]


def test_two_processes_build_one_key_once(store: Store) -> None:
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                in_namespace(lambda: _build_unless_there(store))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert len((store.path / "builds").read_text()) == 1
    assert content(store, "a") == {"file": "1"}


def _build_unless_there(store: Store) -> None:
    with Store.open(store.path) as mine, mine.building("a"):
        if not mine.has("a"):
            with open(store.path / "builds", "a") as file:
                file.write("x")
            time.sleep(0.1)
            make(mine, "a", file="1")


def test_scratch_is_gone_afterwards(store: Store) -> None:
    with store.scratch("fetch") as directory:
        (directory / "deep/deeper").mkdir(parents=True)
        with Store.open(store.path):
            assert directory.exists(), "another process must not take it for a stale one"
    assert not directory.exists()
    assert os.listdir(store.tmp) == ["empty-layer"]


def test_leftovers_of_the_dead_are_removed(store: Store) -> None:
    pid = os.fork()
    if pid == 0:
        in_namespace(lambda: _leave_things(store))
    os.waitpid(pid, 0)
    assert len(os.listdir(store.tmp)) > 3
    Store.open(store.path).close()
    assert os.listdir(store.tmp) == ["empty-layer"]


def _leave_things(store: Store) -> None:
    work = store.begin("a", None)
    (work.tree / "file").write_text("1")
    run("chattr", "+i", work.tree / "file")
    with store.scratch("left"), store.building("b"):
        os._exit(0)


def test_pinned_or_not(any_store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        any_store.pin("a")
    assert caught.value.code == "store.missing"
    info = make(any_store, "a")
    assert not info.pinned
    any_store.pin("a")
    any_store.pin("a")
    assert info.pinned


def test_use_is_noted(any_store: Store) -> None:
    make(any_store, "a")
    use_at(any_store, "a", 1000)
    assert any_store.info("a").last_used == 1000
    assert any_store.has("a")
    assert any_store.info("a").last_used == 1000
    any_store.acquire("a").close()
    assert any_store.info("a").last_used > 1000


def test_usage(any_store: Store) -> None:
    make(any_store, "a", file="x" * 100_000)
    source = any_store.sources.file("sha256:1")
    source.parent.mkdir()
    source.write_bytes(b"y" * 50_000)
    usage = any_store.usage()
    assert (usage.objects, usage.sources, usage.format) == (1, 1, 1)
    assert usage.backend == any_store.backend
    assert 100_000 < usage.object_bytes < 200_000
    assert 50_000 <= usage.source_bytes < 60_000
    assert usage == any_store.usage()


# Eviction


def test_the_least_recently_used_goes_first(any_store: Store) -> None:
    for index, key in enumerate(["old", "new", "middle"]):
        make(any_store, key, file="x" * 100_000)
        use_at(any_store, key, 1000 + [1, 3, 2][index])
    source = any_store.sources.file("sha256:1")
    source.parent.mkdir()
    source.write_bytes(b"y" * 100_000)
    os.utime(source, (1002.5, 1002.5))
    left = []
    while (usage := any_store.usage()).objects + usage.sources:
        before = usage.object_bytes + usage.source_bytes
        freed = any_store.evict(before - 1)
        assert 100_000 <= freed < 200_000
        kept = {info.key for info in any_store.objects()}
        left.append(kept | ({"source"} if source.exists() else set()))
    assert left == [{"new", "middle", "source"}, {"new", "source"}, {"new"}, set()]
    assert any_store.evict(0) == 0


def test_children_go_before_parents(store: Store) -> None:
    make(store, "a", file="1")
    make(store, "b", "a", file="2")
    make(store, "c", "b", file="3")
    make(store, "d", "a", file="4")
    for index, key in enumerate(["a", "b", "c", "d"]):
        use_at(store, key, 1000 + index)
    seen = []
    while any(True for _ in store.objects()):
        total = sum(info.size() for info in store.objects())
        store.evict(total - 1)
        seen.append("".join(sorted(info.key for info in store.objects())))
    assert seen == ["abd", "ad", "a", ""]


def test_pinned_go_last(any_store: Store) -> None:
    make(any_store, "pinned")
    make(any_store, "other")
    use_at(any_store, "pinned", 1000)
    any_store.pin("pinned")
    any_store.evict(sum(info.size() for info in any_store.objects()) - 1)
    assert [info.key for info in any_store.objects()] == ["pinned"]
    any_store.evict(0)
    assert not list(any_store.objects())


def test_what_is_in_use_stays(any_store: Store) -> None:
    make(any_store, "a", file="1")
    make(any_store, "b", "a", file="2")
    make(any_store, "c", "a", file="3")
    source = any_store.sources.file("sha256:1")
    source.parent.mkdir()
    source.write_bytes(b"y")
    with (
        any_store.acquire("b") as lease,
        any_store.sources.lease(["sha256:1", "sha256:2"]),
        Store.open(any_store.path, backend=any_store.backend) as other,
        lease.mount() as tree,
    ):
        other.evict(0)
        assert (tree / "file").read_text() == "2"
        assert source.exists()
        kept = {info.key for info in other.objects()}
        assert kept == ({"a", "b"} if any_store.backend == "overlay" else {"b"})
    any_store.evict(0)
    assert not list(any_store.objects())
    assert not source.exists()


def test_the_base_of_a_work_stays(any_store: Store) -> None:
    make(any_store, "a", file="1")
    with any_store.begin("b", any_store.acquire("a")) as work:
        any_store.evict(0)
        (work.tree / "more").write_text("2")
        work.commit({})
    assert content(any_store, "b") == {"file": "1", "more": "2"}


# Durability


def age_by_a_boot(store: Store, key: str) -> None:
    """Make it look as if the machine had been started again since the object was made."""
    path = store.path / "objects" / key / "object.json"
    document = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**document, "boot": "an earlier one"}))


def test_objects_of_an_earlier_boot_need_the_mark(any_store: Store) -> None:
    for key in ("synced", "lost"):
        make(any_store, key, file=key)
        if key == "synced":
            any_store.sync()
        assert any_store.info(key).durable == (key == "synced")
        age_by_a_boot(any_store, key)
    with Store.open(any_store.path) as later:
        assert later.has("synced")
        assert not later.has("lost")
        assert later.acquire("lost") is None
        assert os.listdir(later.path / "objects") == ["synced"]


def test_what_lies_on_a_lost_object_is_lost(store: Store) -> None:
    make(store, "a", file="1")
    make(store, "b", "a", file="2")
    make(store, "c", "b", file="3")
    store.sync()
    (store.path / "objects/a/durable").unlink()
    for key in "abc":
        age_by_a_boot(store, key)
    with Store.open(store.path) as later:
        assert not later.has("c")
        assert [info.key for info in later.objects()] == []
        assert os.listdir(later.path / "objects") == []


def test_sync_marks_what_lies_below_and_what_was_found(store: Store) -> None:
    make(store, "a")
    make(store, "b", "a")
    with Store.open(store.path) as other:
        make(other, "c", "b")
        other.sync()
        assert all(other.info(key).durable for key in "abc")
    make(store, "found")
    with Store.open(store.path) as other:
        other.acquire("found").close()
        other.sync()
        assert other.info("found").durable
        other.sync(sources=True)


@pytest.mark.parametrize("damage", ["empty", "garbage", "other key", "no json", "no layer"])
def test_broken_objects_count_as_absent(any_store: Store, damage: str) -> None:
    make(any_store, "a", file="1")
    directory = any_store.path / "objects/a"
    path = directory / "object.json"
    text = path.read_text()
    if damage == "no layer":
        os.rename(directory / "layer", any_store.path / "hidden")
    else:
        path.unlink()
    if damage != "no json":
        wrong = {"empty": "", "garbage": "[1]", "other key": text.replace('"key":"a"', '"key":"z"')}
        path.write_text(wrong.get(damage, text))
    with Store.open(any_store.path, backend=any_store.backend) as later:
        assert not later.has("a")
        assert os.listdir(later.path / "objects") == []
        make(later, "a", file="2")
        assert content(later, "a") == {"file": "2"}


def test_an_object_is_not_read_on_another_parent(store: Store) -> None:
    make(store, "a", file="1")
    make(store, "b", "a", more="2")
    os.rename(store.path / "objects/a", store.path / "hidden")
    with Store.open(store.path) as other:
        make(other, "a", file="another")
        assert not other.has("b")
        assert other.has("a")


# Backends side by side


def test_layers_on_copies_and_copies_of_layers(place: Path) -> None:
    with Store.open(place / "store", backend="copy") as copies:
        make(copies, "a", one="1")
    with Store.open(place / "store", backend="overlay") as layers:
        assert make(layers, "b", "a", two="2").parent == "a"
    with Store.open(place / "store", backend="copy") as copies:
        assert make(copies, "c", "b", three="3").parent is None
        assert content(copies, "c") == {"one": "1", "two": "2", "three": "3"}
        copies.evict(0)


def test_plain_trees_are_followed_by_plain_ones(store: Store) -> None:
    make(store, "a", one="1")
    with store.begin("b", store.acquire("a"), plain=True) as work:
        # What a container engine does in there, and overlayfs refuses on top of itself.
        os.mknod(work.tree / "whiteout", 0o020000, 0)
        os.setxattr(work.tree / "one", "trusted.overlay.metacopy", b"")
        info = work.commit({})
    assert (info.plain, info.backend, info.stackable) == (True, "copy", False)
    after = make(store, "c", "b", two="2")
    assert (after.plain, after.backend) == (True, "copy")
    with store.acquire("c") as lease, lease.mount() as tree:
        assert os.stat(tree / "whiteout").st_rdev == 0
        assert (tree / "one").read_text() == "1"


def test_a_copy_with_overlay_things_in_it_is_copied_on(place: Path) -> None:
    with Store.open(place / "store", backend="copy") as copies:
        make(copies, "a", dir__one="1")
        with copies.begin("b", copies.acquire("a")) as work:
            os.mknod(work.tree / "whiteout", 0o020000, 0)
            assert not work.commit({}).stackable
    with Store.open(place / "store", backend="overlay") as layers:
        assert make(layers, "c", "b").backend == "copy"
        assert make(layers, "d", "a").backend == "overlay"


def test_a_lease_keeps_what_it_lies_on(store: Store) -> None:
    make(store, "a", file="1")
    make(store, "b", "a", more="2")
    lease: Lease = store.acquire("b")
    os.rename(store.path / "objects/a", store.path / "hidden")
    with pytest.raises(StoreError) as caught, lease.mount():
        pass
    assert caught.value.code == "store.missing"
    lease.close()
    assert store.acquire("b") is None
