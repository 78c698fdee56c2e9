"""The tables of the service. Times are naive UTC; rows of composes are never deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    literal_column,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigKey = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up in a column of the type INTEGER only."""


_BEGINNING = 100
"""Characters of a text that are in an index."""


def _beginning(name: str) -> ColumnElement[str]:
    # As it stands: only the same expression, numbers included, is found in an index.
    return literal_column(f"substr({name}, 1, {_BEGINNING})", Text)


class Base(DeclarativeBase):
    """Of all tables."""


class Compose(Base):
    """A request and what became of it; the columns of the request are those of ``request.columns``."""

    __tablename__ = "composes"
    __table_args__ = (
        Index("composes_owner", "owner", "id"),
        Index("composes_state", "state", "id"),
        Index("composes_type_state", "source_type", "state", "id"),
        Index("composes_expiry", "state", "time_to_expire"),
        Index("composes_reused", "reused_id"),
        Index("composes_owner_state", "owner", "state", "id"),
        # For lists: each order and each filter, and always the id, so that pages are what they were.
        Index("composes_type", "source_type", "id"),
        Index("composes_kind", "compose_type", "id"),
        Index("composes_event", "koji_event", "id"),
        Index("composes_task", "koji_task_id", "id"),
        Index("composes_submitted", "time_submitted", "id"),
        Index("composes_done", "time_done", "id"),
        Index("composes_removed", "time_removed", "id"),
        Index("composes_expire", "time_to_expire", "id"),
        Index("composes_source", _beginning("source"), "id", "state"),
        Index("composes_label", _beginning("label"), "id"),
        Index("composes_pungi_id", _beginning("pungi_compose_id"), "id"),
    )
    BEGINNING: ClassVar[int] = _BEGINNING
    BEGINNINGS: ClassVar[dict[str, Any]] = {
        name: _beginning(name) for name in ("source", "label", "pungi_compose_id")
    }
    """Of columns whose whole text may be too long for an index: what is in the index."""

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    source_type: Mapped[int]
    source: Mapped[str] = mapped_column(Text)
    koji_event: Mapped[int | None] = mapped_column(BigInteger)
    asked_event: Mapped[int | None] = mapped_column(BigInteger)
    """What ``koji_event`` was when it was asked for: a worker that begins anew looks again."""
    packages: Mapped[str] = mapped_column(Text, default="")
    builds: Mapped[str] = mapped_column(Text, default="")
    sigkeys: Mapped[str] = mapped_column(Text, default="")
    flags: Mapped[int] = mapped_column(default=0)
    results: Mapped[int] = mapped_column(default=1)
    arches: Mapped[str] = mapped_column(Text, default="x86_64")
    multilib_arches: Mapped[str] = mapped_column(Text, default="")
    multilib_method: Mapped[int] = mapped_column(default=0)
    lookaside_repos: Mapped[str] = mapped_column(Text, default="")
    modular_koji_tags: Mapped[str] = mapped_column(Text, default="")
    module_defaults_url: Mapped[str | None] = mapped_column(Text)
    modules: Mapped[str] = mapped_column(Text, default="")
    scratch_modules: Mapped[str] = mapped_column(Text, default="")
    scratch_build_tasks: Mapped[str] = mapped_column(Text, default="")
    parent_pungi_compose_ids: Mapped[str] = mapped_column(Text, default="")
    base_module_br_name: Mapped[str | None] = mapped_column(Text)
    base_module_br_stream: Mapped[str | None] = mapped_column(Text)
    base_module_br_stream_version_lte: Mapped[int | None] = mapped_column(BigInteger)
    base_module_br_stream_version_gte: Mapped[int | None] = mapped_column(BigInteger)
    label: Mapped[str | None] = mapped_column(Text)
    compose_type: Mapped[str] = mapped_column(String(255), default="test")
    target_dir: Mapped[str] = mapped_column(String(255), default="default")
    respin_of: Mapped[str | None] = mapped_column(Text)

    state: Mapped[int] = mapped_column(default=0)
    state_reason: Mapped[str | None] = mapped_column(Text)
    time_submitted: Mapped[datetime] = mapped_column(DateTime)
    time_to_expire: Mapped[datetime] = mapped_column(DateTime)
    time_started: Mapped[datetime | None] = mapped_column(DateTime)
    time_done: Mapped[datetime | None] = mapped_column(DateTime)
    time_removed: Mapped[datetime | None] = mapped_column(DateTime)
    removed_by: Mapped[str | None] = mapped_column(String(255))
    reused_id: Mapped[int | None] = mapped_column(BigInteger)
    attempt: Mapped[str | None] = mapped_column(String(64))
    """Which of the leases for it has made what is in storage of it, as ``queue.attempt`` names them."""
    pungi_compose_id: Mapped[str | None] = mapped_column(Text)
    koji_task_id: Mapped[int | None] = mapped_column(BigInteger)
    result_repo: Mapped[str | None] = mapped_column(Text)
    result_repofile: Mapped[str | None] = mapped_column(Text)
    locked: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    """What it takes to make the same content again; large, so read only where it is asked for."""


