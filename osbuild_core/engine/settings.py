"""What is constant for a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


def default_jobs() -> int:
    """Return how many pipelines run at once unless told: one for each processor that we may use."""
    return max(1, len(os.sched_getaffinity(0)))


class Settings(NamedTuple):
    """The settings of a session.

    ``library`` None is the library that comes with the program. ``backend`` forces the store's backend.
    ``cache_max_size`` is in bytes (None: no limit), ``stage_timeout`` in seconds. ``mirrors`` maps URL
    prefixes to what else to try in their place. ``strict`` accepts what osbuild accepts, and no more.
    """

    store: Path = Path(".osbuild")
    library: Path | None = None
    backend: str | None = None
    cache_max_size: int | None = None
    jobs: int = default_jobs()
    keep_going: bool = False
    stage_timeout: float | None = None
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    strict: bool = False
