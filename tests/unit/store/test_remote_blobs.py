"""The blobs of a remote cache in a directory, their addresses, and the records among them."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from osbuild_core.model.errors import StoreError, UsageError
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.blobs import open_blobs
from osbuild_core.store.remote.directory import DirectoryBlobs
from osbuild_core.store.remote.files import pull_file, push_file
from osbuild_core.store.remote.record import Record, decode, encode
from osbuild_core.store.sources import SourceCache

KEY = "ab" * 32


def blob(place: Path, text: str) -> Path:
    path = place / f"blob-{threading.get_ident()}"
    path.write_text(text)
    return path


def content(blobs: DirectoryBlobs, name: str) -> str | None:
    found = blobs.get(name)
    if found is None:
        return None
    with found:
        return found.read().decode()


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "cache")


def test_the_first_one_stays(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    assert not blobs.exists("objects/a") and blobs.get("objects/a") is None
    assert blobs.put("objects/a", blob(tmp_path, "one"))
    assert not blobs.put("objects/a", blob(tmp_path, "two"))
    assert blobs.exists("objects/a") and content(blobs, "objects/a") == "one"
    blobs.remove("objects/a")
    blobs.remove("objects/a")
    assert blobs.put("objects/a", blob(tmp_path, "two"))
    assert list((blobs.path / "tmp").iterdir()) == []


@pytest.mark.parametrize("hard_links", [True, False])
def test_one_of_many_at_once_wins(
    blobs: DirectoryBlobs, tmp_path: Path, hard_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on file systems that have no hard links: what the kernel would say there is put in its mouth."""
    if not hard_links:

        def link(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    barrier = threading.Barrier(8)
    won: list[int] = []

    def put(number: int) -> None:
        source = blob(tmp_path, f"{number}" * 10_000)
        barrier.wait()
        if blobs.put("a", source):
            won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert content(blobs, "a") == f"{won[0]}" * 10_000


def test_a_check_that_raises_leaves_nothing(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    def check() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        blobs.put("objects/a", blob(tmp_path, "one"), check)
    assert not blobs.exists("objects/a") and list((blobs.path / "tmp").iterdir()) == []


def test_what_the_cache_is_in_is_not_made(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "not/mounted")
    with pytest.raises(FileNotFoundError):
        blobs.put("a", blob(tmp_path, "one"))
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache",
        "/shared/cache",
        "s3://bucket",
        "file:cache",
        "file://host/cache",
        "file:///a?b",
        "http://[x",
    ],
)
def test_an_address_that_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_blobs(url)
    assert caught.value.code == "usage.remote-cache" and caught.value.hint


def test_an_address_is_decoded() -> None:
    opened = open_blobs("file://localhost/shared/my%20cache")
    assert isinstance(opened, DirectoryBlobs) and opened.path == Path("/shared/my cache")


RECORD = Record(KEY, None, "tree", None, {"stages": [{"ö": "\udcff"}]}, "cd" * 32, 10, 20)


def test_a_record_comes_back() -> None:
    assert decode(encode(RECORD), KEY) == RECORD


def test_a_record_that_is_not_ours_is_damage() -> None:
    good = json.loads(encode(RECORD))
    cases = [b"", b"[]", b"null", b'"text"', b"[" * 100_000, encode(RECORD)[:-3]]
    cases += [
        json.dumps(good | change).encode() for change in ({"size": 11}, {"key": "ef" * 32}, {"more": 1})
    ]
    for text in cases:
        with pytest.raises(StoreError) as caught:
            decode(text, KEY)
        assert caught.value.code == "remote.damaged"
    with pytest.raises(StoreError):
        decode(encode(RECORD), "ef" * 32)
    assert decode(json.dumps(good | {"format": 2}).encode(), KEY) is None


def test_files_are_checked_and_what_is_wrong_is_removed(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    warnings: list[str] = []
    access = Access(blobs, warn=warnings.append)
    sources = SourceCache(tmp_path / "sources", tmp_path / "lock")
    checksum = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert not pull_file(access, sources, tmp_path, checksum)
    shared = blobs.path / f"sources/org.osbuild.files/{checksum}"
    shared.parent.mkdir(parents=True)
    shared.write_text("hullo")
    assert not pull_file(access, sources, tmp_path, checksum)
    assert len(warnings) == 1 and not shared.exists()
    shared.write_text("hello")
    assert pull_file(access, sources, tmp_path, checksum)
    assert sources.file(checksum).read_text() == "hello"
    assert push_file(access, sources, checksum) is None
    shared.unlink()
    assert push_file(access, sources, checksum) == 5
    assert push_file(access, sources, "../../etc/passwd") is None
    assert not pull_file(access, sources, tmp_path, "sha256:../x")
    assert len(warnings) == 1


def test_nothing_is_removed_from_a_cache_that_may_only_be_read(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    blobs.put("a", blob(tmp_path, "one"))
    Access(blobs, read_only=True).discard(["a"])
    assert blobs.exists("a")
    Access(blobs).discard(["a"])
    assert not blobs.exists("a")
