"""The messages between the engine and an export module: what goes where, how it goes, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from osbuild_core.model.errors import Path
from osbuild_core.protocol.jsoncomm import ProtocolError


def export(
    tree: str,
    output: str | None,
    options: Mapping[str, Any],
    manifest: str | None = None,
    libraries: Sequence[str] = (),
    sources: str | None = None,
) -> dict[str, Any]:
    """Build the arguments of ``export``: ``tree`` is where the finished tree can be read, ``output`` the directory
    for files (None: there is none), ``manifest`` a file with the manifest that the export stands in,
    ``libraries`` where its modules come from before the program's own library, and ``sources`` the directory of the
    store's source files, by content type and checksum."""
    return {
        "tree": tree,
        "output": output,
        "options": dict(options),
        "manifest": manifest,
        "libraries": list(libraries),
        "sources": sources,
    }


class Progress(NamedTuple):
    """How far an export is: ``done`` of ``total`` bytes (0: unknown), and what it is doing."""

    done: int
    total: int
    message: str


def parse_progress(value: Any) -> Progress | None:
    """Read a signal of an export; None for one that is not about progress."""
    data = value.get("progress") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        return None
    try:
        return Progress(int(data.get("done", 0)), int(data.get("total", 0)), str(data.get("message", "")))
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"an export reports unreadable progress: {error}") from error


class Exported(NamedTuple):
    """The reply to ``export``. ``data`` is for whoever comes next, also where only a part of it was done; ``error``
    is None where all was. ``place`` is where in the options the reason is."""

    data: Mapping[str, Any] = MappingProxyType({})
    error: str | None = None
    hint: str | None = None
    place: Path = ()


def parse_exported(reply: Any) -> Exported:
    """Read the reply to ``export``. Raises ProtocolError for one of another form."""
    if not isinstance(reply, dict) or not isinstance(reply.get("data", {}), dict):
        raise ProtocolError(f"an export sent an unexpected reply: {str(reply)[:200]}")
    place = reply.get("place") or ()
    if not isinstance(place, list | tuple) or not all(isinstance(part, str | int) for part in place):
        raise ProtocolError(f"an export sent an unexpected place: {str(place)[:200]}")
    error, hint = reply.get("error"), reply.get("hint")
    return Exported(
        reply.get("data", {}), str(error) if error else None, str(hint) if hint else None, tuple(place)
    )
