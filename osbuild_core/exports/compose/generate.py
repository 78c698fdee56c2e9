"""The entry points: a request is resolved to what it means now, and becomes a compose in a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest

Log = Callable[[str], None]
"""Gets one line about what is going on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a compose goes: ``target_dir/odcs-<id>``. ``url`` is that of ``target_dir`` (None: a ``file:`` URL).

    ``id`` is the number of the compose.
    """

    target_dir: Path
    id: int
    url: str | None = None

    @property
    def name(self) -> str:
        return f"odcs-{self.id}"

    @property
    def directory(self) -> Path:
        return self.target_dir / self.name


@dataclass(frozen=True, slots=True)
class Result:
    """A compose that is there. Paths are relative to the target directory, empty where there is no such thing.

    ``locked`` is JSON: all that it takes to make the same content again; ``manifest`` the manifest of the engine.
    ``pungi_compose_id`` is the id in its metadata, ``packages`` the number of packages in it.
    """

    directory: Path
    pungi_compose_id: str
    toplevel: str
    result_repo: str
    result_repofile: str
    locked: Mapping[str, Any]
    packages: int
    arches: tuple[str, ...]


def resolve(request: ComposeRequest, settings: ComposeSettings, log: Log | None = None) -> ComposeRequest:
    """Return the request with its source made exact and ``koji_event`` set, as the decision on reuse needs it.

    Reads metadata of repositories from the network. Raises ComposeError.
    """
    raise ComposeError("not there yet", code="compose.unsupported")


def generate(
    request: ComposeRequest,
    place: Place,
    settings: ComposeSettings,
    *,
    locked: Mapping[str, Any] | None = None,
    log: Log | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Make the compose of a resolved request in ``place``; it appears there whole or, but for its logs, not at all.

    ``locked`` is that of an earlier :class:`Result`: the same packages again. What happens is written to
    ``pungi-stdout.log``, why it failed to ``pungi-stderr.log`` in the directory, and to ``log``. ``cancelled`` is
    asked now and then. Needs root, as the engine does. Raises ComposeError.
    """
    raise ComposeError("not there yet", code="compose.unsupported")


def remove(place: Place) -> None:
    """Remove the files of a compose and the links that lead to it; what is not there is no error."""
    raise ComposeError("not there yet", code="compose.unsupported")
