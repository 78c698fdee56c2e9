"""Garbage collection on request: what killed processes left, what is broken, what is old or too much."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from osbuild_core.store.entry import remove_stale, stale
from osbuild_core.store.eviction import Eviction, evict
from osbuild_core.store.object import allocated
from osbuild_core.store.sources import SourceCache
from osbuild_core.store.table import ObjectTable
from osbuild_core.store.verify import survey


class Removed(NamedTuple):
    """``kind`` is "leftover", "log" or "broken object"; ``size`` is in bytes on the disk."""

    kind: str
    name: str
    size: int


class Collection(NamedTuple):
    """What a collection deleted, or would have: garbage, and what was evicted to make room."""

    garbage: tuple[Removed, ...]
    evicted: Eviction

    @property
    def freed(self) -> int:
        return sum(removed.size for removed in self.garbage) + self.evicted.freed


def collect(
    table: ObjectTable,
    sources: SourceCache,
    logs: Path,
    *,
    max_size: int | None = None,
    unused_since: float | None = None,
    dry_run: bool = False,
) -> Collection:
    """Delete what nobody can use, then evict; see :func:`evict`. Logs go when they are older than ``unused_since``.

    What is in use stays. ``dry_run`` only tells what would be deleted.
    """
    garbage = [Removed("leftover", path.name, allocated(str(path))) for path in stale(table.tmp)]
    good, reasons = survey(table.directory)
    garbage += [Removed("broken object", key, allocated(str(table.directory / key))) for key in reasons]
    if not dry_run:
        remove_stale(table.tmp)
        for key in reasons:
            # Looking at an object deletes it where it cannot be used.
            table.usable(key)
        places = {"leftover": table.tmp, "broken object": table.directory}
        garbage = [one for one in garbage if not os.path.lexists(places[one.kind] / one.name)]
    if unused_since is not None:
        garbage += _old_logs(logs, unused_since, dry_run)
    evicted = evict(
        table, sources, good.values(), max_size=max_size, unused_since=unused_since, dry_run=dry_run
    )
    return Collection(tuple(garbage), evicted)


def _old_logs(logs: Path, before: float, dry_run: bool) -> list[Removed]:
    found = []
    with os.scandir(logs) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.name.endswith(".log") and status.st_mtime < before:
                found.append(Removed("log", entry.name, status.st_blocks * 512))
                if not dry_run:
                    os.unlink(entry.path)
    return found
