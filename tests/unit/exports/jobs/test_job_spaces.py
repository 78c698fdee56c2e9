"""Ranges, combinations and chunks: what tasks there are, without a list of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osbuild_core.exports.jobs.combination import Association, Product, length, names, parse, text
from osbuild_core.exports.jobs.errors import ExpressionError
from osbuild_core.exports.jobs.job import (
    ParameterValue,
    ParameterValueType,
    RangeExpressionTaskParameterDefinition,
    RangeListTaskParameterDefinition,
    StepParameterSpace,
    TaskChunksDefinition,
    TaskParameter,
)
from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator

NUMBERS = st.sets(st.integers(-50, 50), min_size=1, max_size=30)


@given(NUMBERS)
def test_a_range_expression_is_the_set_that_it_was_made_of(numbers: set[int]) -> None:
    made = IntRangeExpr.from_list(numbers)
    assert list(made) == sorted(numbers)
    assert len(made) == len(numbers)
    assert [made[index] for index in range(len(made))] == sorted(numbers)
    assert [made[index - len(made)] for index in range(len(made))] == sorted(numbers)
    assert {number for number in range(-60, 60) if number in made} == numbers
    assert [made.find(number) for number in made] == [(index,) for index in range(len(made))]
    assert (made.start, made.end) == (min(numbers), max(numbers))
    assert list(IntRangeExpr.from_str(str(made))) == sorted(numbers)
    assert made == IntRangeExpr.from_list(sorted(numbers, reverse=True))
    assert made[1:3] == tuple(sorted(numbers)[1:3])


@given(NUMBERS, NUMBERS)
def test_a_range_covers_another_if_that_is_a_part_of_it(some: set[int], others: set[int]) -> None:
    made = IntRangeExpr.from_list(some)
    assert made.covers(IntRangeExpr.from_list(others)) == (others <= some)
    assert made.covers(IntRangeExpr.from_list(some & others or some))


@pytest.mark.parametrize(
    ("part", "is_one"), [("1-999999999:6", True), ("3-999999999:2", False), ("5,11-1000000001:6", False)]
)
def test_whether_a_long_range_covers_another_is_not_counted(part: str, is_one: bool) -> None:
    assert IntRangeExpr.from_str("1-1000000000:3").covers(IntRangeExpr.from_str(part)) == is_one


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("1 - 5", [1, 2, 3, 4, 5]),
        ("-1 - 1", [-1, 0, 1]),
        ("1-5:2", [1, 3, 5]),
        ("10-15:2,1-5", [1, 2, 3, 4, 5, 10, 12, 14]),
        ("1-10:4", [1, 5, 9]),
        ("5-1:-2", [1, 3, 5]),
        ("\t7 ", [7]),
    ],
)
def test_what_expressions_mean(expression: str, values: list[int]) -> None:
    assert list(IntRangeExpr.from_str(expression)) == values


def test_a_long_range_costs_nothing() -> None:
    wide = IntRangeExpr.from_str(f"1-{2**61}, -{2**61}--5:3")
    assert wide[-1] == 2**61
    assert 2**60 in wide
    with pytest.raises(IndexError):
        wide[len(wide)]


@pytest.mark.parametrize("expression", ["1" * 5000, f"1-{2**62}", "1-" + "9" * 40])
def test_numbers_that_cannot_be_counted_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match="too large"):
        IntRangeExpr.from_str(expression)


def numbers(expression: str, chunks: TaskChunksDefinition | None = None) -> TaskParameter:
    kind = ParameterValueType.INT if chunks is None else ParameterValueType.CHUNK_INT
    return RangeExpressionTaskParameterDefinition(kind, IntRangeExpr.from_str(expression), chunks)


def words(*values: str) -> TaskParameter:
    return RangeListTaskParameterDefinition(ParameterValueType.STRING, values)


def points(space: StepParameterSpaceIterator) -> list[dict[str, str]]:
    return [{name: value.value for name, value in point.items()} for point in space]


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, int], Any]:
    """Draw lengths of parameters and a combination of them in which associations fit."""
    counter = itertools.count()
    lengths: dict[str, int] = {}

    def tree(size: int, depth: int) -> Any:
        """Return a tree with ``size`` values."""
        shape = draw(st.sampled_from("name product association".split())) if depth else "name"
        if shape == "name":
            name = f"N{next(counter)}"
            lengths[name] = size
            return name
        if shape == "product":
            factors = [n for n in range(1, size + 1) if size % n == 0]
            first = draw(st.sampled_from(factors))
            parts = [tree(first, depth - 1), tree(size // first, depth - 1)]
            # A product in a product needs parentheses, which there are none of.
            return Product(
                tuple(t for part in parts for t in (part.terms if isinstance(part, Product) else [part]))
            )
        return Association((tree(size, depth - 1), tree(size, depth - 1)))

    made = tree(draw(st.integers(1, 12)), 3)
    return lengths, made


def expected(node: Any, lengths: dict[str, int]) -> list[dict[str, str]]:
    """Return the points of a space the plain way."""
    if isinstance(node, str):
        return [{node: f"{node}.{index}"} for index in range(lengths[node])]
    parts = [expected(term, lengths) for term in node.terms]
    together = zip(*parts, strict=True) if isinstance(node, Association) else itertools.product(*parts)
    return [{k: v for part in several for k, v in part.items()} for several in together]


@settings(deadline=None)
@given(trees())
def test_a_space_is_what_its_combination_says(made: tuple[dict[str, int], Any]) -> None:
    lengths, node = made
    assert parse(text(node)) == node
    assert sorted(names(node)) == sorted(lengths)
    plain = expected(node, lengths)
    assert length(node, lengths) == len(plain)
    definitions = {name: words(*(f"{name}.{i}" for i in range(size))) for name, size in lengths.items()}
    space = StepParameterSpaceIterator(space=StepParameterSpace(definitions, text(node)))
    assert len(space) == space.size == len(plain)
    assert points(space) == plain
    for index in range(-len(plain), len(plain)):
        assert {name: value.value for name, value in space[index].items()} == plain[index]
        assert space[index] in space


@given(
    NUMBERS,
    st.integers(1, 10),
    st.sampled_from(["CONTIGUOUS", "NONCONTIGUOUS"]),
    st.integers(0, 1),
    st.booleans(),
)
def test_chunks_are_all_of_the_values(
    values: set[int], size: int, kind: str, target: int, listed: bool
) -> None:
    chunks = TaskChunksDefinition(size, kind, target)
    parameter: TaskParameter = (
        RangeListTaskParameterDefinition(
            ParameterValueType.CHUNK_INT, tuple(str(value) for value in sorted(values)), chunks
        )
        if listed
        else RangeExpressionTaskParameterDefinition(
            ParameterValueType.CHUNK_INT, IntRangeExpr.from_list(values), chunks
        )
    )
    space = StepParameterSpaceIterator(space=StepParameterSpace({"C": parameter}))
    found = [point["C"].value for point in space]
    parts = [IntRangeExpr.from_str(chunk) for chunk in found]
    assert [number for part in parts for number in part] == sorted(values)
    assert max(len(part) for part in parts) <= size
    if kind == "CONTIGUOUS":
        assert all(part.end - part.start + 1 == len(part) for part in parts)
    if not target:
        assert [space[index]["C"].value for index in range(len(space))] == found
        if kind == "NONCONTIGUOUS":
            assert len({len(part) for part in parts}) == 1 or max(map(len, parts)) - min(map(len, parts)) == 1
    for chunk in found:
        assert {"C": ParameterValue(ParameterValueType.CHUNK_INT, chunk)} in space


@given(st.text(alphabet="AB*(), ", max_size=12))
def test_whatever_is_written_is_read_or_refused(expression: str) -> None:
    try:
        node = parse(expression)
    except ExpressionError:
        return
    assert parse(text(node)) == node


def test_parentheses_end_somewhere() -> None:
    with pytest.raises(ExpressionError, match="deeply"):
        parse("(" * 600 + "A" + ")" * 600)


def test_a_space_without_parameters_has_one_task() -> None:
    space = StepParameterSpaceIterator(space=None)
    assert (list(space), len(space), space[0], space.names) == ([{}], 1, {}, frozenset())
    assert {} in space


def test_an_iterator_goes_on_where_it_was_and_can_begin_again() -> None:
    space = StepParameterSpaceIterator(space=StepParameterSpace({"A": numbers("1-3")}))
    assert next(space)["A"].value == "1"
    assert [point["A"].value for point in space] == ["2", "3"]
    assert list(space) == []
    space.reset_iter()
    assert len(list(space)) == 3


def test_more_tasks_than_anybody_can_count_have_a_size_and_an_index() -> None:
    space = StepParameterSpaceIterator(
        space=StepParameterSpace({name: numbers("1-1000000000") for name in "ABCD"}, "D * C * B * A")
    )
    assert space.size == 10**36
    assert [space[10**35 + 5][name].value for name in "DCBA"] == ["100000001", "1", "1", "6"]
    with pytest.raises(IndexError):
        space[10**36]


def test_chunks_of_a_long_range_are_worked_out_when_they_are_asked_for() -> None:
    for kind, expected in (
        ("CONTIGUOUS", "999999999001-1000000000000"),
        ("NONCONTIGUOUS", "999999999001-1000000000000"),
    ):
        chunks = TaskChunksDefinition(1000, kind)
        space = StepParameterSpaceIterator(
            space=StepParameterSpace({"C": numbers("1-1000000000000", chunks)})
        )
        assert len(space) == 10**9
        assert space[-1]["C"].value == expected
    space = StepParameterSpaceIterator(
        space=StepParameterSpace({"C": numbers("1-1000000000000:2", TaskChunksDefinition(10, "CONTIGUOUS"))})
    )
    assert (len(space), space[-1]["C"].value) == (5 * 10**11, "999999999999-999999999999")


def adaptive(combination: str | None = None) -> StepParameterSpaceIterator:
    chunks = TaskChunksDefinition(2, "CONTIGUOUS", 60)
    return StepParameterSpaceIterator(
        space=StepParameterSpace({"C": numbers("1-10,20", chunks), "W": words("x", "y")}, combination)
    )


def test_adaptive_chunks_take_the_size_of_the_moment_and_move_fastest() -> None:
    space = adaptive("C * W")
    assert (space.chunks_adaptive, space.chunks_parameter_name, space.chunks_default_task_count) == (
        True,
        "C",
        2,
    )
    assert next(space)["C"].value == "1-2"
    space.chunks_default_task_count = 5
    assert points(space) == [
        {"W": "x", "C": "3-7"},
        {"W": "x", "C": "8-10"},
        {"W": "x", "C": "20-20"},
        {"W": "y", "C": "1-5"},
        {"W": "y", "C": "6-10"},
        {"W": "y", "C": "20-20"},
    ]


def test_adaptive_chunks_have_no_index() -> None:
    space = adaptive()
    with pytest.raises(TypeError):
        len(space)
    with pytest.raises(ValueError, match="adaptive"):
        _ = space.size
    with pytest.raises(LookupError):
        space[0]
    # Which asks for a length, and does without.
    assert len(list(space)) == 12


def test_the_size_of_chunks_can_be_given_and_set_only_where_that_means_something() -> None:
    every = StepParameterSpaceIterator(
        space=StepParameterSpace({"C": numbers("1-3", TaskChunksDefinition(2, "CONTIGUOUS", 60))}),
        chunks_task_count_override=1,
    )
    assert [point["C"].value for point in every] == ["1-1", "2-2", "3-3"]
    with pytest.raises(ValueError, match="fixed"):
        every.chunks_default_task_count = 3
    with pytest.raises(ValueError, match="1 or more"):
        adaptive().chunks_default_task_count = 0
    with pytest.raises(ValueError, match="1 or more"):
        StepParameterSpaceIterator(
            space=StepParameterSpace({"C": numbers("1-3", TaskChunksDefinition(2, "CONTIGUOUS"))}),
            chunks_task_count_override=0,
        )


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"A": "1"}, "parameters"),
        ({"A": "1", "B": "x", "C": "1-2", "D": "1"}, "parameters"),
        ({"A": "4", "B": "x", "C": "1-2"}, "A has no value"),
        ({"A": "one", "B": "x", "C": "1-2"}, "A has no value"),
        ({"A": "2", "B": "x", "C": "1-2"}, "not associated"),
        ({"A": "1", "B": "x", "C": "1,2"}, "interval"),
        ({"A": "1", "B": "x", "C": "3-7"}, "all of the values"),
        ({"A": "1", "B": "x", "C": "-9000000000-9000000000"}, "all of the values"),
    ],
)
def test_what_is_not_a_task_is_told(point: dict[str, str], reason: str) -> None:
    kinds = {"A": ParameterValueType.INT, "B": ParameterValueType.STRING, "C": ParameterValueType.CHUNK_INT}
    space = StepParameterSpaceIterator(
        space=StepParameterSpace(
            {
                "A": numbers("1-2"),
                "B": words("x", "y"),
                "C": numbers("1-6", TaskChunksDefinition(2, "CONTIGUOUS")),
            },
            "(A, B) * C",
        )
    )
    given = {
        name: ParameterValue(kinds.get(name, ParameterValueType.INT), value) for name, value in point.items()
    }
    with pytest.raises(ValueError, match=reason):
        space.validate_containment(given)
    assert given not in space


def test_a_value_of_another_type_is_no_value() -> None:
    space = StepParameterSpaceIterator(space=StepParameterSpace({"A": numbers("1-2")}))
    assert {"A": ParameterValue(ParameterValueType.INT, "1")} in space
    assert {"A": ParameterValue(ParameterValueType.STRING, "1")} not in space


def test_a_combination_that_does_not_fit_is_refused() -> None:
    definitions = {"A": numbers("1-3"), "B": numbers("1-2")}
    for combination in ("A", "(A, B)", "A * B * A", "A * C"):
        with pytest.raises(ExpressionError):
            StepParameterSpaceIterator(space=StepParameterSpace(definitions, combination))
