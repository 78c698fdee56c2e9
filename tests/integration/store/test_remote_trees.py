"""A tree that went through the remote cache is the tree that it was, whichever stores are at the two ends."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.blobs import open_blobs
from osbuild_core.store.remote.cache import RemoteCache
from osbuild_core.store.store import MAX_DEPTH, Store
from tests.integration.store import scenarios
from tests.integration.store.scenarios import SCENARIOS, write
from tests.integration.store.snapshot import snapshot
from tests.integration.store.test_direct import NESTING

pytestmark = pytest.mark.root

Step = Callable[[Path], Any]


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def remote_of(store: Store, place: Path, **more: Any) -> RemoteCache:
    """Return the cache in ``place``; whatever it warns of fails the test."""

    def warn(text: str) -> None:
        raise AssertionError(text)

    access = Access(open_blobs(f"file://{place}/cache"), **{"warn": warn, **more})
    return RemoteCache(lambda: store, access)


def exact(tree: Path) -> dict[str, Any]:
    """Return a snapshot with every time of modification in it."""
    found = snapshot(tree)
    for path, entry in found.items():
        entry["time"] = os.lstat(tree / path).st_mtime_ns
    return found


def build(
    store: Store, steps: list[Step], *, remote: RemoteCache | None = None, prefix: str = "", **options: Any
) -> list[str]:
    """Run the steps, each a stage; push each tree; return the keys."""
    keys: list[str] = []
    plain = options.pop("plain", None)
    base = options.pop("base", None)
    for number, step in enumerate(steps):
        here = key(f"{prefix}{number}")
        with store.begin(here, base, plain=plain == number, **options) as work:
            step(work.tree)
            work.commit({"stage": number})
        if remote is not None:
            remote.push(here, keys[::-1])
        keys.append(here)
        base = store.acquire(here)
    if base is not None:
        base.close()
    return keys


def read(store: Store, name: str) -> dict[str, Any]:
    lease = store.acquire(name)
    assert lease is not None
    with lease, lease.mount() as tree:
        return exact(tree)


VARIANTS = [("overlay", "each"), ("overlay", "plain"), ("overlay", "taken over"), ("copy", "each")]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("backend", "variant"), VARIANTS)
def test_every_scenario_comes_out_the_same(place: Path, scenario: str, backend: str, variant: str) -> None:
    with ExitStack() as stack:
        origin = stack.enter_context(Store.open(place / "origin", backend=backend))
        remote = remote_of(origin, place)
        if variant == "taken over":
            keys = build(origin, SCENARIOS[scenario], take_over=True)
            left = [name for name in keys if origin.has(name)]
            assert remote.push(keys[-1], keys[-2::-1]).objects == len(left)
        else:
            keys = build(origin, SCENARIOS[scenario], remote=remote, plain=1 if variant == "plain" else None)
        expected = [read(origin, name) for name in keys if origin.has(name)]
        for other in ("overlay", "copy"):
            store = stack.enter_context(Store.open(place / other, backend=other))
            lease, moved = remote_of(store, place).pull(keys[-1])
            assert lease is not None and moved.objects == len(expected)
            lease.close()
            assert lease.info.document == {"stage": len(keys) - 1}
            assert [read(store, name) for name in keys if store.has(name)] == expected
            assert store.verify().broken == ()


@pytest.mark.parametrize("nest", NESTING)
def test_layers_in_a_tree_come_out_the_same(place: Path, nest: Step) -> None:
    """Those that the first stage wrote to where they stay, where no overlay has put its attributes out of the way."""
    with ExitStack() as stack:
        origin = stack.enter_context(Store.open(place / "origin", backend="overlay"))
        steps: list[Step] = [nest, lambda tree: write(tree / "more")]
        keys = build(origin, steps, remote=remote_of(origin, place), direct=True)
        assert not any(one.stackable for one in origin.objects())
        expected = [read(origin, name) for name in keys]
        for other in ("overlay", "copy"):
            store = stack.enter_context(Store.open(place / other, backend=other))
            lease, _ = remote_of(store, place).pull(keys[-1])
            assert lease is not None
            lease.close()
            assert [read(store, name) for name in keys] == expected


@pytest.mark.parametrize("other", ["overlay", "copy"])
def test_what_came_from_there_can_be_built_on_and_goes_back(place: Path, other: str) -> None:
    steps: list[Step] = [scenarios.group, scenarios.deep_tree]
    with Store.open(place / "one", backend="overlay") as one, Store.open(place / "two", backend=other) as two:
        keys = build(one, steps, remote=remote_of(one, place))
        remote = remote_of(two, place)
        base, _ = remote.pull(keys[-1])
        more = build(two, [lambda t: (t / "a/one").chmod(0o600)], prefix="more", base=base)
        assert remote.push(more[0], keys[::-1]).objects == 1
        back, moved = remote_of(one, place).pull(more[0])
        assert back is not None and moved.objects == 1
        back.close()
        assert read(one, more[0]) == read(two, more[0])


def test_a_stack_that_was_flattened(place: Path) -> None:
    """What lies on a flattened copy is told as lying on what that is a copy of."""
    steps: list[Step] = [lambda t, n=n: write(t / f"file{n % 7}", str(n)) for n in range(MAX_DEPTH + 3)]
    with Store.open(place / "one", backend="overlay") as one, Store.open(place / "two") as two:
        keys = build(one, steps, remote=remote_of(one, place))
        chain = [json.loads(path.read_text()) for path in (place / "cache/objects").iterdir()]
        assert {record["key"]: record["parent"] for record in chain} == dict(
            zip(keys, [None, *keys], strict=False)
        )
        lease, moved = remote_of(two, place).pull(keys[-1])
        assert lease is not None and moved.objects == len(keys)
        lease.close()
        assert read(two, keys[-1]) == read(one, keys[-1])


def test_what_only_overlays_have_is_not_in_an_entry(place: Path) -> None:
    """Other programs read it: whiteouts are as in OCI layers, and data is whole."""
    steps: list[Step] = [
        scenarios.deep_tree,
        lambda t: (
            os.rename(t / "d", t / "moved"),
            (t / "moved/two").chmod(0o600),
            os.setxattr(t / "moved/two", "user.note", b"\0\xff"),
        ),
    ]
    with Store.open(place / "store", backend="overlay") as store:
        keys = build(store, steps, remote=remote_of(store, place))
        expected = read(store, keys[-1])
    record = json.loads((place / f"cache/objects/{keys[-1]}.json").read_text())
    layer = place / f"cache/layers/{record['layer']}.tar.zst"
    plain = subprocess.run(["zstd", "-dc", layer], check=True, capture_output=True).stdout
    assert len(plain) == record["unpacked"] and layer.stat().st_size == record["size"]
    (place / "layer.tar").write_bytes(plain)
    with tarfile.open(place / "layer.tar") as archive:
        members = {member.name: member for member in archive}
        assert archive.extractfile("moved/two").read() == b"d/two"
    assert ".wh.d" in members and "moved/.wh..wh..opq" in members
    assert members["moved/two"].mtime == pytest.approx(scenarios.OLD / 10**9)
    # GNU tar gets out of it what the tree has.
    (place / "out").mkdir()
    subprocess.run(
        ["tar", "-C", place / "out", "--xattrs", "--xattrs-include=*", "-xpf", place / "layer.tar"],
        check=True,
    )
    out = exact(place / "out")
    assert {path: out[path] for path in expected if "moved" in path and "wh" not in path} == {
        path: entry for path, entry in expected.items() if "moved" in path
    } | {"./moved": out["./moved"]}
