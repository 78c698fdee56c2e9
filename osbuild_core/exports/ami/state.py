"""What a run leaves for the next one on this machine: digests of images, journals of uploads.

All of it can be lost: then an image is read again, and an upload starts over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from osbuild_core.exports.ami.errors import AmiError

HINT = "check space and rights, or set XDG_STATE_HOME to another directory"

KEPT = 64
"""Files of a kind that are kept, the newest."""


def default_state_dir() -> Path:
    """Return where the state is kept: ``$XDG_STATE_HOME/osbuild-core/ami``."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored, as the XDG specification says.
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "osbuild-core" / "ami"


class State:
    """A directory that is made when something is kept in it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_state_dir() if path is None else Path(path)

    def file(self, kind: str, name: str) -> Path:
        """Return the path of the file ``name`` of a kind; its directory is there. Raises AmiError."""
        folder = self.path / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AmiError(f"cannot make {folder}: {error.strerror}", code="ami.state", hint=HINT) from error
        return folder / name

    def read(self, kind: str, name: str) -> bytes | None:
        """Return what was kept under ``name``, None for nothing."""
        try:
            return (self.path / kind / name).read_bytes()
        except OSError:
            return None

    def write(self, kind: str, name: str, data: bytes, *, kept: int = KEPT) -> None:
        """Keep ``data``, whole or not at all, and forget the oldest of many. Raises AmiError."""
        file = self.file(kind, name)
        partial = file.with_name(f".{name}.{os.getpid()}")
        try:
            partial.write_bytes(data)
            partial.replace(file)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise AmiError(f"cannot write {file}: {error.strerror}", code="ami.state", hint=HINT) from error
        self._prune(file.parent, kept)

    def _prune(self, folder: Path, kept: int) -> None:
        with suppress(OSError):
            files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in files[kept:]:
                old.unlink(missing_ok=True)
