"""A compose as clients see it (ODCS 0.9.2, models.Compose.json)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from osbuild_core.exports.compose.request import columns
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.server.composes import record
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.tables import Compose


def time_text(value: datetime | None) -> str | None:
    """Return a time as ODCS writes it: UTC, whole seconds."""
    return None if value is None else value.replace(microsecond=0).isoformat() + "Z"


def target_url(settings: ServerSettings, base: str, target_dir: str) -> str:
    """Return the address of a target directory, "" where it has none. ``base`` is that of the service."""
    if target_dir == "default":
        return f"{base}/composes"
    known = settings.target_dirs.get(target_dir)
    return (known.url or "").rstrip("/") if known else ""


def compose_document(
    row: Compose, settings: ServerSettings, base: str, *, whole: bool = False
) -> dict[str, Any]:
    """Return the JSON of a compose; ``whole`` adds ``pungi_config_dump``, for which it has to be loaded."""
    mine = record(row)
    known = row.target_dir == "default" or row.target_dir in settings.target_dirs
    top, repo, repofile = _addresses(row, target_url(settings, base, row.target_dir))
    document = {
        **columns(mine.request),
        "id": row.id,
        "owner": row.owner,
        "state": row.state,
        "state_name": State(row.state).name,
        "state_reason": row.state_reason,
        "time_to_expire": time_text(row.time_to_expire),
        "time_submitted": time_text(row.time_submitted),
        "time_started": time_text(row.time_started),
        "time_done": time_text(row.time_done),
        "time_removed": time_text(row.time_removed),
        "removed_by": row.removed_by,
        "result_repo": repo,
        "result_repofile": repofile,
        "toplevel_url": top,
        "koji_task_id": row.koji_task_id,
        "pungi_compose_id": row.pungi_compose_id,
        "target_dir": row.target_dir if known else "unknown",
    }
    if whole:
        document["pungi_config_dump"] = None if row.locked is None else json.dumps(row.locked)
    return document


def _addresses(row: Compose, base: str) -> tuple[str, str, str]:
    """Return the addresses of the directory, the repository and the ``.repo`` file.

    They hold from the beginning, as clients read the log of what is being made.
    """
    if not base:
        return "", "", ""
    id = row.id if row.reused_id is None else row.reused_id
    top = f"{base}/odcs-{id}"
    if row.result_repofile is not None or row.result_repo is not None:
        paths = (row.result_repo or "", row.result_repofile or "")
        return top, *((f"{base}/{path}" if path else "") for path in paths)  # type: ignore[return-value]
    if row.source_type == SourceType.raw_config:
        return top, "", ""
    return top, f"{top}/compose/Temporary", f"{top}/compose/Temporary/odcs-{id}.repo"
