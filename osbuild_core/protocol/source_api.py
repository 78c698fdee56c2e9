"""The messages between the engine and a source: what to fetch, how it goes, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from osbuild_core.model.results import SourceItemResult
from osbuild_core.protocol.jsoncomm import ProtocolError


def download(items: Mapping[str, Any], options: Mapping[str, Any], cache: str) -> dict[str, Any]:
    """Build the arguments of ``download``: ``cache`` is the directory with one directory per content type."""
    return {"items": dict(items), "options": dict(options), "cache": cache, "output": None, "checksums": []}


class Progress(NamedTuple):
    """How far a download is: items done of all, bytes received of those expected (0: unknown)."""

    done: int
    total: int
    received: int
    expected: int
    item: SourceItemResult | None


def parse_progress(value: Any) -> Progress | None:
    """Read a signal of a source; None for one that is not about progress."""
    data = value.get("progress") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        return None
    try:
        item = _item(data["result"]) if data.get("result") else None
        return Progress(
            int(data["done"]), int(data["total"]), int(data["received"]), int(data["expected"]), item
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a source reports unreadable progress: {error}") from error


class Downloaded(NamedTuple):
    """The reply to ``download``."""

    success: bool
    items: tuple[SourceItemResult, ...]
    output: str


def parse_downloaded(reply: Any, checksums: Sequence[str]) -> Downloaded:
    """Read the reply to ``download``. A source that only says nothing has fetched all of ``checksums``.

    Raises ProtocolError for a reply of another form.
    """
    if reply is None:
        return Downloaded(True, tuple(SourceItemResult(checksum, True) for checksum in checksums), "")
    if not isinstance(reply, dict) or not isinstance(reply.get("results") or [], list):
        raise ProtocolError(f"a source sent an unexpected reply: {str(reply)[:200]}")
    items = tuple(_item(result) for result in reply.get("results") or [])
    success = bool(reply.get("success", True)) and all(item.success for item in items)
    return Downloaded(success, items, str(reply.get("output") or ""))


def _item(result: Any) -> SourceItemResult:
    if not isinstance(result, dict):
        raise ProtocolError(f"a source sent an unexpected result: {str(result)[:200]}")
    # Where the checksum stands has changed once: beside the others, or in the metadata.
    about = {**(result.get("metadata") or {}), **result}
    error = result.get("error")
    return SourceItemResult(
        checksum=str(about.get("checksum", "")),
        success=bool(result.get("success", not error)),
        cached=bool(about.get("cached", False)),
        error=str(error) if error else None,
    )
