"""What a JSON schema says about options, as a flat list: path, type, default, choices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

_ALTERNATIVES = ("oneOf", "anyOf", "allOf")
_INNER = ("properties", "patternProperties", "additionalProperties", "items", *_ALTERNATIVES)


_Mark = tuple[int, ...]


def _mark(schema: Schema) -> _Mark:
    """Return what tells a schema from others, however it was reached: schemas may contain themselves."""
    return tuple(id(schema.get(key)) for key in _INNER)


class Option(NamedTuple):
    """``path`` is like ``paths[].from``; ``*`` stands for names that are free. ``default`` is JSON text."""

    path: str
    type: str
    required: bool
    default: str | None
    choices: tuple[Any, ...]
    description: str


def option_table(schema: Schema, root: Schema) -> list[Option]:
    """Return the options that ``schema`` declares, at any depth; references in it are to parts of ``root``."""
    found: dict[str, Option] = {}
    for option in _Reader(root).below(schema, "", ()):
        other = found.get(option.path)
        found[option.path] = option if other is None else _merged(other, option)
    return list(found.values())


def _merged(one: Option, other: Option) -> Option:
    """Return what two alternatives say about an option."""
    types = dict.fromkeys([*one.type.split(" or "), *other.type.split(" or ")])
    return Option(
        one.path,
        " or ".join(types),
        one.required and other.required,
        one.default if one.default is not None else other.default,
        one.choices + tuple(choice for choice in other.choices if choice not in one.choices),
        one.description or other.description,
    )


class _Reader:
    def __init__(self, root: Schema) -> None:
        self.root = root

    def resolve(self, schema: object) -> Schema:
        """Return what ``schema`` is, or refers to; no schema at all is an empty one."""
        seen = set()
        while isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
            reference = schema["$ref"]
            if reference in seen or not reference.startswith("#/"):
                return {}
            seen.add(reference)
            found: object = self.root
            for part in reference[2:].split("/"):
                name = part.replace("~1", "/").replace("~0", "~")
                found = found.get(name) if isinstance(found, dict) else None
            # What is said beside a reference is said of it.
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**found, **beside} if isinstance(found, dict) else {}
        return schema if isinstance(schema, dict) else {}

    def variants(self, schema: Schema, above: tuple[_Mark, ...] = ()) -> Iterator[Schema]:
        """Yield ``schema`` and the alternatives that it lists."""
        yield schema
        mark = _mark(schema)
        if mark not in above:
            for key in _ALTERNATIVES:
                for alternative in schema.get(key, ()):
                    yield from self.variants(self.resolve(alternative), (*above, mark))

    def required(self, schema: Schema, above: tuple[_Mark, ...] = ()) -> set[str]:
        """Return the members that ``schema`` requires, whichever alternative is taken."""
        said = schema.get("required")
        names = {name for name in said if isinstance(name, str)} if isinstance(said, list) else set()
        mark = _mark(schema)
        for key in _ALTERNATIVES if mark not in above else ():
            sets = [self.required(self.resolve(one), (*above, mark)) for one in schema.get(key, ())]
            names |= (
                set.union(*sets) if sets and key == "allOf" else set.intersection(*sets) if sets else set()
            )
        return names

    def below(self, schema: Schema, path: str, above: tuple[_Mark, ...]) -> Iterator[Option]:
        """Yield the options inside of ``schema``, which is at ``path`` and inside of the schemas ``above``."""
        named: dict[str, list[Schema]] = {}
        required = self.required(schema)
        inner: list[Schema] = []
        for variant in self.variants(schema):
            for name, one in _members(variant.get("properties")):
                named.setdefault(name, []).append(self.resolve(one))
            free = [one for _, one in _members(variant.get("patternProperties"))]
            free += (
                [variant["additionalProperties"]]
                if isinstance(variant.get("additionalProperties"), dict)
                else []
            )
            for one in free:
                named.setdefault("*", []).append(self.resolve(one))
            items = variant.get("items")
            inner += [self.resolve(one) for one in (items if isinstance(items, list) else [items]) if one]
        for name, schemas in named.items():
            place = f"{path}.{name}" if path else name
            yield self.option(place, schemas, name in required)
            for one in schemas:
                yield from self.inside(one, place, above)
        for one in inner:
            yield from self.inside(one, f"{path}[]", above)

    def inside(self, schema: Schema, path: str, above: tuple[_Mark, ...]) -> Iterator[Option]:
        mark = _mark(schema)
        if mark not in above:
            yield from self.below(schema, path, (*above, mark))

    def option(self, path: str, schemas: list[Schema], required: bool) -> Option:
        variants = [variant for schema in schemas for variant in self.variants(schema)]
        types: dict[str, None] = {}
        for variant in variants:
            types.update(dict.fromkeys(self.types(variant)))
        default = next((v["default"] for v in variants if "default" in v), None)
        has_default = any("default" in variant for variant in variants)
        choices = {json.dumps(value): value for variant in variants for value in variant.get("enum", ())}
        description = next((v["description"] for v in variants if v.get("description")), "")
        text = " ".join(description) if isinstance(description, list) else str(description)
        return Option(
            path,
            " or ".join(types) or "any",
            required,
            json.dumps(default) if has_default else None,
            tuple(choices.values()),
            " ".join(text.split()),
        )

    def types(self, schema: Schema) -> Iterator[str]:
        said = schema.get("type")
        for name in said if isinstance(said, list) else [said] if said else []:
            items = schema.get("items")
            if name == "array" and isinstance(items, dict):
                variants = self.variants(self.resolve(items))
                of = {str(v["type"]): None for v in variants if isinstance(v.get("type"), str)}
                yield f"list of {' or '.join(of)}" if of else "list"
            else:
                yield "list" if name == "array" else str(name)


def _members(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from value.items()
