"""When a finished compose serves a new request: pure functions over records (ODCS 0.9.2, backend.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from osbuild_core.exports.compose.lifetime import GENERATING, Record
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType, State

AS_SETS = (
    *("packages", "builds", "sigkeys", "arches", "lookaside_repos", "multilib_arches", "modular_koji_tags"),
    *("scratch_modules", "modules", "scratch_build_tasks", "parent_pungi_compose_ids"),
)
"""Fields that have to have the same elements. Label, compose type, owner and time to live do not matter."""

EXACTLY = (
    *(
        "source",
        "flags",
        "results",
        "module_defaults_url",
        "module_defaults_commit",
        "respin_of",
        "target_dir",
    ),
    *("multilib_method", "base_module_br_name", "base_module_br_stream"),
    *("base_module_br_stream_version_lte", "base_module_br_stream_version_gte"),
)
"""Fields that have to be equal, the source as it is after resolving."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """The compose ``id`` serves; both live until ``time_to_expire``. ``done``: its files are there already."""

    id: int
    time_to_expire: datetime
    done: bool


def candidates(mine: Record, others: Iterable[Record]) -> list[Record]:
    """Return those of ``others`` that might serve, best first: done ones, the newest first, then those that are
    being generated, the oldest first."""
    possible = [
        other
        for other in others
        if other.request.source_type is mine.request.source_type
        and other.id < mine.id
        and other.reused_id is None
    ]
    done = [other for other in possible if other.state is State.done]
    generating = [o for o in possible if o.state is State.generating and o.state_reason == GENERATING]
    return sorted(done, key=lambda o: -o.id) + sorted(generating, key=lambda o: o.id)


def differing(mine: ComposeRequest, other: ComposeRequest) -> str | None:
    """Return the first field because of which the one cannot serve the other, None where all agree."""
    for name in EXACTLY:
        if getattr(mine, name) != getattr(other, name):
            return name
    for name in AS_SETS:
        if set(getattr(mine, name)) != set(getattr(other, name)):
            return name
    return None


def event_allows(
    mine: ComposeRequest, other: ComposeRequest, tag_changed: Callable[[str, int], bool] | None = None
) -> bool:
    """Tell whether the revision of the other's source is right.

    It must not be newer than mine; for a tag it serves unless ``tag_changed(tag, event)`` since then, for all
    others it has to be the same.
    """
    ours, theirs = mine.koji_event, other.koji_event
    if ours is not None and theirs is not None and ours < theirs:
        return False
    if ours == theirs:
        return True
    if mine.source_type is not SourceType.tag or ours is None or theirs is None:
        return False
    return tag_changed is not None and not any(tag_changed(tag, theirs) for tag in mine.sources())


def choose(
    mine: Record, others: Iterable[Record], tag_changed: Callable[[str, int], bool] | None = None
) -> Reuse | None:
    """Return the compose that serves ``mine``, whose request has been resolved; None where one has to be made."""
    request = mine.request
    if request.has("no_reuse") or request.source_type is SourceType.raw_config:
        return None
    for other in candidates(mine, others):
        if differing(request, other.request) is None and event_allows(request, other.request, tag_changed):
            until = max(mine.time_to_expire, other.time_to_expire)
            return Reuse(other.id, until, other.state is State.done)
    return None
