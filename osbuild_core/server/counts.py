"""How many composes there are of which kind, without counting them: the table that triggers of the database keep.

A change adds rows with +1 and -1 instead of changing one that others would wait for; what is the same for all that a
row stands for is its group. Maintenance adds up the rows of a group, so that there are about as many as groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select

from osbuild_core.server.database import Database
from osbuild_core.server.tables import Compose, ComposeCount

GROUP = ("owner", "source_type", "state", "compose_type", "label")
"""Columns of composes by which they are counted."""

FEW = 100
"""Rows that are not worth the work."""


async def counted(database: Database, equal: Mapping[str, Any]) -> int:
    """Return how many composes have these values in these columns."""
    table = ComposeCount if set(equal) <= set(GROUP) else Compose
    what = func.coalesce(func.sum(ComposeCount.n), 0) if table is ComposeCount else func.count()
    async with database.reading() as session:
        query = select(what).select_from(table).where(*conditions(table, equal))
        return int(await session.scalar(query) or 0)


def conditions(table: Any, equal: Mapping[str, Any]) -> list[Any]:
    """Return conditions for ``equal`` that an index can answer: for texts without end, by how they begin."""
    found: list[Any] = []
    for name, value in equal.items():
        if table is Compose and name in Compose.BEGINNINGS:
            # Not the column itself beside it: SQLite would put the value into the expression, and find no index.
            rest = func.substr(getattr(table, name), Compose.BEGINNING + 1)
            found += [
                Compose.BEGINNINGS[name] == value[: Compose.BEGINNING],
                rest == value[Compose.BEGINNING :],
            ]
        else:
            found.append(getattr(table, name) == value)
    return found


async def add_up(database: Database) -> None:
    """Make one row of the many of each group."""
    columns = [getattr(ComposeCount, name) for name in GROUP]
    async with database.reading() as session:
        many = (
            await session.execute(
                select(*columns, func.count()).group_by(*columns).having(func.count() > 1).order_by(*columns)
            )
        ).all()
    if sum(row[-1] for row in many) < FEW:
        return
    for *group, _ in many:
        same = [column.is_not_distinct_from(value) for column, value in zip(columns, group, strict=True)]
        rows = select(ComposeCount.id).where(*same).with_for_update(skip_locked=True)
        async with database.writing() as session:
            # What another worker adds up is locked, and gone afterwards: each row is added once.
            gone = await session.scalars(
                delete(ComposeCount)
                .where(ComposeCount.id.in_(rows))
                .returning(ComposeCount.n)
                .execution_options(synchronize_session=False)
            )
            if total := sum(gone):
                values = dict(zip(GROUP, group, strict=True))
                await session.execute(insert(ComposeCount).values(**values, n=total))
