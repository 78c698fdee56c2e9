"""How many composes there are of which kind, without counting them: the tables that triggers of the database keep.

A change adds rows with +1 and -1 instead of changing one that others would wait for; what is the same for all that a
row stands for is its group. Maintenance adds up the rows of a group, so that there are about as many as groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from osbuild_core.server.database import Database
from osbuild_core.server.tables import Compose, ComposeCount, ComposeSourceCount

GROUP = ("owner", "source_type", "state", "compose_type", "label")
"""Columns of composes by which they are counted."""

SOURCE_GROUP = ("source", "owner", "source_type", "state")
"""Those by which they are counted once more: of sources there may be as many as of composes."""

SELECTIVE = ("pungi_compose_id", "source")
"""Columns of which a value is mostly that of few composes."""

FEW = 100
"""Rows that are not worth the work."""

AT_ONCE = 500
"""Rows that are added up in one transaction."""


async def counted(database: Database, equal: Mapping[str, Any]) -> int:
    """Return how many composes have these values in these columns."""
    table = _table(equal)
    what = func.count() if table is Compose else func.coalesce(func.sum(table.n), 0)
    async with database.reading() as session:
        query = select(what).select_from(table).where(*conditions(table, equal))
        return int(await session.scalar(query) or 0)


def _table(equal: Mapping[str, Any]) -> Any:
    """Return where to count: in counts, where there are such."""
    if set(equal) <= set(GROUP):
        return ComposeCount
    # Of longer ones only the beginning is there.
    if set(equal) <= set(SOURCE_GROUP) and len(equal["source"]) < Compose.BEGINNING:
        return ComposeSourceCount
    return Compose


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
    for table, group in ((ComposeCount, GROUP), (ComposeSourceCount, SOURCE_GROUP)):
        columns = [getattr(table, name) for name in group]
        many = select(*columns).group_by(*columns).having(func.count() > 1).subquery()
        same = [
            column.is_not_distinct_from(many.c[column.key])
            if column.nullable
            else column == many.c[column.key]
            for column in (table.__table__.c[name] for name in group)
        ]
        async with database.reading() as session:
            found = await session.scalars(select(table.id).join(many, and_(*same)).order_by(*columns))
            ids = list(found)
        if len(ids) < FEW:
            continue
        for start in range(0, len(ids), AT_ONCE):
            async with database.writing() as session:
                await _add_up(session, table, group, ids[start : start + AT_ONCE])


async def _add_up(session: AsyncSession, table: Any, group: Sequence[str], ids: Sequence[int]) -> None:
    """Replace the rows ``ids`` by their sums."""
    rows = select(table.id).where(table.id.in_(ids)).with_for_update(skip_locked=True)
    # What another worker adds up is locked, and gone afterwards: each row is added once.
    gone = await session.execute(
        delete(table)
        .where(table.id.in_(rows))
        .returning(*(getattr(table, name) for name in group), table.n)
        .execution_options(synchronize_session=False)
    )
    sums: Counter[tuple[Any, ...]] = Counter()
    for *values, n in gone:
        sums[tuple(values)] += n
    added = [{**dict(zip(group, values, strict=True)), "n": n} for values, n in sums.items() if n]
    if added:
        await session.execute(insert(table), added)
