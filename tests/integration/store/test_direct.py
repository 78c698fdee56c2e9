"""Layers that are written without an overlay in between: what they may hold, and where that is noticed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.model.errors import StoreError
from osbuild_core.store import inodeflags
from osbuild_core.store.mountapi import umount
from osbuild_core.store.namespace import mounts_below
from osbuild_core.store.store import Store
from tests.integration.store.conftest import file_system
from tests.integration.store.scenarios import age, deep_tree, run, write
from tests.integration.store.snapshot import snapshot
from tests.integration.store.test_store import content, make

pytestmark = pytest.mark.root


def kind_of_mount(directory: Path) -> str:
    """Return the type of the file system that is mounted at ``directory``."""
    with open("/proc/thread-self/mountinfo") as table:
        lines = [line.split(" - ") for line in table]
    return [rest.split()[0] for line, rest in lines if line.split()[4] == str(directory)][-1]


def test_only_what_begins_empty_is_written_directly(store: Store) -> None:
    with store.begin("a", None, direct=True) as work:
        assert kind_of_mount(work.tree) != "overlay"
        write(work.tree / "etc/one", "1")
        info = work.commit({}, flags=False)
    assert (info.backend, info.stackable, info.depth) == ("overlay", True, 1)
    with store.begin("b", store.acquire("a"), direct=True) as work:
        assert kind_of_mount(work.tree) == "overlay"
        write(work.tree / "etc/two", "2")
        (work.tree / "etc/one").chmod(0o600)
        work.commit({}, flags=False)
    assert content(store, "b") == {"etc/one": "1", "etc/two": "2"}
    assert content(store, "a") == {"etc/one": "1"}
    assert mounts_below(store.path) == []
    assert os.listdir(store.tmp) == ["empty-layer"]


def test_a_store_of_copies_goes_on_copying(place: Path) -> None:
    with Store.open(place / "store", backend="copy") as store:
        with store.begin("a", None, direct=True) as work:
            write(work.tree / "one", "1")
            assert work.commit({}, flags=False).backend == "copy"
        make(store, "b", "a", two="2")
        assert content(store, "b") == {"one": "1", "two": "2"}


def opaque(tree: Path) -> None:
    deep_tree(tree)
    os.setxattr(tree / "d/sub", "trusted.overlay.opaque", b"y")


def redirected(tree: Path) -> None:
    deep_tree(tree)
    os.setxattr(tree / "d/sub", "trusted.overlay.redirect", b"/e")


def whiteout(tree: Path) -> None:
    deep_tree(tree)
    os.mknod(tree / "d/sub/gone", 0o020000, 0)


def containers(tree: Path) -> None:
    """What containers-storage does: layers of its own, with an overlay on them while it works."""
    for name in ("layer", "upper", "work", "merged"):
        (tree / name).mkdir()
    deep_tree(tree / "layer")
    options = f"lowerdir={tree}/layer,upperdir={tree}/upper,workdir={tree}/work,metacopy=on,redirect_dir=on"
    run("mount", "-t", "overlay", "overlay", "-o", options, tree / "merged")
    merged = tree / "merged"
    (merged / "e/five").unlink()
    os.chown(merged / "d/one", 5, 6)
    os.rename(merged / "d/sub", merged / "moved")
    umount(merged)
    run("rm", "-r", tree / "work")


def only_metadata(tree: Path) -> None:
    containers(tree)
    # What is left is a file without its data, which the directory around it tells of.
    run("rm", "-r", tree / "upper/moved", tree / "upper/e")
    names = set(os.listxattr(tree / "upper/d"))
    assert "trusted.overlay.metacopy" in os.listxattr(tree / "upper/d/one")
    assert "trusted.overlay.impure" in names


NESTING = [opaque, redirected, whiteout, containers, only_metadata]


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    "options", [{"flags": False}, {"flags": True}, {"flags": False, "source_epoch": 1000}]
)
@pytest.mark.parametrize("direct", [True, False])
def test_a_tree_of_any_depth_is_looked_at(store: Store, opaque: bool, options: Any, direct: bool) -> None:
    with store.begin("a", None, direct=direct) as work:
        here = os.open(work.tree, os.O_RDONLY)
        for _ in range(40):
            os.mkdir("ü" * 120, dir_fd=here)
            below = os.open("ü" * 120, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        if opaque:
            os.setxattr(here, "trusted.overlay.opaque", b"y")
        os.close(here)
        info = work.commit({}, **options)
    assert info.stackable is not (opaque and direct)


@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize("nest", NESTING)
def test_a_tree_with_layers_in_it_is_kept_as_it_is(
    store: Store, nest: Callable[[Path], None], flags: bool
) -> None:
    with store.begin("a", None, direct=True) as work:
        nest(work.tree)
        before = snapshot(work.tree)
        info = work.commit({}, flags=flags)
    assert (info.backend, info.stackable) == ("copy", False)
    assert store.info("a") == info
    with store.acquire("a") as lease, lease.mount() as tree:
        assert snapshot(tree) == before
    with store.begin("b", store.acquire("a"), direct=True) as work:
        assert snapshot(work.tree) == before
        write(work.tree / "more", "2")
        before = snapshot(work.tree)
        work.commit({}, flags=False)
    with store.acquire("b") as lease, lease.mount() as tree:
        assert snapshot(tree) == before
    with store.begin("c", store.acquire("b"), take_over=True) as work:
        assert snapshot(work.tree) == before


def test_an_attribute_that_no_overlay_of_ours_reads_changes_nothing(store: Store) -> None:
    """Of containers without root, say."""
    with store.begin("a", None, direct=True) as work:
        deep_tree(work.tree)
        os.setxattr(work.tree / "d", "user.overlay.opaque", b"y")
        info = work.commit({}, flags=False)
    assert (info.backend, info.stackable) == ("overlay", True)
    with store.begin("b", store.acquire("a")) as work:
        assert os.getxattr(work.tree / "d", "user.overlay.opaque") == b"y"
        assert (work.tree / "d/sub/three").read_text() == "d/sub/three"


def test_who_marks_a_file_by_hand_cannot_open_it(store: Store) -> None:
    """The one thing that is not noticed at commit; no file around it is concerned."""
    with store.begin("a", None, direct=True) as work:
        deep_tree(work.tree)
        os.setxattr(work.tree / "d/one", "trusted.overlay.metacopy", b"")
        work.commit({}, flags=False)
    with store.acquire("a") as lease, lease.mount() as tree:
        with pytest.raises(OSError):
            (tree / "d/one").read_text()
        assert (tree / "d/two").read_text() == "d/two"


def test_flags_are_looked_for_where_there_may_be_any(store: Store) -> None:
    with store.begin("a", None, direct=True) as work:
        run("chattr", "+i", write(work.tree / "fixed"))
        info = work.commit({}, source_epoch=1000)
    assert info.flagged
    with store.begin("b", store.acquire("a")) as work:
        assert inodeflags.read(str(work.tree / "fixed")) == inodeflags.IMMUTABLE
        with pytest.raises(PermissionError):
            (work.tree / "fixed").write_text("x")
        assert os.stat(work.tree / "fixed").st_mtime == 1000


@pytest.mark.parametrize("flags", [False, True])
def test_times_are_cut_off(store: Store, flags: bool) -> None:
    with store.begin("a", None, direct=True) as work:
        age(write(work.tree / "old"))
        write(work.tree / "dir/new")
        work.commit({}, source_epoch=500_000_000, flags=flags)
    with store.acquire("a") as lease, lease.mount() as tree:
        times = {name: os.stat(tree / name).st_mtime for name in (".", "old", "dir", "dir/new")}
    assert times.pop("old") == pytest.approx(123_456_789.123_456_789)
    assert set(times.values()) == {500_000_000}


def test_an_open_file_makes_commit_fail_and_nothing_is_lost(store: Store) -> None:
    with store.begin("a", None, direct=True) as work:
        with open(work.tree / "file", "w") as file:
            with pytest.raises(StoreError) as caught:
                work.commit({}, flags=False)
            assert caught.value.code == "store.busy"
            file.write("1")
        work.commit({}, flags=False)
    assert content(store, "a") == {"file": "1"}


@pytest.fixture
def restricted(place: Path) -> Iterator[Path]:
    """A file system from which no program may run, as administrators like it for temporary files."""
    with file_system(place, 16, options="loop,noexec,nosuid,nodev") as directory:
        yield directory


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_programs_of_the_tree_run_wherever_the_store_is(restricted: Path, backend: str) -> None:
    with Store.open(restricted / "store", backend=backend) as store:
        for key, base in (("a", None), ("b", "a")):
            with store.begin(key, base and store.acquire(base), direct=True) as work:
                program = write(work.tree / key, f"#!/bin/sh\necho {key}\n", 0o755)
                assert subprocess.check_output([program]) == f"{key}\n".encode()
                work.commit({}, flags=False)
