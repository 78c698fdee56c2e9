"""Verification and collection beside others who use the store."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from osbuild_core.store.store import Store
from tests.integration.store.test_store import make

pytestmark = pytest.mark.root

SUM = "sha256:434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53"


def source(store: Store, name: str, content: bytes = b"content\n", kind: str = "org.osbuild.files") -> Path:
    path = store.path / "sources" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_broken_chains_are_broken_from_the_bottom_up(any_store: Store) -> None:
    make(any_store, "a")
    make(any_store, "b", "a")
    make(any_store, "c", "b")
    make(any_store, "alone")
    (any_store.path / "objects" / "a" / "object.json").write_text("no JSON")
    with Store.open(any_store.path) as fresh:
        found = {one.name: one.reason for one in fresh.verify().broken}
        copies = any_store.info("alone").backend != "overlay"  # type: ignore[union-attr]
        # A copy stands alone.
        assert set(found) == ({"a"} if copies else {"a", "b", "c"})
        assert all(one.removed for one in fresh.verify(repair=True).broken)
        assert {info.key for info in fresh.objects()} == ({"b", "c", "alone"} if copies else {"alone"})


def test_an_object_on_an_earlier_one_of_the_same_key(store: Store) -> None:
    make(store, "a")
    make(store, "b", "a")
    os.rename(store.path / "objects/b", store.path / "b")
    (store.path / "objects/a/object.json").unlink()
    with Store.open(store.path) as fresh:
        assert not fresh.has("a")
        make(fresh, "a")
        os.rename(store.path / "b", store.path / "objects/b")
        assert [(one.name, one.reason) for one in fresh.verify().broken] == [("b", "it lies on an earlier a")]


def test_what_was_not_on_the_disk_when_the_machine_went_down(store: Store) -> None:
    make(store, "a")
    path = store.path / "objects/a/object.json"
    path.write_text(path.read_text().replace('"boot":"', '"boot":"before-'))
    with Store.open(store.path) as fresh:
        assert "when the machine went down" in fresh.verify().broken[0].reason


def test_only_names_that_are_checksums_are_held_to_them(store: Store) -> None:
    source(store, SUM)
    source(store, "sha1:" + "0" * 40)
    source(store, "index.json")
    source(store, "sha256:" + "1" * 64, kind="org.osbuild.containers")
    (store.path / "sources/org.osbuild.ostree/repo").mkdir(parents=True)
    found = store.verify()
    assert (found.sources, found.unknown) == (2, 3)
    assert [one.name for one in found.broken] == ["org.osbuild.files/sha1:" + "0" * 40]


def test_links_directories_and_pipes_are_no_source_files(store: Store) -> None:
    wrong = ["sha256:" + digit * 64 for digit in "123"]
    folder = source(store, SUM).parent
    (folder / wrong[0]).symlink_to(folder / SUM)
    (folder / wrong[1]).mkdir()
    os.mkfifo(folder / wrong[2])
    found = store.verify(repair=True)
    assert sorted(one.name.split("/")[1] for one in found.broken) == wrong
    assert all(one.removed for one in found.broken)
    assert os.listdir(folder) == [SUM]


def test_checking_a_source_file_is_no_use_of_it(store: Store) -> None:
    path = source(store, SUM)
    os.utime(path, (1000, 1000))
    store.verify()
    assert path.stat().st_atime == 1000
    assert store.collect(unused_since=time.time() - 60).evicted.sources != ()


def test_what_is_in_use_is_reported_and_left(store: Store) -> None:
    make(store, "a", file="1")
    path = source(store, SUM, b"wrong")
    with store.acquire("a") or pytest.fail("no object"), store.sources.lease([SUM]):
        (store.path / "objects/a/layer").rename(store.path / "away")
        with Store.open(store.path) as other:
            found = other.verify(repair=True)
            assert [(one.kind, one.removed) for one in found.broken] == [("object", False), ("source", False)]
            done = other.collect(max_size=0)
            assert done.garbage == () and done.freed == 0
    assert path.exists()
    with Store.open(store.path) as other:
        assert all(one.removed for one in other.verify(repair=True).broken)


def test_leftovers_of_those_who_live_are_none(store: Store) -> None:
    with store.scratch("mine") as mine, Store.open(store.path, clean=False) as other:
        (store.tmp / "core-gone").mkdir()
        (store.tmp / "somebody-elses").mkdir()
        assert [one.name for one in other.collect(dry_run=True).garbage] == ["core-gone"]
        assert [one.name for one in other.collect().garbage] == ["core-gone"]
        assert mine.is_dir() and (store.tmp / "somebody-elses").is_dir()
        assert not (store.tmp / "core-gone").exists()


def test_the_dry_run_and_the_real_one_agree(store: Store) -> None:
    for key, base in (("a", None), ("b", "a"), ("c", "b"), ("d", None)):
        make(store, key, base, file="x" * 5000)
    store.pin("b")
    source(store, SUM)
    for number, key in enumerate("abcd"):
        os.utime(store.path / "objects" / key / "object.json", (1000 + number, 1000 + number))
    with Store.open(store.path) as fresh:
        would = fresh.collect(unused_since=2000, dry_run=True)
        assert [info.key for info, _ in would.evicted.objects] == ["c", "d"]
        assert {info.key for info in fresh.objects()} == {"a", "b", "c", "d"}
        did = fresh.collect(unused_since=2000)
        assert did == would
        assert {info.key for info in fresh.objects()} == {"a", "b"}
        # Only for want of room what is pinned goes, and then what it lies on.
        assert [info.key for info, _ in fresh.collect(max_size=0).evicted.objects] == ["b", "a"]
