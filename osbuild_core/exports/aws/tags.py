"""Tags as AWS's APIs take and give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return ``tags`` as the EC2 API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_specification(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return ``TagSpecifications`` for a request that makes a ``kind`` (``image``, ``snapshot``)."""
    return [{"ResourceType": kind, "Tags": tag_list(tags)}]


def tag_mapping(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return the tags in an answer of the EC2 API as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
