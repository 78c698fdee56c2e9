"""Filters and pages of the describe calls."""

from __future__ import annotations

import base64
import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import Refused

Fields = Mapping[str, str | bool | Sequence[str] | None]


def matches(wanted: Mapping[str, Sequence[str]], fields: Fields, tags: Mapping[str, str]) -> bool:
    """Say whether a thing with ``fields`` and ``tags`` passes all filters.

    Raises: Refused for a filter that is not known: moto lets it pass, AWS does not.
    """
    return all(_one(name, values, fields, tags) for name, values in wanted.items())


def _one(name: str, values: Sequence[str], fields: Fields, tags: Mapping[str, str]) -> bool:
    if name.startswith("tag:"):
        found = tags.get(name.removeprefix("tag:"))
        have: Sequence[str] = [] if found is None else [found]
    elif name == "tag-key":
        have = list(tags)
    elif name in fields:
        have = _texts(fields[name])
    else:
        raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
    return any(_pattern(value).fullmatch(item) for value in values for item in have)


def _texts(value: str | bool | Sequence[str] | None) -> Sequence[str]:
    match value:
        case None:
            return []
        case bool():
            return [str(value).lower()]
        case str():
            return [value]
        case _:
            return value


def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of a filter value: ``*`` and ``?`` are wildcards, brackets are not."""
    return re.compile(fnmatch.translate(text.replace("[", "[[]")))


def page(
    items: list[Any], most: int | None, token: str | None, limits: tuple[int, int]
) -> tuple[list[Any], str | None]:
    """Return one page of ``items`` and the token of the next one."""
    if most is not None and not limits[0] <= most <= limits[1]:
        raise Refused("InvalidParameterValue", f"MaxResults has to be between {limits[0]} and {limits[1]}")
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token, validate=True))
        except ValueError:
            raise Refused("InvalidParameterValue", "The token is not valid") from None
    end = start + (most or limits[1])
    following = base64.b64encode(str(end).encode()).decode() if end < len(items) else None
    return items[start:end], following
