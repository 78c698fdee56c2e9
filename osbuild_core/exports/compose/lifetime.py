"""How long composes live: pure rules over records (ODCS 0.9.2: models.transition, views.patch, cleanup)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.parsing import Renewal
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import State

GENERATING = "Compose is generating"
LONGEST_WAIT = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about a compose. Times are all naive UTC or all with a zone.

    ``pungi_compose_id`` is the id in its metadata, ``reused_id`` the compose whose files it shares.
    """

    id: int
    request: ComposeRequest
    state: State
    time_submitted: datetime
    time_to_expire: datetime
    state_reason: str | None = None
    reused_id: int | None = None
    time_started: datetime | None = None
    pungi_compose_id: str | None = None
    removed_by: str | None = None

    @property
    def directory_id(self) -> int:
        """The number in the names of its directory and of its ``.repo`` file."""
        return self.id if self.reused_id is None else self.reused_id


def time_to_expire_when_over(record: Record, now: datetime) -> datetime:
    """Return when a compose expires that is done or failed ``now``: as long after that as it was to live."""
    return now + max(timedelta(0), record.time_to_expire - record.time_submitted)


@dataclass(frozen=True, slots=True)
class Extension:
    """The composes ``ids`` live on until ``time_to_expire``, those that live longer as they are."""

    ids: tuple[int, ...]
    time_to_expire: datetime


@dataclass(frozen=True, slots=True)
class Regeneration:
    """A new compose has to be made. ``same_content`` tells that it takes what the old one locked."""

    request: ComposeRequest
    same_content: bool
    seconds_to_live: int


def renewal(
    record: Record, asked: Renewal, related: Iterable[Record], now: datetime, seconds_to_live: int
) -> Extension | Regeneration:
    """Return what renewing ``record`` means; ``seconds_to_live`` holds where ``asked`` says nothing.

    ``related`` are other records; those that share files count. Raises ComposeError ``compose.request`` for a
    compose that waits or is generated.
    """
    seconds = seconds_to_live if asked.seconds_to_live is None else asked.seconds_to_live
    if record.state in (State.wait, State.generating):
        raise ComposeError(f"compose {record.id} is not finished", code="compose.request", hint="wait for it")
    request = record.request
    other_label = asked.label is not None and asked.label != request.label
    other_keys = asked.sigkeys is not None and set(asked.sigkeys) != set(request.sigkeys)
    other_content = other_keys or asked.builds is not None or asked.modules is not None
    if record.state is State.done and not (other_label or other_content):
        sharing = {record.id, record.directory_id}
        ids = {other.id for other in related if other.id in sharing or other.reused_id in sharing}
        return Extension(
            tuple(sorted(ids | {record.id})), max(record.time_to_expire, now + timedelta(seconds=seconds))
        )
    renewed = dataclasses.replace(
        request,
        label=request.label if asked.label is None else asked.label,
        sigkeys=request.sigkeys if asked.sigkeys is None else asked.sigkeys,
        builds=request.builds if asked.builds is None else asked.builds,
        modules=request.modules if asked.modules is None else asked.modules,
        respin_of=record.pungi_compose_id or request.respin_of,
    )
    return Regeneration(renewed, not other_content, seconds)


def extended(record: Record, extension: Extension) -> datetime:
    """Return until when ``record`` lives with that extension: never shorter than before."""
    if record.id not in extension.ids:
        return record.time_to_expire
    return max(record.time_to_expire, extension.time_to_expire)


def is_expired(record: Record, now: datetime) -> bool:
    """Tell whether the compose is to become ``removed``."""
    return record.state in (State.done, State.failed) and record.time_to_expire < now


def removal_reason(record: Record) -> str:
    """Return the ``state_reason`` of the removed compose."""
    reason = f"Removed by {record.removed_by}." if record.removed_by else "Compose is expired."
    return f"{record.state_reason}\n{reason}" if record.state_reason else reason


def owns_files(record: Record) -> bool:
    """Tell whether the files go when the compose is removed: shared ones belong to the compose that made them."""
    return record.reused_id is None


def is_orphan(name: str, records: dict[int, State]) -> bool:
    """Tell whether a directory ``odcs-N`` or ``latest-odcs-N-…`` has no compose, or a removed one.

    Whatever has another name is none of ours.
    """
    word = name.removeprefix("latest-")
    prefix, _, rest = word.partition("-")
    digits = rest.partition("-")[0]
    if prefix != "odcs" or not digits.isdecimal():
        return False
    return records.get(int(digits), State.removed) is State.removed


def is_stuck(record: Record, now: datetime, generating: timedelta) -> str | None:
    """Return why a compose has to be given up: it waits for three days, or is generated for twice ``generating``."""
    if record.state is State.wait and record.time_submitted + LONGEST_WAIT < now:
        return "Compose is waiting for more than three days."
    started = record.time_started
    if record.state is State.generating and started is not None and started + 2 * generating < now:
        return "Compose is generating for too long."
    return None
