from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osbuild_core.exports.compose.addresses import EVERYTHING
from osbuild_core.exports.compose.configuration import ComposeSettings
from tests.packages import archives, keys
from tests.packages.keys import Key


@pytest.fixture(scope="session")
def archive_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    """The key of the archive that packages come from."""
    key = keys.make(tmp_path_factory.mktemp("gnupg") / "archive")
    yield key
    keys.end(key)


@pytest.fixture(scope="session")
def compose_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    """The key that composes are signed with."""
    key = keys.make(tmp_path_factory.mktemp("gnupg") / "compose", "composes@example.org")
    yield key
    keys.end(key)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, archive_key: Key) -> Path:
    """hello needs greet, greet words (contrib); ahoy and hello exclude each other; lost needs what is nowhere."""
    root = tmp_path_factory.mktemp("archive") / "debian"
    archives.add(root, "hello", {"Depends": "greet (>= 1)", "Conflicts": "ahoy", "Section": "misc"})
    archives.add(root, "greet", {"Depends": "words", "Architecture": "all"})
    archives.add(root, "words", {"Architecture": "all", "Version": "2:1.5"}, component="contrib")
    archives.add(root, "ahoy")
    archives.add(root, "lost", {"Depends": "nothing-has-this"})
    archives.write(root, key=archive_key)
    return root


@pytest.fixture(scope="session")
def settings(
    tmp_path_factory: pytest.TempPathFactory, archive: Path, archive_key: Key, compose_key: Key
) -> ComposeSettings:
    """One store for all tests: the runner of the sandbox is prepared once."""
    base = tmp_path_factory.mktemp("engine")
    return ComposeSettings(
        store=base / "store",
        state_dir=base / "state",
        allowed_sources=EVERYTHING,
        apt_keyrings={f"file://{archive}": archive_key.public},
        signing_key=compose_key.fingerprint,
        gnupg_home=compose_key.home,
    )
