from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.catalog import KINDS, Library, default_library

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Compiled validators of a test run stay in the test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The program's own modules, and stand-ins for those that it does not have yet."""
    root = tmp_path_factory.mktemp("library")
    for folder in (default_library(), DATA / "library"):
        for kind in KINDS:
            (root / kind).mkdir(exist_ok=True)
            for file in (folder / kind).iterdir() if (folder / kind).is_dir() else ():
                if not (root / kind / file.name).exists():
                    (root / kind / file.name).symlink_to(file)
    return Library(root)


@pytest.fixture
def conformance():
    """Return the content of a file of the conformance data."""

    def read(name: str) -> dict[str, Any]:
        return json.loads((DATA / "conformance" / name).read_text())

    return read
