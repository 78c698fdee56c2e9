"""What modules import as ``osbuild``: the SDK, or what a library brings itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.catalog.module import Module
from osbuild_core.model.errors import ModuleError

SDK = Path(__file__).resolve().parent.parent / "sdk"
"""The directory that holds the SDK as the package ``osbuild``."""


def sdk_of(library: Path) -> Path:
    """Return what modules of ``library`` import as ``osbuild`` from: the library itself where it brings
    its own (an ``osbuild/`` with something in it), else the SDK."""
    try:
        return library if any(_counts(name) for name in os.listdir(library / "osbuild")) else SDK
    except OSError:
        return SDK


def sdk_for(module: Module) -> Path:
    """Return what ``module`` imports as ``osbuild`` from; see :func:`sdk_of`."""
    return sdk_of(module.path.parent.parent)


def is_ours(module: Module) -> bool:
    """Tell whether ``module`` is one of those that come with the program, or a copy of it."""
    try:
        own = _own_library().module(module.kind, module.name)
    except ModuleError:
        return False
    return own is not None and (own.path == module.path or own.digest == module.digest)


@cache
def _own_library() -> Library:
    return Library(default_library())


def sdk_digest(libraries: Iterable[Path]) -> str:
    """Return a digest of what modules of ``libraries`` import as ``osbuild``."""
    packages = dict.fromkeys(sdk_of(library) for library in libraries)
    digests = [directory_digest(package / "osbuild") for package in packages]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def directory_digest(directory: Path) -> str:
    """Return a digest of the files below ``directory``, names and contents, but for what Python makes of them."""
    state = hashlib.sha256()
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(filter(_counts, folders))
        for path in (Path(folder, name) for name in sorted(filter(_counts, files))):
            try:
                data = path.read_bytes()
            except OSError:
                # Modules cannot read it either.
                continue
            state.update(f"{path.relative_to(directory)} {len(data)}\n".encode(errors="surrogateescape"))
            state.update(data)
    return state.hexdigest()


def _counts(name: str) -> bool:
    # A directory that has to be empty is kept in version control by a hidden file.
    return name != "__pycache__" and not name.startswith(".")
