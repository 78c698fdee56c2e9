"""Finds what is broken in a store: objects that cannot be used, source files that are not what their name says.

Only looks, so it may run beside a build: an object that goes away meanwhile is not missed, and reading a
source file does not count as using it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from osbuild_core.store import object as objects
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.sources import FILES, SourceCache, SourceFile
from osbuild_core.store.table import ObjectTable

_CHECKSUM = re.compile(r"(md5|sha1|sha256|sha384|sha512):([0-9a-f]{32,128})")


class Broken(NamedTuple):
    """``kind`` is "object" or "source"; ``name`` a key, or content type and checksum; ``removed`` by a repair."""

    kind: str
    name: str
    reason: str
    removed: bool = False


class Verification(NamedTuple):
    """What was looked at, and what is wrong with it. ``unknown`` counts source items that have no checksum
    in their name to hold them to; ``size`` is in bytes, of the source files read."""

    objects: int
    sources: int
    unknown: int
    size: int
    broken: tuple[Broken, ...]


def verify(table: ObjectTable, sources: SourceCache, *, repair: bool) -> Verification:
    """Check all objects and source files; ``repair`` deletes what is broken, unless it is in use."""
    good, reasons = survey(table.directory)
    broken = []
    for key, reason in reasons.items():
        # Looking at an object deletes it where it cannot be used. One that can was put there meanwhile.
        if repair and table.usable(key) is not None:
            continue
        broken.append(Broken("object", key, reason, repair and not os.path.lexists(table.directory / key)))
    items = list(sources.files())
    files = [item for item in items if _checkable(item)]
    for file, reason in _wrong(files):
        gone = repair and sources.evict(file)
        broken.append(Broken("source", f"{FILES}/{file.path.name}", reason, gone))
    return Verification(
        len(good) + len(reasons),
        len(files),
        len(items) - len(files),
        sum(file.size for file in files),
        tuple(broken),
    )


def survey(directory: Path) -> tuple[dict[str, ObjectInfo], dict[str, str]]:
    """Return the objects in ``directory`` that can be used, and why each of the others cannot."""
    infos: dict[str, ObjectInfo] = {}
    reasons: dict[str, str] = {}
    for key in sorted(os.listdir(directory)):
        if key.startswith("."):
            continue
        found = _look(directory / key)
        if isinstance(found, ObjectInfo):
            infos[key] = found
        elif found is not None:
            reasons[key] = found
    # From the bottom up, so that what lies on something broken is broken as well.
    for info in sorted(infos.values(), key=lambda info: info.depth):
        reason = _unfounded(info, infos, reasons)
        # Layers are deleted after those that lie on them: the parent of one that is still there should be.
        if reason is not None and isinstance(_look(info.path), ObjectInfo):
            reasons[info.key] = reason
    return {key: info for key, info in infos.items() if key not in reasons}, reasons


def _look(path: Path) -> ObjectInfo | str | None:
    """Return what is at ``path``: an object, what is wrong with it, or None where it has just gone."""
    try:
        fd = os.open(path / objects.FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if not os.path.lexists(path):
            return None
        return f"{objects.FILE} cannot be opened: {error.strerror}"
    try:
        info = objects.read(fd, path)
    except OSError as error:
        return f"{objects.FILE} cannot be read: {error.strerror}"
    finally:
        os.close(fd)
    if info is None:
        return f"{objects.FILE} is not what a store writes"
    if not os.path.isdir(info.layer) or os.path.islink(info.layer):
        return "its layer is missing" if os.path.lexists(path) else None
    if info.boot != objects.boot_id() and not info.durable:
        return "it was not on the disk when the machine went down"
    if objects.is_incomplete_copy(info):
        return "its extended attributes are lost: the store was copied without them"
    return info


def _unfounded(info: ObjectInfo, infos: dict[str, ObjectInfo], reasons: dict[str, str]) -> str | None:
    if info.parent is None:
        return None
    short = info.parent[:12]
    if info.parent in reasons:
        return f"it lies on {short}, which is broken"
    parent = infos.get(info.parent)
    if parent is None:
        return f"it lies on {short}, which is missing"
    if parent.serial != info.parent_serial:
        return f"it lies on an earlier {short}"
    return None


def _checkable(file: SourceFile) -> bool:
    """Tell whether the name of a source file says what has to be in it."""
    return file.path.parent.name == FILES and _CHECKSUM.fullmatch(file.path.name) is not None


def _wrong(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, str]]:
    """Yield those of ``files`` that are not what their names say, and why; several are read at a time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        for file, reason in zip(files, pool.map(_fault, files), strict=True):
            if reason is not None:
                yield file, reason


def _fault(file: SourceFile) -> str | None:
    """Return what is wrong with a source file, None for nothing or where it has gone."""
    algorithm, _, wanted = file.path.name.partition(":")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        try:
            fd = os.open(file.path, flags | os.O_NOATIME)
        except PermissionError:
            # Only the owner of a file may read it without a trace.
            fd = os.open(file.path, flags)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return "it is no regular file"
            with open(fd, "rb", closefd=False) as opened:
                found = hashlib.file_digest(opened, algorithm).hexdigest()
        finally:
            os.close(fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if found == wanted else f"its content has the checksum {algorithm}:{found}"
