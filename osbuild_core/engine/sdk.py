"""What modules import as ``osbuild``: the SDK, or what a library brings itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent / "sdk"
"""The directory that holds the SDK as the package ``osbuild``."""


def sdk_of(library: Path) -> Path:
    """Return what modules of ``library`` import as ``osbuild`` from: the library itself where it brings
    its own (a non-empty ``osbuild/``), else the SDK."""
    own = library / "osbuild"
    try:
        return library if any(own.iterdir()) else SDK
    except OSError:
        return SDK


def directory_digest(directory: Path) -> str:
    """Return a digest of the Python files below ``directory``, names and contents."""
    state = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        data = path.read_bytes()
        state.update(f"{path.relative_to(directory)} {len(data)}\n".encode())
        state.update(data)
    return state.hexdigest()
