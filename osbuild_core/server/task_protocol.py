"""What a worker and the process that does one piece of work say to each other: JSON, one object a line.

To the process: first the task, then ``{"go": true}`` after ``resolved``, and ``{"pulse": seconds}`` as long as the
worker holds the lease. From it: ``{"resolved": columns}``, ``{"event": kind, "data": …}``, and at the end
``{"done": …}`` or ``{"failed": …}``. One that is confined has no keys: ``{"sign": "clear", "text": …}`` (or
``detached``, ``key``) is answered with ``{"signed": text}``, None where that failed, with the ``reason``.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ComposeTask(TypedDict):
    """``request`` are the columns of a request, ``locked`` what an older compose of the same had, ``settings`` the
    pickled ``ComposeSettings``. The worker ``signs`` for a process that is not to have the key."""

    kind: str
    id: int
    generator: str
    request: dict[str, Any]
    locked: dict[str, Any] | None
    is_resolved: bool
    target_dir: str
    url: str | None
    settings: str
    signs: bool


class BuildTask(TypedDict):
    """``output`` is where exports go."""

    kind: str
    id: int
    manifest: dict[str, Any]
    exports: list[str]
    output: str
    settings: dict[str, Any]


LONGEST = 64 << 20
"""Bytes of one line."""
