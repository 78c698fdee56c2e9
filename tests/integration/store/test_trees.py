"""A tree that went through the store stage by stage is the tree that the same steps make in one directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osbuild_core.store.lease import Lease
from osbuild_core.store.removal import remove_tree
from osbuild_core.store.store import MAX_DEPTH, Store
from tests.integration.store.conftest import in_namespace
from tests.integration.store.scenarios import SCENARIOS
from tests.integration.store.snapshot import snapshot

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def high_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a stack of empty layers in it that is nearly as high as allowed."""
    directory = tmp_path_factory.mktemp("high")

    def build() -> None:
        lease: Lease | None = None
        for index in range(MAX_DEPTH - 1):
            with store.begin(f"below-{index}", lease) as work:
                work.commit({})
            lease = store.acquire(f"below-{index}")
        assert lease is not None
        lease.close()

    with Store.open(directory, backend="overlay") as store:
        in_namespace(build)
        yield store
    remove_tree(str(directory))


VARIANTS = [
    ("overlay", "stack"),
    ("overlay", "take over"),
    ("overlay", "plain in the middle"),
    ("overlay", "direct"),
    ("overlay", "direct, taken over"),
    ("copy", "stack"),
    ("copy", "take over"),
]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("backend", "variant"), VARIANTS)
def test_same_as_in_a_directory(place: Path, scenario: str, backend: str, variant: str) -> None:
    with Store.open(place / "store", backend=backend) as store:
        _compare(store, None, place, scenario, variant)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_same_on_a_stack_that_is_flattened(place: Path, high_store: Store, scenario: str) -> None:
    base = high_store.acquire(f"below-{MAX_DEPTH - 2}")
    depths = _compare(high_store, base, place, scenario, "flattened")
    assert depths[:2] == [MAX_DEPTH, 2]


def _compare(store: Store, base: Lease | None, place: Path, scenario: str, variant: str) -> list[int]:
    """Run the scenario in the store and in a plain directory; returns the depth after each step."""
    plain = place / "plain"
    plain.mkdir()
    depths = []
    for index, step in enumerate(SCENARIOS[scenario]):
        step(plain)
        key = f"{scenario} {index}"
        take_over = variant in ("take over", "direct, taken over")
        direct = variant.startswith("direct")
        as_copy = variant == "plain in the middle" and index == 1
        with store.begin(key, base, take_over=take_over, plain=as_copy, direct=direct) as work:
            step(work.tree)
            before = snapshot(work.tree)
            depths.append(work.commit({}).depth)
        base = store.acquire(key)
        assert base is not None
        with base.mount() as tree:
            after = snapshot(tree)
        assert before == snapshot(plain), f"step {index}, while it is worked on"
        assert after == snapshot(plain), f"step {index}, read back"
    if base is not None:
        base.close()
    return depths
