"""The directories of the service: who makes them first, and for whom."""

from __future__ import annotations

import os
from pathlib import Path

from osbuild_core.model.errors import UsageError
from osbuild_core.server.settings import ServerSettings


def prepare(settings: ServerSettings) -> None:
    """Make what is not there. Composes are for everyone; what builds export, and the trees that they are made of, may
    have secrets in them.

    Raises UsageError where that cannot be.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        settings.directory.mkdir(parents=True, exist_ok=True)
        _make_private(settings.builds)
    except OSError as error:
        raise UsageError(
            f"cannot use the directory {error.filename}: {error.strerror}",
            code="server.directory",
            hint="choose another one with --data",
        ) from error


def prepare_store(settings: ServerSettings) -> None:
    """Make the store of a worker where it is not there. One that the settings name is left to who has named it."""
    if settings.store is None:
        (settings.data / "store").mkdir(mode=0o700, exist_ok=True)


def _make_private(path: Path) -> None:
    """Make ``path`` for the owner of the directory that it is in: servers may be another user than workers, who are
    root."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
