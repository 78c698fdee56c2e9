"""What is constant for a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from osbuild_core.model.manifest import Stage


def default_jobs() -> int:
    """Return how many pipelines run at once unless told: one for each processor that we may use."""
    return max(1, len(os.sched_getaffinity(0)))


class Pause(NamedTuple):
    """Where a shell is opened in the sandbox before the stage runs: ``stage`` is a type, an id or ``*``.

    ``output`` is the descriptor that the shell prints to, where it is not on a terminal. ``mark`` enters the
    keys of such stages, so that they run even if the store has them, and nobody takes what comes out of it for
    what the manifest says. It has to be another one each time.
    """

    stage: str
    output: int
    mark: str

    def at(self, stage: Stage) -> bool:
        return self.stage in ("*", stage.type, stage.id)


class Settings(NamedTuple):
    """The settings of a session.

    ``library`` None is the library that comes with the program; of several, the first that has a module counts.
    ``backend`` forces the store's backend. ``cache_max_size`` is in bytes (None: no limit), ``stage_timeout``
    in seconds. ``mirrors`` maps URL prefixes to what else to try in their place. ``strict`` accepts what
    osbuild accepts, and no more. ``trace`` asks for events about every program that is started. ``pause`` asks for
    a shell before stages run. ``remote_cache`` is the address of a cache that machines share, such as
    ``file:///shared/cache``; ``remote_cache_read_only`` puts nothing there. ``fence`` is ``FILE:TOKEN``, see
    :mod:`osbuild_core.engine.fence`. ``host`` is the fingerprint of the machine that planned the build, where that
    is another one: keys say that host, and what runs on this one's own ``/usr`` is refused if they differ.
    ``user_namespace`` builds as root of a user namespace, too, where stages that need devices fail.
    """

    store: Path = Path(".osbuild")
    library: Path | tuple[Path, ...] | None = None
    backend: str | None = None
    cache_max_size: int | None = None
    jobs: int = default_jobs()
    keep_going: bool = False
    stage_timeout: float | None = None
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    strict: bool = False
    trace: bool = False
    pause: Pause | None = None
    remote_cache: str | None = None
    remote_cache_read_only: bool = False
    fence: str | None = None
    host: str | None = None
    user_namespace: bool = False
