"""Variables of a template: declarations, values from the command line, ``${name}`` in strings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from osbuild_core.model.errors import Path, ResolveError
from osbuild_core.resolve.yamlfile import fail, mark_text, pairs, scalar, suggestion

CODE = "resolve.variable"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_REFERENCE = re.compile(r"(\$\$\{)|\$\{([^}]*)(\}?)")
_LONG_FORM = ("default", "description", "required", "type", "secret")
_TYPES = ("string", "integer", "number", "boolean", "list", "map")


@dataclass(frozen=True, slots=True)
class EmbedName:
    """The checksum of the embedded file of that name; known when the whole template has been read."""

    name: str
    node: yaml.Node
    path: Path


@dataclass(frozen=True, slots=True)
class LateText:
    """A string with parts that are known only at the end."""

    parts: tuple[str | EmbedName, ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """One entry of ``variables:``. ``default`` is a node, evaluated when it is used; None: there is none."""

    name: str
    node: yaml.Node
    path: Path
    default: yaml.Node | None
    type: str | None
    required: bool
    secret: bool
    description: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what a reader needs in order to give a value: ``default`` is as the template writes it.

        That of a secret variable is left out. Raises ResolveError where the default is no value that YAML has.
        """
        default = None if self.default is None else written(self.default, self.path)
        fields: dict[str, Any] = {"name": self.name, "type": self.type or _type_of(default)}
        if self.required:
            fields["required"] = True
        elif not self.secret:
            fields["default"] = default
        if self.secret:
            fields["secret"] = True
        return {**fields, "description": self.description}


