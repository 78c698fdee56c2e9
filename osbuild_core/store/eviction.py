"""Brings the store down to a size: least recently used first, layers before what they lie on."""

from __future__ import annotations

import heapq
import itertools
import os
from collections import Counter
from contextlib import suppress

from osbuild_core.store import locks
from osbuild_core.store import object as objects
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.sources import SourceCache, SourceFile
from osbuild_core.store.table import ObjectTable

_numbers = itertools.count()


def evict(table: ObjectTable, sources: SourceCache, max_size: int) -> int:
    """Delete until objects and sources take at most ``max_size`` bytes; returns how many were freed."""
    infos = {key: info for key in table.all_keys() if (info := table.usable(key))}
    sizes = {key: info.size() for key, info in infos.items()}
    files = list(sources.files())
    total = sum(sizes.values()) + sum(file.size for file in files)
    children = Counter(info.parent for info in infos.values() if info.parent is not None)
    # (pinned, last used, a number so that no two compare further, what)
    heap: list[tuple[bool, float, int, ObjectInfo | SourceFile]] = []
    for file in files:
        _push(heap, file)
    for info in infos.values():
        if not children[info.key]:
            _push(heap, info)
    freed = 0
    while heap and total - freed > max_size:
        what = heapq.heappop(heap)[3]
        if isinstance(what, SourceFile):
            freed += what.size if sources.evict(what) else 0
            continue
        if not _evict_object(table, what):
            continue
        freed += sizes[what.key]
        if what.parent is not None:
            children[what.parent] -= 1
            if not children[what.parent] and what.parent in infos:
                _push(heap, infos[what.parent])
    return freed


def _push(
    heap: list[tuple[bool, float, int, ObjectInfo | SourceFile]], what: ObjectInfo | SourceFile
) -> None:
    pinned = isinstance(what, ObjectInfo) and what.pinned
    heapq.heappush(heap, (pinned, what.last_used, next(_numbers), what))


def _evict_object(table: ObjectTable, info: ObjectInfo) -> bool:
    """Delete an object that nobody holds and nothing lies on."""
    path = str(info.path / objects.FILE)
    fd = -1
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    if fd < 0:
        return False
    try:
        if not (locks.try_exclusive(fd) and locks.is_still(fd, path)):
            return False
        # Whoever works on it holds it, so with the lock in our hands no child can come any more.
        if os.fstat(fd).st_mtime > info.last_used or table.children(info.key):
            return False
        table.take_out(info.key)
        return True
    finally:
        os.close(fd)
