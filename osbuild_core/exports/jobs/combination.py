"""Combination expressions: ``A * (B, C)`` says how the ranges of task parameters make a space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from osbuild_core.exports.jobs.errors import ExpressionError

_TOKEN = re.compile(r" *(?:([A-Za-z_][A-Za-z0-9_]*)|([*(),]))")
DEEPEST = 50
"""Levels of parentheses; sixteen parameters cannot make use of more."""


class Product(NamedTuple):
    """Every value of each term with every value of the others; the last one moves fastest."""

    terms: tuple[Node, ...]


class Association(NamedTuple):
    """The first values of all terms, the second ones, and so on: the terms have as many values as each other."""

    terms: tuple[Node, ...]


Node: TypeAlias = "str | Product | Association"
"""A name, or a combination of nodes."""


def parse(text: str) -> Node:
    """Return what ``text`` says. Raises ExpressionError with the place of the mistake."""
    tokens = list(_tokens(text))
    node, at = _product(tokens, 0, 0)
    if at < len(tokens):
        raise ExpressionError(f"{tokens[at]!r} is not expected after {' '.join(tokens[:at])!r}")
    return node


def names(node: Node) -> Iterator[str]:
    """Yield the names in ``node``, in the order in which they stand."""
    if isinstance(node, str):
        yield node
    else:
        for term in node.terms:
            yield from names(term)


def associations(node: Node) -> Iterator[Association]:
    """Yield the associations in ``node``, outer ones first."""
    if not isinstance(node, str):
        if isinstance(node, Association):
            yield node
        for term in node.terms:
            yield from associations(term)


def text(node: Node) -> str:
    """Return ``node`` as it is written."""
    if isinstance(node, str):
        return node
    if isinstance(node, Product):
        return " * ".join(text(term) for term in node.terms)
    return f"({', '.join(text(term) for term in node.terms)})"


def length(node: Node, lengths: dict[str, int]) -> int:
    """Return how many combinations ``node`` makes of ranges of these ``lengths``.

    Raises ExpressionError where the terms of an association differ.
    """
    if isinstance(node, str):
        return lengths[node]
    sizes = [length(term, lengths) for term in node.terms]
    if isinstance(node, Product):
        total = 1
        for size in sizes:
            total *= size
        return total
    if len(set(sizes)) > 1:
        each = ", ".join(f"{text(term)} has {size}" for term, size in zip(node.terms, sizes, strict=True))
        raise ExpressionError(f"the terms of {text(node)} need as many values as each other: {each}")
    return sizes[0]


def _tokens(text: str) -> Iterator[str]:
    text = text.rstrip(" ")
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"{text[at:].strip()[:1]!r} is neither a name nor one of * ( ) ,")
        yield match[1] or match[2]
        at = match.end()


def _product(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    node, at = _term(tokens, at, depth)
    terms = [node]
    while at < len(tokens) and tokens[at] == "*":
        node, at = _term(tokens, at + 1, depth)
        terms.append(node)
    return (terms[0] if len(terms) == 1 else Product(tuple(terms))), at


def _term(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    if at == len(tokens):
        raise ExpressionError("it ends where a name or a ( belongs")
    token = tokens[at]
    if token not in ("*", "(", ")", ","):
        return token, at + 1
    if token != "(":
        raise ExpressionError(f"{token!r} stands where a name or a ( belongs")
    if depth == DEEPEST:
        raise ExpressionError("its parentheses are nested too deeply")
    terms = []
    while True:
        node, at = _product(tokens, at + 1, depth + 1)
        terms.append(node)
        if at == len(tokens):
            raise ExpressionError("a ( has no ) to go with it")
        if tokens[at] == ")":
            break
        if tokens[at] != ",":
            raise ExpressionError(f"{tokens[at]!r} stands where a * , or ) belongs")
    if len(terms) == 1:
        raise ExpressionError(f"({text(terms[0])}) has one term only: parentheses go around several")
    return Association(tuple(terms)), at + 1
