"""The connection to SQLite or PostgreSQL, transactions, the database's clock, and the state of its schema."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, event, extract, func, inspect, literal, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from osbuild_core.model.errors import UsageError

HEAD = "v0007"
"""The revision of the schema that this program works with; a test holds it against the migrations."""

_LOCK = 0x6F736275
"""The key of the advisory lock under which PostgreSQL takes in new requests one by one."""


def now() -> datetime:
    """Return the time as tables have it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Database:
    """One engine and its sessions. ``url`` is SQLAlchemy's, with an async driver. Raises UsageError."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise UsageError("database: that is no address of a database", code="server.database") from None
        drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
        kind = parsed.get_backend_name()
        if kind not in drivers:
            raise UsageError(
                f"database: {kind} is not supported", code="server.database", hint="postgresql and sqlite are"
            )
        self.is_sqlite = kind == "sqlite"
        self.url = parsed.set(drivername=drivers[kind])
        options: dict[str, Any] = {"connect_args": {"timeout": 30}} if self.is_sqlite else {"pool_size": 10}
        if not self.is_sqlite:
            options["pool_pre_ping"] = True
        elif self.url.database:
            _make_private(Path(self.url.database))
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(self.engine)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Provide a session for reading."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def writing(self, *, alone: bool = False) -> AsyncIterator[AsyncSession]:
        """Provide a session whose transaction is committed at the end.

        ``alone``: one after the other with all others that are; so counts and the order of ids hold. SQLite has
        one writer at a time anyway.
        """
        async with self._sessions() as session, session.begin():
            if self.is_sqlite:
                # At once: a transaction that reads first cannot become a writer if another one was faster.
                await session.execute(text("BEGIN IMMEDIATE"))
            elif alone:
                await session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            yield session

    def clock(self) -> ColumnElement[float]:
        """Return what gives seconds since 1970 by the one clock that all workers go by."""
        if self.is_sqlite:
            return literal(time.time())
        return cast(extract("epoch", func.clock_timestamp()), Float(53))

    async def revision(self) -> str | None:
        """Return the revision of the schema, None for an empty database. Raises UsageError: it is not there."""

        def look(connection: Connection) -> str | None:
            if not inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
            return str(row[0]) if row else None

        try:
            async with self.engine.connect() as connection:
                return await connection.run_sync(look)
        except (DBAPIError, OSError) as error:
            reason = str(getattr(error, "orig", error)).splitlines()[0]
            raise UsageError(
                f"cannot use the database: {reason}", code="server.database", hint="is it running?"
            ) from None

    async def migrate(self, revision: str = "head") -> None:
        """Bring the schema to ``revision`` (Alembic's), up or down."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))

        def work(connection: Connection) -> None:
            config.attributes["connection"] = connection
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK + 1})"))
            down = revision == "base" or revision.startswith("-")
            (command.downgrade if down else command.upgrade)(config, revision)

        async with self.engine.begin() as connection:
            await connection.run_sync(work)

    async def prepare(self, *, migrate: bool) -> None:
        """Make sure that the schema is ours. Raises UsageError where it is not and ``migrate`` is not allowed."""
        found = await self.revision()
        if found == HEAD:
            return
        if not (migrate or self.is_sqlite):
            raise UsageError(
                f"the schema of the database is at {found or 'nothing'}, and {HEAD} is needed",
                code="server.schema",
                hint="run: osbuild-core serve migrate",
            )
        await self.migrate()

    async def close(self) -> None:
        await self.engine.dispose()


def _make_private(file: Path) -> None:
    """Have the file of a database before SQLite makes it, for its owner only; what goes beside it is as it is."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UsageError(
            f"cannot use the database {file}: {error.strerror}",
            code="server.database",
            hint="choose another directory with --data",
        ) from error


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        # The driver is not to begin transactions by itself, at moments of its own.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
