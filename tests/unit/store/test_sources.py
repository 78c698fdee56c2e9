"""The cache of source files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from osbuild_core.store import locks
from osbuild_core.store.sources import SourceCache


@pytest.fixture
def cache(tmp_path: Path) -> SourceCache:
    return SourceCache(tmp_path / "sources", tmp_path / "sources.lock")


def put(cache: SourceCache, checksum: str, size: int = 10_000, when: float = 1000) -> Path:
    path = cache.file(checksum)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (when, when))
    return path


def test_where_items_are(cache: SourceCache) -> None:
    assert cache.file("sha256:1") == cache.path / "org.osbuild.files/sha256:1"
    assert cache.file("sha256:1", "org.osbuild.containers").parent.name == "org.osbuild.containers"
    assert not cache.has("sha256:1")
    put(cache, "sha256:1")
    assert cache.has("sha256:1")
    assert not cache.has("sha256:1", "org.osbuild.containers")


def test_use_leaves_the_modification_time(cache: SourceCache) -> None:
    path = put(cache, "sha256:1")
    with cache.lease(["sha256:1", "sha256:missing"]):
        assert path.stat().st_mtime == 1000
        assert path.stat().st_atime > 1000


def test_held_items_stay(cache: SourceCache) -> None:
    put(cache, "sha256:1")
    put(cache, "sha256:2")
    with cache.lease(["sha256:1"]):
        evicted = {file.path.name for file in cache.files() if cache.evict(file)}
    assert evicted == {"sha256:2"}
    assert cache.has("sha256:1")
    assert [cache.evict(file) for file in cache.files()] == [True]


def test_used_since_it_was_looked_at(cache: SourceCache) -> None:
    put(cache, "sha256:1")
    (file,) = cache.files()
    with cache.lease(["sha256:1"]):
        pass
    assert not cache.evict(file)
    assert cache.has("sha256:1")


def test_many_items_need_few_descriptors(cache: SourceCache) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with cache.lease([f"sha256:{number}" for number in range(3000)]), cache.lease(["sha256:7"]):
        assert len(os.listdir("/proc/self/fd")) == before + 16
    assert len(os.listdir("/proc/self/fd")) == before


def test_items_are_held_until_the_last_has_done_with_them(cache: SourceCache) -> None:
    for number in range(4):
        put(cache, f"sha256:{number}")

    def evicted() -> set[str]:
        return {file.path.name for file in cache.files() if cache.evict(file)}

    with contextlib.ExitStack() as late:
        with cache.lease(["sha256:1", "sha256:2"]), cache.lease(["sha256:2", "sha256:2", "sha256:3"]):
            late.enter_context(cache.lease(["sha256:1"]))
            assert evicted() == {"sha256:0"}
        with pytest.raises(RuntimeError), cache.lease(["sha256:3"]):
            raise RuntimeError
        assert evicted() == {"sha256:2", "sha256:3"}
    assert evicted() == {"sha256:1"}


def test_an_item_that_is_being_evicted_is_waited_for(cache: SourceCache) -> None:
    put(cache, "sha256:1")
    with cache.lease(["sha256:1"]):
        pass
    held = [os.open(path, os.O_RDWR) for path in cache.path.parent.glob("sources.lock-*")]
    assert [locks.try_exclusive(lock) for lock in held] == [True]
    waiting = threading.Event()

    def wait() -> None:
        with cache.lease(["sha256:1"]):
            waiting.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not waiting.wait(0.1)
    os.close(*held)
    assert waiting.wait(10)
    thread.join()


def test_directories_are_items_too(cache: SourceCache) -> None:
    image = cache.file("sha256:1", "org.osbuild.containers")
    (image / "blobs").mkdir(parents=True)
    (image / "blobs/1").write_bytes(b"x" * 50_000)
    (file,) = cache.files()
    assert 50_000 < file.size < 100_000
    assert cache.evict(file)
    assert not image.exists()


def test_no_sources_at_all(cache: SourceCache) -> None:
    assert list(cache.files()) == []


def test_a_file_that_a_crash_may_have_cut_short_is_checked(tmp_path: Path) -> None:
    """Written after the last sync, before this boot: as large as it should be, or not there any more."""
    cache = SourceCache(tmp_path / "sources", tmp_path / "sources.lock")
    whole, cut = (f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"whole", b"cut"))
    cache.file(whole).parent.mkdir(parents=True)
    cache.file(whole).write_bytes(b"whole")
    cache.file(cut).write_bytes(b"")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    cache.mark_synced(booted - 100)
    for name in (whole, cut):
        os.utime(cache.file(name), (booted - 50, booted - 50))
    assert cache.has(whole)
    assert not cache.has(cut)
    assert not cache.file(cut).exists()


def test_what_was_synced_or_written_since_the_machine_was_started_is_taken_as_it_is(tmp_path):
    cache = SourceCache(tmp_path / "sources", tmp_path / "sources.lock")
    name = "sha256:" + "0" * 64
    cache.file(name).parent.mkdir(parents=True)
    cache.file(name).write_bytes(b"not this")
    assert cache.has(name)
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    cache.mark_synced(booted - 10)
    os.utime(cache.file(name), (booted - 50, booted - 50))
    assert cache.has(name)


def test_what_a_source_has_not_finished_is_no_item(tmp_path):
    cache = SourceCache(tmp_path / "sources", tmp_path / "sources.lock")
    (tmp_path / "sources" / ".partial").mkdir(parents=True)
    (tmp_path / "sources" / ".partial" / "sha256:1").touch()
    assert list(cache.files()) == []
