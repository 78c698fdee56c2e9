"""What is written about an object is read again, and nothing else is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.store import object as objects
from osbuild_core.store.object import ObjectInfo


def info(path: Path) -> ObjectInfo:
    return ObjectInfo(
        key=path.name,
        parent="below",
        parent_serial="1",
        depth=2,
        backend="overlay",
        created=5.0,
        last_used=6.0,
        document={"stage": {"id": "x"}, "odd": "\udcff"},
        path=path,
        serial=objects.new_serial(),
    )


def read(path: Path) -> ObjectInfo | None:
    fd = os.open(path / objects.FILE, os.O_RDONLY)
    try:
        return objects.read(fd, path)
    finally:
        os.close(fd)


def test_round_trip(tmp_path: Path) -> None:
    written = info(tmp_path)
    objects.write(tmp_path, written)
    found = read(tmp_path)
    assert found is not None
    assert replace(found, last_used=6.0) == written
    with pytest.raises(FileExistsError):
        objects.write(tmp_path, written)


@given(
    st.one_of(
        st.binary(),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()),
        st.dictionaries(
            st.sampled_from(["key", "format", "parent", "depth", "backend", "serial", "document", "x"]),
            st.none() | st.integers() | st.text() | st.just("a"),
        ).map(lambda v: json.dumps({"format": 1, "key": "a", **v}).encode()),
    )
)
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("object") / "a"
    directory.mkdir()
    (directory / objects.FILE).write_bytes(content)
    assert read(directory) is None


def test_size_counts_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    for name in ("two", "three"):
        os.link(tmp_path / "one", tmp_path / name)
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    assert 100_000 <= objects.allocated(str(tmp_path)) < 200_000
    assert objects.allocated(str(tmp_path / "missing")) == 0
    measured = info(tmp_path).size()
    (tmp_path / "later").write_bytes(b"x" * 100_000)
    assert info(tmp_path).size() == measured
