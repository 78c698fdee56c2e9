"""Brings the store down to a size: least recently used first, layers before what they lie on."""

from __future__ import annotations

import heapq
import itertools
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from osbuild_core.store import locks
from osbuild_core.store import object as objects
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.sources import SourceCache, SourceFile
from osbuild_core.store.table import ObjectTable

_numbers = itertools.count()


class Eviction(NamedTuple):
    """What was evicted, with its size in bytes; ``left`` is the size of all that stays."""

    objects: tuple[tuple[ObjectInfo, int], ...]
    sources: tuple[SourceFile, ...]
    left: int

    @property
    def freed(self) -> int:
        return sum(size for _, size in self.objects) + sum(file.size for file in self.sources)


def evict(
    table: ObjectTable,
    sources: SourceCache,
    infos: Iterable[ObjectInfo],
    *,
    max_size: int | None = None,
    unused_since: float | None = None,
    dry_run: bool = False,
) -> Eviction:
    """Delete of ``infos`` and of the sources what was not used since ``unused_since`` (seconds since 1970), then
    until all takes at most ``max_size`` bytes. Only the latter deletes what is pinned, and that last.

    ``dry_run`` only tells what would be deleted.
    """
    by_key = {info.key: info for info in infos}
    sizes = {key: info.size() for key, info in by_key.items()}
    files = list(sources.files())
    total = sum(sizes.values()) + sum(file.size for file in files)
    children = Counter(info.parent for info in by_key.values() if info.parent is not None)
    # (pinned, last used, a number so that no two compare further, what)
    heap: list[tuple[bool, float, int, ObjectInfo | SourceFile]] = []
    for file in files:
        _push(heap, file)
    for info in by_key.values():
        if not children[info.key]:
            _push(heap, info)
    gone: dict[str, ObjectInfo] = {}
    deleted: list[SourceFile] = []
    while heap:
        pinned, last_used, _, what = heapq.heappop(heap)
        old = unused_since is not None and last_used < unused_since and not pinned
        if not old and (max_size is None or total <= max_size):
            # What comes later was used later, or is pinned.
            break
        if isinstance(what, SourceFile):
            if sources.evict(what, dry_run=dry_run):
                deleted.append(what)
                total -= what.size
            continue
        if not _evict_object(table, what, gone, dry_run):
            continue
        gone[what.key] = what
        total -= sizes[what.key]
        if what.parent is not None:
            children[what.parent] -= 1
            if not children[what.parent] and what.parent in by_key:
                _push(heap, by_key[what.parent])
    return Eviction(tuple((info, sizes[key]) for key, info in gone.items()), tuple(deleted), total)


def _push(
    heap: list[tuple[bool, float, int, ObjectInfo | SourceFile]], what: ObjectInfo | SourceFile
) -> None:
    pinned = isinstance(what, ObjectInfo) and what.pinned
    heapq.heappush(heap, (pinned, what.last_used, next(_numbers), what))


def _evict_object(table: ObjectTable, info: ObjectInfo, gone: Iterable[str], dry_run: bool) -> bool:
    """Delete an object that nobody holds and nothing lies on, apart from what is ``gone``."""
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
        if os.fstat(fd).st_mtime > info.last_used or set(table.children(info.key)) - set(gone):
            return False
        if not dry_run:
            table.take_out(info.key)
        return True
    finally:
        os.close(fd)
