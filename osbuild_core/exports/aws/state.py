"""What a run leaves for the next one on this machine: digests of files, journals of uploads.

All of it can be lost: then a file is read again, and an upload starts over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from osbuild_core.exports.aws.errors import AwsError

HINT = "check space and rights, or set XDG_STATE_HOME to another directory"

KEPT = 64
"""Files of a kind that are kept, the newest."""


def default_state_dir(what: str) -> Path:
    """Return where the state of ``what`` (``ami``) is kept: ``$XDG_STATE_HOME/osbuild-core/WHAT``."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored, as the XDG specification says.
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "osbuild-core" / what


class State:
    """A directory that is made when something is kept in it."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def file(self, kind: str, name: str) -> Path:
        """Return the path of the file ``name`` of a kind; its directory is there. Raises AwsError."""
        folder = self.path / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AwsError(f"cannot make {folder}: {error.strerror}", code="aws.state", hint=HINT) from error
        return folder / name

    def read(self, kind: str, name: str) -> bytes | None:
        """Return what was kept under ``name``, None for nothing."""
        try:
            return (self.path / kind / name).read_bytes()
        except OSError:
            return None

    def write(self, kind: str, name: str, data: bytes, *, kept: int = KEPT) -> None:
        """Keep ``data``, whole or not at all, and forget the oldest of many. Raises AwsError."""
        file = self.file(kind, name)
        partial = file.with_name(f".{name}.{os.getpid()}")
        try:
            partial.write_bytes(data)
            partial.replace(file)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise AwsError(f"cannot write {file}: {error.strerror}", code="aws.state", hint=HINT) from error
        self._prune(file.parent, kept)

    def _prune(self, folder: Path, kept: int) -> None:
        with suppress(OSError):
            files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in files[kept:]:
                old.unlink(missing_ok=True)
