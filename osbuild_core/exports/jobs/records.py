"""Shapes that are made of other shapes: lists, mappings, records with certain keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.shape import (
    Choice,
    Limit,
    Reader,
    Scope,
    Shape,
    Text,
    check_length,
    short,
    shown,
)
from osbuild_core.model.errors import Path


class ListOf(NamedTuple):
    """A list of ``item``; no two of its records have the same ``unique``, whatever the case with ``folded``."""

    item: Shape
    least: int = 1
    most: Limit = None
    unique: str | None = None
    folded: bool = False

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, list):
            reader.add(path, f"it has to be a list, not {shown(value)}", code="job.type")
            return None
        if not check_length(len(value), self.least, self.most, "element", path, reader):
            return None
        read = self.item.read
        items = tuple(read(item, (*path, index), reader, scope) for index, item in enumerate(value))
        if self.unique is not None:
            self._unique(value, self.unique, path, reader)
        return items

    def _unique(self, value: list[Any], unique: str, path: Path, reader: Reader) -> None:
        seen: dict[str, int] = {}
        for index, item in enumerate(value):
            name = item.get(unique) if isinstance(item, dict) else None
            if not isinstance(name, str):
                continue
            key = name.lower() if self.folded else name
            if key in seen:
                message = f"{short(name)} is there already, in element {seen[key]}"
                reader.add((*path, index, unique), message, code="job.duplicate")
            else:
                seen[key] = index


class MapOf(NamedTuple):
    """A mapping from texts of the shape ``key`` to values of the shape ``item``; never empty."""

    key: Text
    item: Shape

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, dict):
            reader.add(path, f"it has to be a mapping, not {shown(value)}", code="job.type")
            return None
        if not value:
            reader.add(path, "it is empty", code="job.length")
            return None
        found = {}
        for name, item in value.items():
            place = (*path, name if isinstance(name, str) else str(name))
            if self.key.read(name, place, reader, scope) is not None:
                found[name] = self.item.read(item, place, reader, scope)
        return found


class Field(NamedTuple):
    """A key of a record; ``null`` says whether a null is the same as nothing."""

    shape: Shape
    required: bool = False
    extension: str | None = None
    null: bool = True


class Record(NamedTuple):
    """A mapping with certain keys, which ``make`` turns into one of our types.

    ``check`` looks at what the fields have to do with each other: it gets the reader, the place, the mapping as
    it was written and the fields that were right. ``scopes`` gives the scope of the fields that have one of
    their own. ``elsewhere`` are keys that are of an extension which we hand over or leave out.
    """

    fields: Mapping[str, Field]
    make: Callable[..., Any]
    check: Callable[[Reader, Path, dict[str, Any], dict[str, Any]], None] | None = None
    scopes: Callable[[dict[str, Any], Scope], Mapping[str, Scope]] | None = None
    elsewhere: Mapping[str, str] = {}

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, dict):
            reader.add(path, f"it has to be a mapping, not {shown(value)}", code="job.type")
            return None
        before = len(reader.issues)
        own = self.scopes(value, scope) if self.scopes is not None else {}
        good: dict[str, Any] = {}
        for key, item in value.items():
            field = self.fields.get(key) if isinstance(key, str) else None
            if field is None:
                self._unknown(key, path, reader)
            elif item is None and field.null and not field.required:
                continue
            else:
                place = (*path, key)
                if not reader.allows(field.extension, place, str(key)):
                    continue
                read = field.shape.read(item, place, reader, own.get(key, scope))
                if read is not None:
                    good[key] = read
        for key, field in self.fields.items():
            if field.required and key not in value:
                reader.add(path, f"{key} is missing", code="job.missing")
        if self.check is not None:
            self.check(reader, path, value, good)
        return self.make(**good) if len(reader.issues) == before else None

    def _unknown(self, key: Any, path: Path, reader: Reader) -> None:
        if not isinstance(key, str):
            reader.add(path, f"the key {key!r} is not a string", code="job.key")
        elif key in self.elsewhere:
            reader.allows(self.elsewhere[key], (*path, key), key)
        else:
            hint = near(key, self.fields) or f"there are: {', '.join(self.fields)}"
            reader.add((*path, key), "there is no such key", code="job.key", hint=hint)


class Tagged(NamedTuple):
    """A mapping whose ``tag`` says which of the ``variants`` it is; ``gated`` are the tags of extensions."""

    tag: str
    variants: Mapping[str, Record]
    gated: Mapping[str, str] = {}

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, dict):
            reader.add(path, f"it has to be a mapping, not {shown(value)}", code="job.type")
            return None
        word = value.get(self.tag)
        if self.tag not in value:
            reader.add(path, f"{self.tag} is missing", code="job.missing")
            return None
        place = (*path, self.tag)
        if isinstance(word, str) and not reader.allows(self.gated.get(word), place, f"{self.tag} {word}"):
            return None
        if not isinstance(word, str) or word not in self.variants:
            Choice(tuple(self.variants)).read(word, place, reader, scope)
            return None
        return self.variants[word].read(value, path, reader, scope)


def record(make: Callable[..., Any], **fields: Field | Shape) -> Record:
    """Return a record of ``make``; a bare shape is an optional field."""
    return Record({n: f if isinstance(f, Field) else Field(f) for n, f in fields.items()}, make)


def needed(shape: Shape) -> Field:
    """Return a field that has to be there."""
    return Field(shape, required=True)
