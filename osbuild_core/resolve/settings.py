"""What a caller of :func:`osbuild_core.resolve.resolve` can set, beside the template and its variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


def default_state_dir() -> Path:
    """Return where package indexes are kept between runs: ``$XDG_CACHE_HOME/osbuild-core/apt``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A relative value is to be ignored, says the XDG base directory specification.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "osbuild-core" / "apt"


@dataclass(frozen=True, slots=True)
class ResolveSettings:
    """``snapshot`` is a URL that takes the place of the machine's archive; ``state_dir`` keeps the indexes.

    ``offline`` uses the indexes of the last run as they are. ``apt_sources`` is the directory that the
    machine's entries, keys, credentials and network settings for apt are read from. ``root`` is the directory
    that all files of the template have to be in (None: they may be anywhere). With ``environment_proxy`` the proxy
    that the environment names counts, and none of the machine's settings for apt.
    """

    snapshot: str | None = None
    state_dir: Path = field(default_factory=default_state_dir)
    offline: bool = False
    apt_sources: Path = Path("/etc/apt")
    root: Path | None = None
    environment_proxy: bool = False
