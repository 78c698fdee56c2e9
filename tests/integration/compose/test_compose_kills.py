"""A process that is killed while it makes a compose: what it leaves is no compose, and in nobody's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, generate
from osbuild_core.exports.compose.place import is_complete, remove
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

pytestmark = pytest.mark.root

PROGRAM = """
import os, signal, sys
from pathlib import Path
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, generate
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

repository, base, word, number = sys.argv[1:]
settings = ComposeSettings(store=Path(base) / "store", state_dir=Path(base) / "state", allowed_sources=("/",))

def log(line):
    if word in line:
        os.kill(os.getpid(), signal.SIGKILL)

request = ComposeRequest(SourceType.repo, repository, packages=("ed",))
generate(request, Place(Path(base) / "target", int(number)), settings, log=log)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store, which the killed processes have used, and the target directory."""
    return tmp_path_factory.mktemp("killed")


# The trees are in the store after the first one.
WORDS = ("pipeline", "packages, ", "fetching", "links to the store", "is done")


@pytest.mark.parametrize("number", range(len(WORDS)), ids=WORDS)
def test_a_killed_process_is_in_nobodys_way(rpms: Path, base: Path, number: int) -> None:
    word = WORDS[number]
    words = [str(rpms), str(base), word, str(number)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], check=False)
    assert done.returncode == -9
    place = Place(base / "target", number)
    assert is_complete(place) is (word == "is done")
    assert (place.directory / "compose").exists() is (word == "is done")
    settings = ComposeSettings(store=base / "store", state_dir=base / "state", allowed_sources=("/",))
    result = generate(ComposeRequest(SourceType.repo, str(rpms), packages=("ed",)), place, settings)
    assert sorted(os.listdir(place.directory)) == [
        "COMPOSE_ID",
        "compose",
        "pungi-stderr.log",
        "pungi-stdout.log",
    ]
    assert result.packages == 8
    remove(place)
    assert os.listdir(base / "target") == []
