"""Range expressions: sets of integers written as ``1-10:2, 20, 30-25:-1``."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import overload

from osbuild_core.exports.jobs.errors import ExpressionError

_ELEMENT = re.compile(r"\s*(-?\s*[0-9]+)\s*(?:-\s*(-?\s*[0-9]+)\s*(?::\s*(-?\s*[0-9]+)\s*)?)?")
_MOST = 2**61
"""How far from 0 numbers may be, so that ranges of them can be counted."""


class IntRangeExpr(Sequence[int]):
    """The integers of a range expression, in ascending order whatever order they were written in.

    Nothing is enumerated: the length costs nothing, the n-th value a binary search.
    """

    __slots__ = ("_ends", "_highest", "ranges")

    def __init__(self, ranges: Iterable[range]) -> None:
        """Take ``ranges``, in any order. Raises ExpressionError where there are none, or where two overlap."""
        found = sorted((_ascending(item) for item in ranges), key=lambda item: (item[0], item[-1]))
        if not found:
            raise ExpressionError("the range is empty")
        joined = [found[0]]
        for item in found[1:]:
            if joined[-1][-1] >= item[0]:
                raise ExpressionError(f"{_text(joined[-1])} and {_text(item)} overlap")
            last = joined[-1]
            if last.step == item.step and last[-1] + item.step == item[0]:
                joined[-1] = range(last[0], item[-1] + 1, item.step)
            else:
                joined.append(item)
        self.ranges = tuple(joined)
        self._ends = tuple(accumulate(len(item) for item in joined))
        self._highest = tuple(item[-1] for item in joined)

    @classmethod
    def from_str(cls, text: str) -> IntRangeExpr:
        """Return what the expression ``text`` says. Raises ExpressionError."""
        if not text.strip():
            raise ExpressionError("the range expression is empty")
        return cls(_element(part) for part in text.split(","))

    @classmethod
    def from_list(cls, values: Iterable[int]) -> IntRangeExpr:
        """Return the shortest expression for ``values``; what occurs twice counts once."""
        ranges: list[range] = []
        first = last = step = None
        for value in sorted(set(values)):
            if first is None or last is None:
                first = last = value
            elif step is None or value - last == step:
                step, last = value - last, value
            else:
                ranges.append(range(first, last + 1, step))
                first, last, step = value, value, None
        if first is not None and last is not None:
            ranges.append(range(first, last + 1, step or 1))
        return cls(ranges)

    @property
    def start(self) -> int:
        """The smallest value."""
        return self.ranges[0][0]

    @property
    def end(self) -> int:
        """The largest value."""
        return self._highest[-1]

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"there is no value {index} in a range of {len(self)}")
        which = bisect_right(self._ends, at)
        return self.ranges[which][at - (self._ends[which - 1] if which else 0)]

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int):
            return False
        return bool(self.find(value))

    def find(self, value: int) -> tuple[int, ...]:
        """Return the index of ``value``, in a tuple that is empty if it is not there."""
        which = bisect_left(self._highest, value)
        if which == len(self.ranges) or value not in self.ranges[which]:
            return ()
        return ((self._ends[which - 1] if which else 0) + self.ranges[which].index(value),)

    def covers(self, other: IntRangeExpr) -> bool:
        """Return whether every value of ``other`` is here, without looking at each."""
        for item in other.ranges:
            at = item[0]
            while at <= item[-1]:
                which = bisect_left(self._highest, at)
                if which == len(self.ranges) or at not in self.ranges[which]:
                    return False
                own = self.ranges[which]
                if item.step % own.step == 0:
                    # So is all of it up to the end of this range.
                    at += (min(own[-1], item[-1]) - at) // item.step * item.step
                at += item.step
        return True

    def __eq__(self, other: object) -> bool:
        return self.ranges == other.ranges if isinstance(other, IntRangeExpr) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __str__(self) -> str:
        return ",".join(_text(item) for item in self.ranges)

    def __repr__(self) -> str:
        return f"IntRangeExpr.from_str({str(self)!r})"


def _ascending(item: range) -> range:
    return item if item.step > 0 else item[::-1]


def _text(item: range) -> str:
    if len(item) <= 2:
        return ",".join(str(value) for value in item)
    return f"{item[0]}-{item[-1]}" + (f":{item.step}" if item.step != 1 else "")


def _element(text: str) -> range:
    match = _ELEMENT.fullmatch(text)
    if match is None:
        what = (
            f"{text.strip()!r} is neither a number nor" if text.strip() else "between two commas there is no"
        )
        raise ExpressionError(f"{what} a range like 1-10 or 1-10:2")
    first, last, step = (_integer(group) for group in match.groups())
    assert first is not None
    if last is None:
        return range(first, first + 1)
    if step == 0:
        raise ExpressionError(f"{text.strip()!r} has a step of 0")
    if step is None:
        step = 1
    if (last - first) * step < 0:
        way = "a negative step" if step > 0 else "a positive step"
        raise ExpressionError(f"{text.strip()!r} needs {way}")
    return range(first, last + (1 if step > 0 else -1), step)


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    digits = "".join(text.split())
    number = int(digits) if len(digits) < 30 else _MOST + 1
    if abs(number) > _MOST:
        raise ExpressionError(f"the number {digits[:40]} is too large")
    return number
