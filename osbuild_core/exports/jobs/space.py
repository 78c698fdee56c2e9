"""The tasks of a step: the points of its parameter space, by index, without making a list of them.

Ranges, products and associations know their length and their n-th value; chunks of a CHUNK[INT] parameter
are worked out when they are asked for. Only adaptive chunks (``targetRuntimeSeconds``) have no index, because
their size may be changed on the way.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, product
from typing import Protocol

from osbuild_core.exports.jobs import combination
from osbuild_core.exports.jobs.combination import Association, Product
from osbuild_core.exports.jobs.errors import ExpressionError
from osbuild_core.exports.jobs.job import (
    ParameterValue,
    ParameterValueType,
    StepParameterSpace,
    TaskParameter,
    TaskParameterSet,
)
from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr

_INTERVAL = re.compile(r"\s*-?[0-9]+\s*-\s*-?[0-9]+\s*")


class _Axis(Protocol):
    """Values that are taken one after the other."""

    size: int

    def put(self, index: int, result: TaskParameterSet) -> None:
        """Put the values at ``index`` into ``result``."""

    def find(self, given: TaskParameterSet) -> Sequence[int]:
        """Return the indices where the values are those of ``given``. Raises ValueError if there are none."""


class _Values:
    """The values of one parameter."""

    def __init__(self, name: str, parameter: TaskParameter) -> None:
        self.name = name
        self.type = ParameterValueType(parameter.type)
        self.range = parameter.range
        self.size = len(parameter.range)
        self._where: dict[str, list[int]] | None = None

    def put(self, index: int, result: TaskParameterSet) -> None:
        result[self.name] = ParameterValue(self.type, str(self.range[index]))

    def find(self, given: TaskParameterSet) -> Sequence[int]:
        value = given[self.name]
        _same_type(self.name, self.type, value)
        found: Sequence[int]
        if isinstance(self.range, IntRangeExpr):
            number = _integer(value.value)
            found = () if number is None else self.range.find(number)
        else:
            if self._where is None:
                self._where = {}
                for index, item in enumerate(self.range):
                    self._where.setdefault(str(item), []).append(index)
            found = self._where.get(value.value, ())
        if not found:
            raise ValueError(f"{self.name} has no value {value.value!r}")
        return found


class _Chunks:
    """The values of a CHUNK[INT] parameter, in chunks of about ``count``."""

    def __init__(self, name: str, parameter: TaskParameter, count: int) -> None:
        assert parameter.chunks is not None
        self.name = name
        self.count = count
        self.contiguous = parameter.chunks.rangeConstraint == "CONTIGUOUS"
        self.values: Sequence[int] = (
            parameter.range
            if isinstance(parameter.range, IntRangeExpr)
            else tuple(int(value) for value in parameter.range)
        )
        self._all: IntRangeExpr | None = None
        self._runs = list(_runs(self.values)) if self.contiguous else [range(len(self.values))]
        # A range with gaps is as many chunks as it has values.
        chunks = (len(run) if run.step > 1 else -(-len(run) // count) for run in self._runs)
        self._ends = list(accumulate(chunks))
        self.size = self._ends[-1]

    def put(self, index: int, result: TaskParameterSet) -> None:
        which = bisect_right(self._ends, index)
        run = self._runs[which]
        at = index - (self._ends[which - 1] if which else 0)
        if run.step > 1:
            text = f"{run[at]}-{run[at]}"
        else:
            parts = -(-len(run) // self.count)
            piece = run[_start(len(run), parts, at) : _start(len(run), parts, at + 1)]
            text = self.text(piece)
        result[self.name] = ParameterValue(ParameterValueType.CHUNK_INT, text)

    def text(self, piece: range) -> str:
        """Return a chunk: of values, if they are contiguous, else of the values at these indices."""
        if self.contiguous:
            return f"{piece[0]}-{piece[-1]}"
        return str(IntRangeExpr.from_list(self.values[index] for index in piece))

    def find(self, given: TaskParameterSet) -> Sequence[int]:
        value = given[self.name]
        _same_type(self.name, ParameterValueType.CHUNK_INT, value)
        if self.contiguous and not _INTERVAL.fullmatch(value.value):
            raise ValueError(f"{self.name} needs an interval like 1-5, not {value.value!r}")
        chunk = IntRangeExpr.from_str(value.value)
        if self._all is None:
            values = self.values
            self._all = values if isinstance(values, IntRangeExpr) else IntRangeExpr.from_list(values)
        if not self._all.covers(chunk):
            raise ValueError(f"{self.name} does not have all of the values {value.value!r}")
        # Any part will do: which chunk it would be is of no interest to anybody.
        return (0,)

    def adaptively(self, space: StepParameterSpaceIterator) -> Iterator[str]:
        """Yield chunks of the size that ``space`` has at the moment."""
        at = 0
        total = len(self.values)
        while at < total:
            count = space.chunks_default_task_count or 1
            end = min(at + count, total)
            if self.contiguous:
                last = at + 1
                while last < end and self.values[last] == self.values[last - 1] + 1:
                    last += 1
                yield f"{self.values[at]}-{self.values[last - 1]}"
                at = last
            else:
                yield self.text(range(at, end))
                at = end


class _Product:
    """Every value of each axis with every value of the others; the last one moves fastest."""

    def __init__(self, axes: Sequence[_Axis]) -> None:
        self.axes = axes
        self.size = 1
        for axis in axes:
            self.size *= axis.size

    def put(self, index: int, result: TaskParameterSet) -> None:
        places = []
        for axis in reversed(self.axes):
            index, place = divmod(index, axis.size)
            places.append(place)
        for axis, place in zip(self.axes, reversed(places), strict=True):
            axis.put(place, result)

    def find(self, given: TaskParameterSet) -> Sequence[int]:
        found = []
        for places in product(*(axis.find(given) for axis in self.axes)):
            index = 0
            for axis, place in zip(self.axes, places, strict=True):
                index = index * axis.size + place
            found.append(index)
        return found


class _Association:
    """The first values of all axes, the second ones, and so on."""

    def __init__(self, axes: Sequence[_Axis]) -> None:
        self.axes = axes
        self.size = axes[0].size

    def put(self, index: int, result: TaskParameterSet) -> None:
        for axis in self.axes:
            axis.put(index, result)

    def find(self, given: TaskParameterSet) -> Sequence[int]:
        common = set(self.axes[0].find(given))
        for axis in self.axes[1:]:
            common.intersection_update(axis.find(given))
        if not common:
            raise ValueError("these values are not associated with each other")
        return sorted(common)


class StepParameterSpaceIterator(Iterable[TaskParameterSet]):
    """Goes through the tasks of a step, each a dictionary from a parameter's name to its value.

    Also a sequence: ``len`` and an index cost no enumeration. A space of None has one task without parameters.
    ``chunks_task_count_override`` sets the size of chunks, and turns adaptive chunks off; 1 gives every task.
    """

    def __init__(
        self, *, space: StepParameterSpace | None, chunks_task_count_override: int | None = None
    ) -> None:
        self._parameters = dict(space.taskParameterDefinitions) if space is not None else {}
        self._chunks: _Chunks | None = None
        self._count: int | None = None
        self._adaptive = False
        for name, parameter in self._parameters.items():
            if parameter.type == ParameterValueType.CHUNK_INT:
                self._set_chunks(name, parameter, chunks_task_count_override)
                break
        terms = self._terms(space)
        if self._adaptive and self._chunks is not None:
            # It moves fastest, since its chunks are not known beforehand.
            terms = [term for term in terms if term != self._chunks.name]
        axes = [self._axis(term) for term in terms]
        self._axes: _Axis = axes[0] if len(axes) == 1 else _Product(axes)
        self._iterator = self._all()

    def _set_chunks(self, name: str, parameter: TaskParameter, override: int | None) -> None:
        if parameter.chunks is None:
            raise ValueError(f"the CHUNK[INT] parameter {name} has no chunks")
        if override is not None and override < 1:
            raise ValueError(f"a chunk needs a size of 1 or more, not {override}")
        self._count = parameter.chunks.defaultTaskCount if override is None else override
        self._adaptive = override is None and bool(parameter.chunks.targetRuntimeSeconds)
        self._chunks = _Chunks(name, parameter, self._count)

    def _terms(self, space: StepParameterSpace | None) -> list[combination.Node]:
        """Return the nodes whose product the space is."""
        if space is None or space.combination is None:
            return list(self._parameters)
        node = combination.parse(space.combination)
        if sorted(combination.names(node)) != sorted(self._parameters):
            raise ExpressionError(f"{space.combination!r} does not have every parameter once")
        combination.length(node, {name: len(p.range) for name, p in self._parameters.items()})
        return list(node.terms) if isinstance(node, Product) else [node]

    def _axis(self, node: combination.Node) -> _Axis:
        if isinstance(node, str):
            if self._chunks is not None and node == self._chunks.name:
                return self._chunks
            return _Values(node, self._parameters[node])
        axes = [self._axis(term) for term in node.terms]
        return _Association(axes) if isinstance(node, Association) else _Product(axes)

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(self._parameters)

    @property
    def chunks_parameter_name(self) -> str | None:
        """The name of the CHUNK[INT] parameter, None if there is none."""
        return None if self._chunks is None else self._chunks.name

    @property
    def chunks_adaptive(self) -> bool:
        """Whether the size of chunks may be changed on the way."""
        return self._adaptive

    @property
    def chunks_default_task_count(self) -> int | None:
        """The size of chunks, None if there are none. It may be set if they are adaptive."""
        return self._count

    @chunks_default_task_count.setter
    def chunks_default_task_count(self, count: int) -> None:
        if not self._adaptive:
            raise ValueError("the size of chunks is fixed, since they are not adaptive")
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"a chunk needs a size of 1 or more, not {count}")
        self._count = count

    def _all(self) -> Iterator[TaskParameterSet]:
        for index in range(self._axes.size):
            if not self._adaptive or self._chunks is None:
                yield self._at(index)
                continue
            for text in self._chunks.adaptively(self):
                result = self._at(index)
                result[self._chunks.name] = ParameterValue(ParameterValueType.CHUNK_INT, text)
                yield result

    def _at(self, index: int) -> TaskParameterSet:
        result: TaskParameterSet = {}
        self._axes.put(index, result)
        return result

    def reset_iter(self) -> None:
        """Begin again with the first task."""
        self._iterator = self._all()

    def __iter__(self) -> Iterator[TaskParameterSet]:
        return self

    def __next__(self) -> TaskParameterSet:
        return next(self._iterator)

    @property
    def size(self) -> int:
        """How many tasks there are: ``len``, which cannot be more than Python can index.

        Raises ValueError where chunks are adaptive.
        """
        if self._adaptive:
            raise ValueError("how many chunks there will be is not known, since they are adaptive")
        return self._axes.size

    def __len__(self) -> int:
        if self._adaptive:
            # What list() asks for a hint takes this for an answer, and no other exception.
            raise TypeError("adaptive chunks have no length")
        return self.size

    def __getitem__(self, index: int) -> TaskParameterSet:
        if self._adaptive:
            raise LookupError("adaptive chunks have no index")
        size = self._axes.size
        if not -size <= index < size:
            raise IndexError(f"there is no task {index} of {size}")
        return self._at(index % size)

    def __contains__(self, params: object) -> bool:
        try:
            self.validate_containment(params)  # type: ignore[arg-type]
        except ValueError:
            return False
        return True

    def validate_containment(self, params: TaskParameterSet) -> None:
        """Raise ValueError unless there is a task with these values; a chunk may be any part of the values."""
        if set(params) != set(self._parameters):
            names = ", ".join(sorted(self._parameters)) or "none"
            raise ValueError(f"a task has the parameters {names}, not {', '.join(sorted(params)) or 'none'}")
        self._axes.find(params)
        if self._adaptive and self._chunks is not None:
            self._chunks.find(params)


def _same_type(name: str, expected: ParameterValueType, value: ParameterValue) -> None:
    if value.type != expected:
        raise ValueError(
            f"{name} is of the type {expected.value}, not {ParameterValueType(value.type).value}"
        )


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,4000}", text) else None


def _runs(values: Sequence[int]) -> Iterator[range]:
    """Yield stretches of values without a gap, and ranges that have nothing but gaps."""
    run: range | None = None
    for piece in _pieces(values):
        if run is not None and run.step == piece.step == 1 and run.stop == piece.start:
            run = range(run.start, piece.stop)
            continue
        if run is not None:
            yield run
        run = piece
    if run is not None:
        yield run


def _pieces(values: Sequence[int]) -> Iterator[range]:
    """Yield ranges with a step of 1, and ranges with another one whose neighbours are further away than that."""
    if not isinstance(values, IntRangeExpr):
        yield from (range(value, value + 1) for value in values)
        return
    for item in values.ranges:
        if item.step == 1:
            yield item
            continue
        # The ends may touch what comes before and after.
        yield range(item[0], item[0] + 1)
        if len(item) > 2:
            yield item[1:-1] if len(item) > 3 else range(item[1], item[1] + 1)
        if len(item) > 1:
            yield range(item[-1], item[-1] + 1)


def _start(total: int, parts: int, index: int) -> int:
    """Return where part ``index`` of ``total`` things begins, if they are in ``parts`` as even as possible."""
    small, more = divmod(total, parts)
    return index * small + -(-index * more // parts)
