from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osbuild_core.exports.compose.addresses import EVERYTHING
from osbuild_core.exports.compose.configuration import ComposeSettings
from tests.packages import archives, keys
from tests.packages.keys import Key
from tests.packages.rpms import Rpm, repository


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


ED = {"source": "ed", "version": "1.14"}
LIB = {"source": "libtext", "version": "2.0"}
RPMS = [
    Rpm(
        "ed",
        **ED,
        requires=("libtext >= 2", "/usr/share/text/words"),
        recommends=("vi",),
        files={"/usr/bin/ed": "e"},
    ),
    Rpm("ed-debuginfo", **ED, files={"/usr/lib/debug/ed.debug": "d"}),
    Rpm("ed-debugsource", **ED, files={"/usr/src/debug/ed.c": "d"}),
    Rpm("ed", source="ed", version="1.2", files={"/usr/bin/ed": "e"}),
    Rpm("libtext", **LIB, files={"/usr/lib64/libtext.so.2": "x"}),
    Rpm("libtext-devel", **LIB, requires=("libtext = 2.0",), files={"/usr/include/text.h": "h"}),
    Rpm("libtext-tools", **LIB, requires=("libtext = 2.0",), files={"/usr/bin/text": "t"}),
    Rpm("libtext", **LIB, arch="i686", requires=("libbase(x86-32)",), files={"/usr/lib/libtext.so.2": "x"}),
    Rpm(
        "libtext-devel", **LIB, arch="i686", requires=("libbase(x86-32)",), files={"/usr/include/text.h": "h"}
    ),
    Rpm("libtext-tools", **LIB, arch="i686", files={"/usr/bin/text": "t"}),
    Rpm("libbase", arch="i686", files={"/usr/lib/libbase.so.1": "x"}),
    Rpm("libbase", arch="x86_64", files={"/usr/lib64/libbase.so.1": "x"}),
    Rpm("words", arch="noarch", files={"/usr/share/text/words": "w"}),
    Rpm("vi", provides=("editor",), requires=("Conflicting",)),
    Rpm("lost", requires=("nothing-has-this >= 3",)),
    Rpm("outside", requires=("elsewhere",)),
]


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of RPM packages in several architectures, with sources and debugging information; revision 17."""
    return repository(tmp_path_factory.mktemp("rpms") / "repo", RPMS, sources=True, revision=17)


@pytest.fixture(scope="session")
def lookaside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another repository, with what ``outside`` needs."""
    return repository(tmp_path_factory.mktemp("rpms") / "lookaside", [Rpm("elsewhere"), Rpm("libbase")])
