"""Columns of text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence

LEAST = 12
"""Columns that the last cell of a row gets at least, else it has a line of its own."""


def terminal_width() -> int | None:
    """Return how many columns standard output has, None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    width: int | None = None,
) -> Iterator[str]:
    """Yield the lines of a table; the columns ``right`` are flush right, the last one is as long as it is.

    With ``width`` the last one is cut to that. An empty ``head`` has no line.
    """
    every = [row for row in (head, *rows) if row]
    if not every:
        return
    widths = [max(len(row[column]) for row in every) for column in range(len(every[0]) - 1)]
    room = None if width is None else width - sum(widths) - 2 * len(widths)
    for *cells, last in every:
        line = "  ".join(
            cell.rjust(size) if column in right else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(cells, widths, strict=True))
        )
        if room is None or len(last) <= room:
            yield f"{line}  {last}".rstrip()
        elif room >= LEAST:
            yield f"{line}  {last[: room - 1]}…"
        else:
            yield line.rstrip()
            yield f"    {last}"
