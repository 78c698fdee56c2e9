"""What the written jobs need to know beyond the plan."""

from __future__ import annotations

from typing import NamedTuple


class Resources(NamedTuple):
    """What each job asks for: processors and ``memory`` in bytes. None: what it gets where it runs."""

    cpus: int | None = None
    memory: int | None = None

    @property
    def mebibytes(self) -> int | None:
        """``memory`` in MiB, rounded up, which is what schedulers count in."""
        return None if self.memory is None else -(-self.memory // (1 << 20))


class PlannedSettings(NamedTuple):
    """``name`` is what the whole is called; ``program`` is the command, which may have words before it.

    ``store`` is the default of the jobs' store directory (None: that of the form), ``remote_cache`` the URL of
    the cache that they share (None: none, or that of the form). ``libraries`` are module libraries before the
    program's own. ``architecture`` is that of the machines, as ``uname -m`` has it (empty: any).
    """

    name: str = "manifest"
    program: str = "osbuild-core"
    store: str | None = None
    remote_cache: str | None = None
    libraries: tuple[str, ...] = ()
    resources: Resources = Resources()
    architecture: str = ""
