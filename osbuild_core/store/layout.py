"""The directories of a store, and what else may be where we are told to put one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from osbuild_core.model.errors import StoreError

_NAME = "store.json"
_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A build store; backups may leave it out.\n"

# What osbuild keeps in a store of its own, in its newer and older forms.
_FOREIGN = ("cache.info", "cache.lock", "refs", "stage")


def lay_out(path: Path, format_: int, *, create: bool = True) -> dict[str, str]:
    """Make the store at ``path`` if it is none yet; returns the names of its objects and tmp directories.

    A store that osbuild made is used for its source files; our objects go beside its own. Raises StoreError
    (``store.none``: without ``create``, where there is no store of either kind).
    """
    try:
        names = _read(path, format_)
    except NotADirectoryError:
        raise StoreError(
            f"the store {path} is not a directory", code="store.not-a-directory", hint="name another one"
        ) from None
    if names is None:
        foreign = any(os.path.lexists(path / name) for name in _FOREIGN)
        if not (create or foreign or _has_source_files(path / "sources")):
            raise StoreError(
                f"there is no store at {path}",
                code="store.none",
                hint="a build makes one; --store or OSBUILD_CORE_STORE name another",
            )
        path.mkdir(parents=True, exist_ok=True)
        prefix = "core-" if foreign else ""
        names = {"objects": f"{prefix}objects", "tmp": f"{prefix}tmp"}
        _write(path / _NAME, json.dumps({"format": format_, **names}) + "\n")
        if not os.path.lexists(path / _TAG):
            _write(path / _TAG, _TAG_TEXT)
    # Looking is for everybody.
    if create and not os.access(path, os.W_OK):
        raise StoreError(
            f"the store {path} cannot be written to",
            code="store.read-only",
            hint="name a store directory that you may write to",
        )
    # One look tells whether the rest is there: it is made last.
    if not os.path.isdir(path / names["tmp"] / "empty-layer"):
        for name in (names["objects"], "sources", "logs", f"{names['tmp']}/empty-layer"):
            (path / name).mkdir(parents=True, exist_ok=True)
    return names


def _has_source_files(path: Path) -> bool:
    """Tell whether ``path`` is laid out as the ``sources`` of a store: a directory for each content type, all of
    which have a dotted name. Many a directory that is no store has one called ``sources``."""
    try:
        with os.scandir(path) as entries:
            return any("." in entry.name.lstrip(".") and entry.is_dir() for entry in entries)
    except OSError:
        return False


def _read(path: Path, format_: int) -> dict[str, str] | None:
    try:
        text = (path / _NAME).read_bytes()
    except FileNotFoundError:
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(str(path)) from None
        return None
    try:
        content = json.loads(text)
        found = int(content["format"])
        names = {"objects": str(content["objects"]), "tmp": str(content["tmp"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(
            f"{path / _NAME} is not what a store has", code="store.format", hint="name another directory"
        ) from None
    if found > format_:
        raise StoreError(
            f"the store {path} has format {found}; this program knows {format_}",
            code="store.format",
            hint="use a newer osbuild-core, or another store directory",
        )
    if any(not name or "/" in name or name.startswith(".") for name in names.values()):
        raise StoreError(
            f"{path / _NAME} is not what a store has", code="store.format", hint="name another directory"
        )
    return names


def _write(path: Path, text: str) -> None:
    # Renamed into place: two processes may open the same new store, and one may be killed.
    new = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    new.write_text(text)
    new.replace(path)
