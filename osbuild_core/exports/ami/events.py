"""Progress of an export to AWS, as frozen events. Whoever listens only reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Scanned(NamedTuple):
    """The image was read: ``data`` of its ``size`` bytes are not zero."""

    path: str
    sha256: str
    size: int
    data: int
    cached: bool


class UploadStarted(NamedTuple):
    """``total`` bytes are to be sent to ``where``; ``done`` of them are there from an earlier run."""

    where: str
    region: str
    total: int
    done: int


class UploadProgress(NamedTuple):
    """``sent`` bytes in this run, of ``total`` with what was there before."""

    region: str
    sent: int
    total: int


class UploadFinished(NamedTuple):
    region: str
    sent: int


class RegionState(NamedTuple):
    """Something happened in ``region``: ``state`` is a word or two ("copying", "registered")."""

    region: str
    state: str
    what: str = ""
    id: str = ""


class RegionFailed(NamedTuple):
    region: str
    code: str
    message: str


class Warned(NamedTuple):
    message: str


Event = Scanned | UploadStarted | UploadProgress | UploadFinished | RegionState | RegionFailed | Warned
Sink = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """A sink for those who do not listen."""


def document(event: Event) -> dict[str, Any]:
    """Return ``event`` for ``--json``."""
    return {"event": type(event).__name__, **event._asdict()}
