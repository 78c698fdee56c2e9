"""What differs between two trees: all of it, nothing else, and the same with layers that are shared."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.store.difference import Difference, _places, compare, differences
from osbuild_core.store.lease import Lease
from osbuild_core.store.store import Store
from tests.integration.store.scenarios import SCENARIOS, write
from tests.integration.store.snapshot import snapshot

pytestmark = pytest.mark.root

FACTS = ("kind", "mode", "owner", "attributes", "content", "target", "device")


def commit(store: Store, key: str, base: str | None, step: Any) -> None:
    with store.begin(key, store.acquire(base) if base else None) as work:
        step(work.tree)
        work.commit({})


def held(store: Store, key: str) -> Lease:
    return store.acquire(key) or pytest.fail(f"no {key}")


def expected(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what a diff of two snapshots has to say: kind by path."""
    found = {}
    for name in old.keys() | new.keys():
        path = "/" if name == "." else name[1:]
        if name not in new:
            found[path] = "removed"
        elif name not in old:
            found[path] = "added"
        elif any(old[name].get(fact) != new[name].get(fact) for fact in FACTS):
            found[path] = "changed"
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_of_it_and_nothing_else_fast_or_not(any_store: Store, scenario: str) -> None:
    steps = SCENARIOS[scenario]
    for number, step in enumerate(steps):
        commit(any_store, f"{number}", f"{number - 1}" if number else None, step)
    # One more on the first, so that there are two that share a part only.
    commit(any_store, "side", "0", lambda tree: write(tree / "side/file"))
    for one, other in itertools.permutations([*map(str, range(len(steps))), "side"], 2):
        with held(any_store, one) as before, held(any_store, other) as after:
            fast = list(differences(before, after))
            with before.mount() as old, after.mount() as new:
                assert fast == list(compare(old, new)), (one, other)
                wanted = expected(snapshot(old), snapshot(new))
        assert {difference.path: difference.kind for difference in fast} == wanted, (one, other)


def test_only_what_the_layers_touch_is_looked_at(store: Store) -> None:
    commit(store, "base", None, lambda tree: [write(tree / f"big/{n}/file") for n in range(9)])
    commit(store, "one", "base", lambda tree: write(tree / "big/1/more"))
    commit(store, "other", "base", lambda tree: (tree / "big/2/file").unlink())
    with held(store, "one") as one, held(store, "other") as other, held(store, "base") as base:
        assert _places(one.layers(), other.layers()) == {"big": {"1": {"more": None}, "2": {"file": None}}}
        assert _places(base.layers(), one.layers()) == {"big": {"1": {"more": None}}}
        assert [(d.kind, d.path) for d in differences(one, other)] == [
            ("removed", "/big/1/more"),
            ("removed", "/big/2/file"),
        ]


def both(tmp_path: Path) -> tuple[Path, Path]:
    trees = tmp_path / "old", tmp_path / "new"
    for tree in trees:
        tree.mkdir()
    return trees


def changes(old: Path, new: Path, *, mtime: bool = False) -> dict[str, tuple[str, ...]]:
    return {d.path: d.what for d in compare(old, new, mtime=mtime) if d.kind == "changed"}


def test_every_kind_of_change_is_named(tmp_path: Path) -> None:
    old, new = both(tmp_path)
    for tree, text in ((old, "aaa"), (new, "bbb")):
        write(tree / "content", text)
        write(tree / "mode", mode=0o755 if tree == old else 0o4755)
        os.chown(write(tree / "owner"), 0 if tree == old else 5, 0)
        os.setxattr(write(tree / "xattrs"), "user.note", text.encode())
        os.symlink(text, tree / "target")
        os.mknod(tree / "device", 0o020600, os.makedev(1, 3 if tree == old else 5))
        os.utime(write(tree / "mtime"), ns=(0, 0 if tree == old else 1))
    (old / "type").mkdir()
    write(old / "type/inside")
    os.symlink("/etc", new / "type")
    for tree in (old, new):
        os.utime(tree, ns=(0, 0))
    names = ("content", "device", "mode", "owner", "target", "type", "xattrs")
    found = changes(old, new)
    assert tuple(found) == tuple(f"/{name}" for name in names)
    assert {path: what[0] for path, what in found.items()} == {f"/{name}": name for name in names}
    assert changes(old, new, mtime=True)["/mtime"] == ("mtime",)
    # What lies behind the link is none of the tree's.
    assert [d for d in compare(old, new) if d.path.startswith("/type/")] == [
        Difference("removed", "/type/inside", "file")
    ]


def test_depth_and_names_of_any_kind(place: Path) -> None:
    old, new = both(place)
    name = os.fsdecode(b"n\xff\n\\")
    for depth in range(1, 1201):
        os.mkdir(str(new) + "/d" * depth)
    write(new / name)
    found = [(d.kind, d.path) for d in compare(old, new)]
    assert found[-1] == ("added", f"/{name}")
    assert found[-2] == ("added", "/d" * 1200)
    assert len(found) == 1201
