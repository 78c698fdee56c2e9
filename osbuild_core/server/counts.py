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

SELECTIVE = ("pungi_compose_id", "source")
"""Columns of which a value is that of few composes."""

FEW = 100
"""Rows that are not worth the work."""


async def counted(database: Database, equal: Mapping[str, Any]) -> int:
    """Return how many composes have these values in these columns."""
    table = ComposeCount if set(equal) <= set(GROUP) else Compose
    what = func.coalesce(func.sum(ComposeCount.n), 0) if table is ComposeCount else func.count()
    async with database.reading() as session:
        query = select(what).select_from(table).where(*conditions(table, equal))
        return int(await session.scalar(query) or 0)


def conditions(table: Any, equal: Mapping[str, Any], *, in_order: bool = False) -> list[Any]:
    """Return conditions for ``equal``, in the form in which indexes are used that help.

    One that finds few by itself keeps the others from theirs, as what those find is much. ``in_order`` keeps all
    from them, for a query that follows the index of its order.
    """
    few = next((name for name in SELECTIVE if table is Compose and name in equal), None)
    found: list[Any] = []
    for name, value in equal.items():
        column = getattr(table, name)
        if in_order or few not in (None, name):
            # No index has this expression.
            found.append(func.coalesce(column, column) == value)
        elif table is Compose and name in Compose.BEGINNINGS:
            length = Compose.BEGINNING
            found.append(Compose.BEGINNINGS[name] == value[:length])
            if len(value) >= length:
                # Not the whole text: SQLite would put that into how it begins, and find no index.
                found.append(func.substr(column, length + 1) == value[length:])
        else:
            found.append(column == value)
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
