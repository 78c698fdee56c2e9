"""What all tests share: who we run as, and which tests go together on one worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.slurm.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent


# Before xdist, which puts the groups into the names that it hands out.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if os.geteuid() != 0 and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="root is needed for mounts and the sandbox"))
        if item.get_closest_marker("soak") and not os.environ.get("OSBUILD_CORE_SOAK"):
            item.add_marker(pytest.mark.skip(reason="long campaigns run with make soak"))
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT).as_posix()))
    # The long ones first, so that no worker is left alone with one at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the program caches for its user out of the user's own directory."""
    base = tmp_path_factory.getbasetemp() / "xdg-cache"
    base.mkdir(exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A private Slurm of two nodes; its tests are marked ``xdist_group("slurm")``, so that one is enough."""
    from tests.slurm.cluster import Cluster, unavailable

    if reason := unavailable():
        pytest.skip(reason)
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The private Slurm, all its nodes up, as the one that this process and its children talk to."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    slurm_cluster.restore()
    return slurm_cluster
