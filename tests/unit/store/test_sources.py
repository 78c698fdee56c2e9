"""The cache of source files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


def test_many_items_need_one_descriptor(cache: SourceCache) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with cache.lease([f"sha256:{number}" for number in range(3000)]), cache.lease(["sha256:7"]):
        assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(os.listdir("/proc/self/fd")) == before


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
