"""The directories of the service: what may be secret is for the user who serves it only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osbuild_core.model.errors import UsageError
from osbuild_core.server.directories import prepare, prepare_store
from osbuild_core.server.settings_file import load_settings


def test_builds_are_closed_and_composes_are_not(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": str(tmp_path / "data")})
    for _ in range(2):
        prepare(settings)
        prepare_store(settings)
    modes = {path.name: path.stat().st_mode & 0o777 for path in settings.data.iterdir()}
    umask = os.umask(0)
    os.umask(umask)
    assert modes == {"composes": 0o777 & ~umask, "builds": 0o700, "store": 0o700}


@pytest.mark.root
def test_a_worker_that_comes_first_leaves_builds_to_the_server(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": str(tmp_path / "data")})
    settings.data.mkdir()
    os.chown(settings.data, 65534, 65534)
    prepare(settings)
    prepare_store(settings)
    assert settings.builds.stat().st_uid == 65534
    # Who can change the store can change what is built.
    assert (settings.data / "store").stat().st_uid == 0


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": str(tmp_path), "store": str(tmp_path / "mine")})
    settings.builds.mkdir(mode=0o750)
    prepare(settings)
    prepare_store(settings)
    assert settings.builds.stat().st_mode & 0o777 == 0o750
    assert not (tmp_path / "mine").exists()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError) as refused:
        prepare(load_settings(None, {"data": str(tmp_path / "data")}))
    assert refused.value.code == "server.directory"
    assert str(tmp_path / "data") in refused.value.detail
