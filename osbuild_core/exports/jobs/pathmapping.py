"""Path mapping: where things that were at one place when a job was submitted are on the host that runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

VERSION = "pathmapping-1.0"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/]*)(.*)", re.DOTALL)


class PathFormat(StrEnum):
    """The kinds of path that a rule may be about."""

    POSIX = "POSIX"
    WINDOWS = "WINDOWS"
    URI = "URI"


FIELDS = ("source_path_format", "source_path", "destination_path")


class PathMappingRule:
    """What is below ``source_path`` is below ``destination_path`` here. Raises ValueError for what cannot be."""

    __slots__ = FIELDS

    def __init__(
        self,
        *,
        source_path_format: PathFormat,
        source_path: PurePath | str,
        destination_path: PurePath,
    ) -> None:
        expected: type = {
            PathFormat.POSIX: PurePosixPath,
            PathFormat.WINDOWS: PureWindowsPath,
            PathFormat.URI: str,
        }[source_path_format]
        if not isinstance(source_path, expected):
            raise ValueError(f"source_path has to be a {expected.__name__} for {source_path_format}")
        if isinstance(source_path, str) and not _SCHEME.match(source_path):
            raise ValueError(f"source_path has to begin with a scheme (s3://…), not {source_path!r}")
        self.source_path_format = source_path_format
        self.source_path = source_path
        self.destination_path = destination_path

    @staticmethod
    def from_dict(rule: Mapping[str, str]) -> PathMappingRule:
        """Return the rule that a mapping of strings describes. Raises ValueError."""
        if not isinstance(rule, Mapping) or set(rule) != set(FIELDS):
            raise ValueError(f"a rule has {', '.join(FIELDS)}, no more and no less")
        if not all(isinstance(value, str) for value in rule.values()):
            raise ValueError("the members of a rule are strings")
        try:
            kind = PathFormat(rule["source_path_format"].upper())
        except ValueError:
            raise ValueError(f"source_path_format is one of {', '.join(PathFormat)}") from None
        source = rule["source_path"]
        return PathMappingRule(
            source_path_format=kind,
            source_path=PurePosixPath(source)
            if kind is PathFormat.POSIX
            else PureWindowsPath(source)
            if kind is PathFormat.WINDOWS
            else source,
            destination_path=PurePosixPath(rule["destination_path"]),
        )

    def to_dict(self) -> dict[str, str]:
        """Return the rule as a mapping of strings."""
        return {
            "source_path_format": self.source_path_format.value,
            "source_path": str(self.source_path),
            "destination_path": str(self.destination_path),
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathMappingRule) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.to_dict().values()))

    def __repr__(self) -> str:
        return f"PathMappingRule({self.source_path} -> {self.destination_path})"

    @property
    def depth(self) -> int:
        """How many components the source has: deeper ones come first."""
        return len(_parts(self.source_path_format, str(self.source_path)))

    def apply(self, *, path: str) -> tuple[bool, str]:
        """Return whether the rule is about ``path``, and where that is here. ``..`` stays as it is."""
        source = _parts(self.source_path_format, str(self.source_path))
        given = _parts(self.source_path_format, path)
        if given[: len(source)] != source:
            return False, path
        # The rest as it was written, whatever case the comparison took it for.
        rest = _written(self.source_path_format, path)[len(source) :]
        mapped = str(PurePosixPath(self.destination_path, *rest))
        ends = ("/", "\\") if self.source_path_format is PathFormat.WINDOWS else ("/",)
        return True, mapped + "/" if path.endswith(ends) and not mapped.endswith("/") else mapped


def _written(kind: PathFormat, path: str) -> tuple[str, ...]:
    if kind is PathFormat.POSIX:
        return PurePosixPath(path).parts
    if kind is PathFormat.WINDOWS:
        return PureWindowsPath(path).parts
    match = _SCHEME.match(path)
    return (path,) if match is None else (match[1], *(part for part in match[2].split("/") if part))


def _parts(kind: PathFormat, path: str) -> tuple[str, ...]:
    """Return the components of a path as they are compared: of Windows in any case, of a URI its host."""
    parts = _written(kind, path)
    if kind is PathFormat.POSIX:
        return parts
    return tuple(
        part.encode().lower().decode() if kind is PathFormat.WINDOWS or index == 0 else part
        for index, part in enumerate(parts)
    )


def in_order(rules: Iterable[PathMappingRule]) -> tuple[PathMappingRule, ...]:
    """Return ``rules`` in the order in which they are tried: the most specific ones first."""
    return tuple(sorted(rules, key=lambda rule: -rule.depth))


def mapped_path(rules: Sequence[PathMappingRule], path: str) -> str:
    """Return where ``path`` is here, by the first of ``rules`` that is about it."""
    for rule in rules:
        changed, result = rule.apply(path=path)
        if changed:
            return result
    return path


def rules_document(rules: Sequence[PathMappingRule]) -> str:
    """Return the JSON that commands find at ``Session.PathMappingRulesFile``."""
    if not rules:
        return "{}"
    return json.dumps({"version": VERSION, "path_mapping_rules": [rule.to_dict() for rule in rules]})


def read_rules(document: Any) -> list[PathMappingRule]:
    """Return the rules of a pathmapping-1.0 document. Raises ValueError with the place of what is wrong."""
    if not isinstance(document, Mapping):
        raise ValueError("it has to be a mapping with version and path_mapping_rules")
    if document.get("version") != VERSION:
        raise ValueError(f"version: it has to be {VERSION}")
    rules = document.get("path_mapping_rules")
    if not isinstance(rules, list):
        raise ValueError("path_mapping_rules: it has to be a list")
    found = []
    for index, rule in enumerate(rules):
        try:
            found.append(PathMappingRule.from_dict(rule))
        except ValueError as error:
            raise ValueError(f"path_mapping_rules[{index}]: {error}") from None
    return found
