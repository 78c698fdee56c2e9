"""Opening a store: new, warm, foreign, broken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from osbuild_core.model.errors import StoreError
from osbuild_core.store.store import Store


def code(path: Path, backend: str | None = None) -> str:
    with pytest.raises(StoreError) as caught:
        Store.open(path, backend=backend)
    assert "\n" not in caught.value.detail
    return caught.value.code


def test_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "deep/store"
    Store.open(path).close()
    assert sorted(os.listdir(path)) == ["CACHEDIR.TAG", "logs", "objects", "sources", "store.json", "tmp"]
    assert (path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert json.loads((path / "store.json").read_text())["format"] == 1
    before = (path / "store.json").stat().st_ino
    Store.open(path).close()
    assert (path / "store.json").stat().st_ino == before


def test_a_store_that_was_half_made(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / "tmp/empty-layer").rmdir()
    (tmp_path / "objects").rmdir()
    assert not Store.open(tmp_path).has("a")
    assert (tmp_path / "objects").is_dir()


@pytest.mark.parametrize("mark", ["cache.info", "refs"])
def test_a_store_of_osbuild(tmp_path: Path, mark: str) -> None:
    theirs = tmp_path / "objects/1234/data"
    theirs.mkdir(parents=True)
    (tmp_path / "tmp/osbuild-tmp-1").mkdir(parents=True)
    (tmp_path / mark).mkdir()
    source = tmp_path / "sources/org.osbuild.files/sha256:1"
    source.parent.mkdir(parents=True)
    source.write_text("bytes")
    for _ in range(2):
        store = Store.open(tmp_path)
        assert list(store.objects()) == []
        assert store.sources.has("sha256:1")
        assert store.sources.file("sha256:1") == source
        assert theirs.is_dir()
        assert (tmp_path / "tmp/osbuild-tmp-1").is_dir()


def test_looking_takes_source_files_for_a_store(tmp_path: Path) -> None:
    """As a cache of CI brings them back."""
    (tmp_path / "sources/org.osbuild.files").mkdir(parents=True)
    assert list(Store.open(tmp_path, create=False).objects()) == []


def test_looking_makes_no_store_of_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "sources/.git").mkdir(parents=True)
    (tmp_path / "sources/images").mkdir()
    (tmp_path / "sources/org.osbuild.curl").write_text("#!/usr/bin/python3\n")
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path, create=False)
    assert caught.value.code == "store.none"
    assert os.listdir(tmp_path) == ["sources"]


def test_what_is_not_a_store(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert code(file) == "store.not-a-directory"
    assert code(file / "below") == "store.not-a-directory"
    assert code(tmp_path / "store", "zip") == "store.backend"
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "x"}',
        '{"format": 2, "objects": "objects", "tmp": "tmp"}',
        '{"format": 1, "objects": "../objects", "tmp": "tmp"}',
    ],
)
def test_another_format(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    assert code(tmp_path) == "store.format"