class ComposeCount(Base):
    """There are ``n`` composes of a kind, or so many more than other rows say; triggers add rows."""

    __tablename__ = "compose_counts"
    __table_args__ = (Index("compose_counts_owner", "owner", "state"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    source_type: Mapped[int]
    state: Mapped[int]
    compose_type: Mapped[str] = mapped_column(String(255))
    label: Mapped[str | None] = mapped_column(Text)
    n: Mapped[int]


class ComposeSourceCount(Base):
    """As :class:`ComposeCount`, by sources: ``source`` is how they begin, as in the index of composes."""

    __tablename__ = "compose_source_counts"
    __table_args__ = (Index("compose_source_counts_group", "source", "owner", "source_type", "state"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    source: Mapped[str] = mapped_column(String(_BEGINNING))
    owner: Mapped[str] = mapped_column(String(255))
    source_type: Mapped[int]
    state: Mapped[int]
    n: Mapped[int]


class Build(Base):
    """A manifest that was submitted. ``state`` is a number of ``vocabulary.State``.

    Of one that is ``removed`` this row stays, without manifest and result; ``time_removed`` says since when it has
    no events either.
    """

    __tablename__ = "builds"
    __table_args__ = (
        Index("builds_owner", "owner", "id"),
        Index("builds_state", "state", "id"),
        Index("builds_expiry", "state", "time_removed", "time_to_expire"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    state: Mapped[int] = mapped_column(default=0)
    state_reason: Mapped[str | None] = mapped_column(Text)
    exports: Mapped[list[str]] = mapped_column(JSON)
    time_submitted: Mapped[datetime] = mapped_column(DateTime)
    time_started: Mapped[datetime | None] = mapped_column(DateTime)
    time_done: Mapped[datetime | None] = mapped_column(DateTime)
    time_to_expire: Mapped[datetime | None] = mapped_column(DateTime)
    """As of composes: until it is over, this less ``time_submitted`` is how long it is to live afterwards."""
    time_removed: Mapped[datetime | None] = mapped_column(DateTime)
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON, deferred=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)


class BuildEvent(Base):
    """Something that happened in a build, in order of ``id``."""

    __tablename__ = "build_events"
    __table_args__ = (Index("build_events_build", "build_id", "id"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class Work(Base):
    """The queue: what is to be done. It goes when it is done, in the transaction that says so.

    ``fence`` counts who has had it; who comes with an older number has lost it. ``lease_until`` and ``ready_at``
    are seconds since 1970 by the database's clock. ``place`` is when the request came, in such seconds: its place in
    the queue, whatever becomes of it there. ``waits_for`` is a compose that has to be decided on before.
    """

    __tablename__ = "work"
    __table_args__ = (
        Index("work_place", "place", "id"),
        Index("work_subject", "kind", "subject_id", unique=True),
        Index("work_owner", "owner"),
        # An id is never used again, or an old lease would be one for the new work.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(255))
    place: Mapped[float] = mapped_column(Float(53))
    ready_at: Mapped[float] = mapped_column(Float(53), default=0.0)
    waits_for: Mapped[int | None] = mapped_column(BigInteger)
    lease_holder: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[float | None] = mapped_column(Float(53))
    fence: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    cancelled_by: Mapped[str | None] = mapped_column(String(255))


class Worker(Base):
    """A worker that gives signs of life."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    seen: Mapped[float] = mapped_column(Float(53))
    busy: Mapped[int] = mapped_column(default=0)
    slots: Mapped[int] = mapped_column(default=1)


class ApiToken(Base):
    """A static token: the hash of its secret, who it speaks for and until when."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    user: Mapped[str] = mapped_column(String(255))
    groups: Mapped[list[str]] = mapped_column(JSON)
    read_only: Mapped[bool] = mapped_column(default=False)
    time_created: Mapped[datetime] = mapped_column(DateTime)
    time_to_expire: Mapped[datetime | None] = mapped_column(DateTime)