def written(node: yaml.Node, path: Path) -> Any:
    """Return a node's value as it stands there: references and directives are left as they are."""
    if isinstance(node, yaml.SequenceNode):
        return [written(child, (*path, index)) for index, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return {key: written(child, (*path, key)) for key, _, child in pairs(node, path)}
    assert isinstance(node, yaml.ScalarNode)
    return scalar(node, path)


def declare(name: str, node: yaml.Node, path: Path) -> Declaration:
    """Read one declaration, in its short or its long form. Raises ResolveError ``resolve.variable``."""
    if not NAME.fullmatch(name) or name == "embed":
        fail(node, path, f"{name!r} cannot be the name of a variable", code=CODE)
    if not isinstance(node, yaml.MappingNode):
        return Declaration(name, node, path, node, None, False, False)
    fields: dict[str, Any] = {
        "default": None,
        "type": None,
        "required": False,
        "secret": False,
        "description": "",
    }
    for key, key_node, value in pairs(node, path):
        place = (*path, key)
        if key not in _LONG_FORM:
            hint = "a default that is a mapping is written {default: {…}}"
            fail(key_node, place, f"a variable has no {key!r}", code=CODE, hint=hint)
        if key == "default":
            fields[key] = value
            continue
        content = scalar(value, place) if isinstance(value, yaml.ScalarNode) else None
        if key == "type" and content not in _TYPES:
            fail(value, place, "type has to be one of " + ", ".join(_TYPES), code=CODE)
        if key in ("required", "secret") and not isinstance(content, bool):
            fail(value, place, f"{key} has to be true or false", code=CODE)
        fields[key] = "" if key == "description" and content is None else content
    if fields["default"] is None:
        # Without a default there is nothing to fall back on.
        fields["required"] = True
    fields["description"] = str(fields["description"])
    return Declaration(name, node, path, **fields)


class Scope:
    """The variables of a template, each evaluated once, when it is first used.

    ``evaluate`` turns the node of a default into its value.
    """

    def __init__(self, given: Mapping[str, str], evaluate: Callable[[yaml.Node, Scope, Path], Any]) -> None:
        self._given = given
        self._evaluate = evaluate
        self._declared: dict[str, Declaration] = {}
        self._values: dict[str, Any] = {}
        self._busy: list[str] = []

    def declare(self, declaration: Declaration) -> None:
        """Add a declaration; an earlier one of the same name wins."""
        self._declared.setdefault(declaration.name, declaration)

    def declarations(self) -> tuple[Declaration, ...]:
        """Return what was declared, by name."""
        return tuple(self._declared[name] for name in sorted(self._declared))

    def check_given(self) -> None:
        """Refuse values for variables that nobody declared, and required ones without a value."""
        for name in self._given:
            if name not in self._declared:
                raise ResolveError(
                    f"the template declares no variable {name!r}",
                    code=CODE,
                    hint=suggestion(name, self._declared, "declared are"),
                )
        for name, declaration in self._declared.items():
            if declaration.required and name not in self._given:
                where = mark_text(declaration.node)
                raise ResolveError(
                    f"{where}: the variable {name!r} has no value",
                    code=CODE,
                    hint=f"give one with -D {name}=…",
                    place=declaration.path,
                )
            self.lookup(name, declaration.node, declaration.path)

    def recorded(self) -> dict[str, str]:
        """Return the values that were given, sorted, without those of secret variables."""
        return {n: self._given[n] for n in sorted(self._given) if not self._declared[n].secret}

    def known(self) -> set[str]:
        """Return the names that can be looked up."""
        return set(self._declared)

    def lookup(self, name: str, node: yaml.Node, path: Path) -> Any:
        """Return the value of a variable; ``node`` is where it is used."""
        if name in self._values:
            return self._values[name]
        declaration = self._declared.get(name)
        if declaration is None:
            hint = suggestion(name, self.known(), "declared are")
            fail(node, path, f"there is no variable {name!r}", code=CODE, hint=hint)
        if name in self._busy:
            chain = " → ".join([*self._busy[self._busy.index(name) :], name])
            fail(node, path, f"variables depend on each other: {chain}", code=CODE)
        self._busy.append(name)
        try:
            value = self._value(declaration)
        finally:
            self._busy.pop()
        self._values[name] = value
        return value

    def _value(self, declaration: Declaration) -> Any:
        default, node = None, declaration.default
        if node is not None:
            default = self._evaluate(node, self, declaration.path)
            if declaration.type and not _is(default, declaration.type):
                fail(node, declaration.path, f"the default is not of type {declaration.type}", code=CODE)
        if declaration.name not in self._given:
            return default
        return _convert(declaration, self._given[declaration.name], declaration.type or _type_of(default))


class Overlay(Scope):
    """A scope with the values of ``$with`` over another one."""

    def __init__(self, below: Scope, values: Mapping[str, Any]) -> None:
        super().__init__({}, below._evaluate)
        self._below = below
        self._values.update(values)

    def known(self) -> set[str]:
        return self._below.known() | set(self._values)

    def lookup(self, name: str, node: yaml.Node, path: Path) -> Any:
        if name in self._values:
            return self._values[name]
        if name not in self._below.known():
            hint = suggestion(name, self.known(), "known are")
            fail(node, path, f"there is no variable {name!r}", code=CODE, hint=hint)
        return self._below.lookup(name, node, path)


def interpolate(text: str, scope: Scope, node: yaml.Node, path: Path) -> Any:
    """Replace ``${name}`` in ``text``; a text that is just that gives the value with its type."""
    if "${" not in text:
        return text
    parts: list[str | EmbedName] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        escaped, name, closed = match.groups()
        parts.append(text[end : match.start()])
        end = match.end()
        if escaped:
            parts.append("${")
            continue
        if not closed:
            fail(node, path, "'${' without '}'", code=CODE, hint="write $${ for a literal ${")
        value = _reference(name, scope, node, path)
        if match.span() == (0, len(text)):
            return value
        if isinstance(value, LateText):
            parts.extend(value.parts)
        elif isinstance(value, bool):
            parts.append("true" if value else "false")
        elif isinstance(value, str | int | float):
            parts.append(str(value))
        else:
            hint = "use it alone, as the whole value"
            fail(node, path, f"{name!r} is not a text or a number", code=CODE, hint=hint)
    parts.append(text[end:])
    if any(isinstance(part, EmbedName) for part in parts):
        return LateText(tuple(parts))
    return "".join(part for part in parts if isinstance(part, str))


def _reference(name: str, scope: Scope, node: yaml.Node, path: Path) -> Any:
    kind, dot, rest = name.partition(".")
    if dot and kind == "embed" and NAME.fullmatch(rest):
        return LateText((EmbedName(rest, node, path),))
    if not NAME.fullmatch(name):
        message = f"{name!r} is not the name of a variable"
        fail(node, path, message, code=CODE, hint="write $${ for a literal ${")
    return scope.lookup(name, node, path)


def _type_of(default: Any) -> str:
    for name in ("boolean", "integer", "number", "list", "map"):
        if _is(default, name):
            return name
    return "string"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    types: dict[str, Any] = {
        "string": str | LateText,
        "integer": int,
        "number": int | float,
        "list": list,
        "map": dict,
        "boolean": bool,
    }
    return isinstance(value, types[kind])


def _convert(declaration: Declaration, text: str, kind: str) -> Any:
    try:
        text.encode()
        if kind == "string":
            return text
        value = json.loads(text)
        # Written again, since Python reads NaN and Infinity, which a manifest cannot hold.
        json.dumps(value, allow_nan=False)
        if _is(value, kind):
            return value
    except (ValueError, RecursionError):
        pass
    shown = "" if declaration.secret else f" {text!r}"
    raise ResolveError(
        f"the value{shown} of the variable {declaration.name!r} is not of type {kind}",
        code=CODE,
        hint=f"it is declared at {mark_text(declaration.node)}",
    )
