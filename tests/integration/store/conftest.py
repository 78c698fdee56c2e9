"""Every test here runs in a thread with a mount namespace of its own, as the engine's workers do."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.store.namespace import enter_private_namespace, mounts_below, release_mounts
from osbuild_core.store.removal import remove_tree
from osbuild_core.store.store import Store


def in_namespace(function: Callable[[], Any]) -> Any:
    """Call ``function`` in a new thread with a private mount namespace; pass on what comes of it."""
    outcome: list[Any] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            enter_private_namespace()
            outcome.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    in_namespace(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory whose content pytest could not delete by itself: immutable files, mounts of a failed test."""
    directory = tmp_path / "place"
    directory.mkdir()
    yield directory
    release_mounts(directory)
    remove_tree(str(directory))


@contextmanager
def file_system(place: Path, megabytes: int, *, options: str = "loop") -> Iterator[Path]:
    """Give the root of a file system of its own, mounted with ``options``; it is unmounted, with what is on it."""
    image, directory = place / "image", place / "mounted"
    directory.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    # A journal would take most of a small one.
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    subprocess.run(["mount", "-o", options, image, directory], check=True)
    try:
        yield directory
    finally:
        for point in mounts_below(directory):
            subprocess.run(["umount", point], check=True)


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    with Store.open(place / "store") as opened:
        yield opened


@pytest.fixture(params=["overlay", "copy"])
def any_store(place: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of each backend in turn."""
    with Store.open(place / "store", backend=request.param) as opened:
        yield opened
