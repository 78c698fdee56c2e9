"""The directives of a template: ``$include``, ``$if``, ``$embed``, ``$packages``.

Nodes become plain values. Two things are known only when the whole template has been read, the checksums of
embedded files and the packages that apt chooses; for them placeholders are left, which :meth:`Expander.finish`
replaces.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from osbuild_core.model.errors import Path
from osbuild_core.resolve.packageset import PackageSet, read_package_set
from osbuild_core.resolve.variables import (
    NAME,
    EmbedName,
    LateText,
    Overlay,
    Scope,
    interpolate,
)
from osbuild_core.resolve.yamlfile import fail, load, pairs, read_bytes, scalar, suggestion

_COMPANIONS = {"$include": ("$with",), "$if": ("$then", "$else"), "$embed": (), "$packages": ()}
_WORDS = (*_COMPANIONS, *(word for words in _COMPANIONS.values() for word in words))
# A template of aliases to aliases grows without bound; no honest one has so many values.
_MOST_VALUES = 250_000

Pair = tuple[str, yaml.ScalarNode, yaml.Node]


class _Gone:
    """What is left of a condition that does not hold."""


GONE: Final = _Gone()


class Expander:
    """Evaluates the nodes of one template and collects what they need: embedded files, package sets."""

    def __init__(self) -> None:
        self.inline: dict[str, dict[str, str]] = {}
        self.sets: list[PackageSet] = []
        self._embeds: dict[str, str] = {}
        self._files: dict[FilePath, yaml.Node | None] = {}
        self._including: list[FilePath] = []
        self._above: list[int] = []
        self._values = 0

    def value(self, node: yaml.Node, scope: Scope, path: Path) -> Any:
        """Return the value of ``node``; GONE for a condition that does not hold and has no ``$else``."""
        self._values += 1
        if self._values > _MOST_VALUES:
            fail(node, path, f"the template grows to more than {_MOST_VALUES} values")
        if isinstance(node, yaml.ScalarNode):
            plain = scalar(node, path)
            return interpolate(plain, scope, node, path) if isinstance(plain, str) else plain
        if id(node) in self._above:
            fail(node, path, "an alias stands inside of what it refers to")
        self._above.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, scope, path)
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, scope, path)
        finally:
            self._above.pop()

    def load(self, file: FilePath, node: yaml.Node | None = None, path: Path = ()) -> yaml.Node | None:
        """Return the root node of a file, read once."""
        if file not in self._files:
            self._files[file] = load(file, node, path)
        return self._files[file]

    def text(self, node: yaml.Node, scope: Scope, path: Path, what: str) -> str:
        """Return the value of ``node``, which has to be a string that is known now."""
        value = self.value(node, scope, path)
        if not isinstance(value, str):
            fail(node, path, f"{what} has to be a string")
        return value

    def _sequence(self, node: yaml.SequenceNode, scope: Scope, path: Path) -> list[Any]:
        if node.tag != "tag:yaml.org,2002:seq":
            fail(node, path, f"the tag {node.tag!r} is not known")
        result: list[Any] = []
        for index, item in enumerate(node.value):
            value = self.value(item, scope, (*path, index))
            if value is GONE:
                continue
            if isinstance(value, list) and isinstance(item, yaml.MappingNode):
                # Only a directive makes a list of a mapping.
                result.extend(value)
            else:
                result.append(value)
        return result

    def _mapping(self, node: yaml.MappingNode, scope: Scope, path: Path) -> Any:
        directive, words, plain = split(node, path)
        result: dict[str, Any] = {}
        for key, key_node, child in plain:
            name = self._key(key, key_node, scope, path)
            if name in result:
                fail(key_node, path, f"the key {name!r} occurs twice")
            value = self.value(child, scope, (*path, name))
            if value is not GONE:
                result[name] = value
        if directive is None:
            return result
        value = self._directive(directive, words, node, scope, path)
        if not plain:
            return value
        if value is GONE:
            return result
        if not isinstance(value, dict):
            fail(words[directive][0], path, f"{directive} beside other keys has to give a mapping")
        return {**value, **result}

    def _key(self, key: str, node: yaml.ScalarNode, scope: Scope, path: Path) -> str:
        name = interpolate(key.removeprefix("$") if key.startswith("$$") else key, scope, node, path)
        if not isinstance(name, str):
            fail(node, path, f"the key {key!r} does not become a string")
        return name

    def _directive(
        self,
        directive: str,
        words: Mapping[str, tuple[yaml.ScalarNode, yaml.Node]],
        node: yaml.MappingNode,
        scope: Scope,
        path: Path,
    ) -> Any:
        _, child = words[directive]
        place = (*path, directive)
        if directive == "$include":
            overlay = words.get("$with")
            if overlay:
                scope = self._with(overlay[1], scope, (*path, "$with"))
            return self._include(child, scope, place)
        if directive == "$if":
            if "$then" not in words and "$else" not in words:
                fail(node, path, "$if needs a $then or an $else")
            branch = "$then" if self._holds(child, scope, place) else "$else"
            return self.value(words[branch][1], scope, (*path, branch)) if branch in words else GONE
        if directive == "$embed":
            return self._embed(child, scope, place)
        fields = self.value(child, scope, place)
        self.sets.append(read_package_set(fields, child, place))
        return self.sets[-1]

    def _with(self, node: yaml.Node, scope: Scope, path: Path) -> Overlay:
        values = self.value(node, scope, path)
        if not isinstance(values, dict):
            fail(node, path, "$with has to be a mapping of variables")
        for name in values:
            if not NAME.fullmatch(name) or name == "embed":
                fail(node, path, f"{name!r} cannot be the name of a variable")
        return Overlay(scope, values)

    def _include(self, node: yaml.Node, scope: Scope, path: Path) -> Any:
        file = self.file(node, scope, path)
        self.enter(file, node, path)
        try:
            root = self.load(file, node, path)
            return None if root is None else self.value(root, scope, path)
        finally:
            self.leave()

    def file(self, node: yaml.Node, scope: Scope, path: Path) -> FilePath:
        """Return the file that ``node`` names, relative to the file that ``node`` is in."""
        name = self.text(node, scope, path, "the name of a file")
        return FilePath(node.start_mark.name).parent / name

    def enter(self, file: FilePath, node: yaml.Node | None, path: Path) -> None:
        """Note that ``file`` is being evaluated; refuse it where it is so already."""
        real = file.resolve()
        if real in self._including and node is not None:
            fail(node, path, f"{file} includes itself", code="resolve.include-cycle")
        self._including.append(real)

    def leave(self) -> None:
        """Undo the last :meth:`enter`."""
        self._including.pop()

    def _holds(self, node: yaml.Node, scope: Scope, path: Path) -> bool:
        if isinstance(node, yaml.ScalarNode) and isinstance(name := scalar(node, path), str):
            if not NAME.fullmatch(name):
                fail(node, path, f"{name!r} is not the name of a variable", hint="write just the name")
            return bool(scope.lookup(name, node, path))
        if not isinstance(node, yaml.MappingNode) or not node.value:
            fail(node, path, "$if takes the name of a variable, or a mapping of variables to values")
        # All are looked at, so that a wrong name is found whatever the others hold.
        checks = [
            _same(scope.lookup(name, key_node, (*path, name)), self.value(wanted, scope, (*path, name)))
            for name, key_node, wanted in pairs(node, path)
        ]
        return all(checks)

    def _embed(self, node: yaml.Node, scope: Scope, path: Path) -> str:
        fields = {}
        if isinstance(node, yaml.MappingNode):
            fields = {key: (key_node, child) for key, key_node, child in pairs(node, path)}
        for key, (key_node, _) in fields.items():
            if key not in ("text", "path", "name"):
                fail(key_node, path, f"$embed has no {key!r}", hint="it takes text or path, and name")
        if ("text" in fields) == ("path" in fields):
            fail(node, path, "$embed takes either text or path")
        if "text" in fields:
            data = self.text(fields["text"][1], scope, (*path, "text"), "text").encode()
        else:
            place = (*path, "path")
            child = fields["path"][1]
            data = read_bytes(self.file(child, scope, place), child, place)
        checksum = "sha256:" + hashlib.sha256(data).hexdigest()
        if "name" in fields:
            name_node = fields["name"][1]
            name = self.text(name_node, scope, (*path, "name"), "name")
            if not NAME.fullmatch(name):
                fail(name_node, path, f"{name!r} cannot be the name of an embedded file")
            if self._embeds.setdefault(name, checksum) != checksum:
                fail(name_node, path, f"two different embedded files are named {name!r}")
        self.inline[checksum] = {"encoding": "base64", "data": base64.b64encode(data).decode()}
        return checksum

    def finish(self, value: Any, locked: Mapping[PackageSet, Sequence[str]]) -> Any:
        """Return ``value`` with all placeholders replaced; ``locked`` has the checksums of each package set."""
        if isinstance(value, PackageSet):
            return list(locked[value])
        if isinstance(value, LateText):
            return "".join(p if isinstance(p, str) else self._checksum(p) for p in value.parts)
        if isinstance(value, dict):
            return {key: self.finish(item, locked) for key, item in value.items()}
        if isinstance(value, list):
            result: list[Any] = []
            for item in value:
                if isinstance(item, PackageSet):
                    result.extend(locked[item])
                else:
                    result.append(self.finish(item, locked))
            return result
        return value

    def _checksum(self, reference: EmbedName) -> str:
        checksum = self._embeds.get(reference.name)
        if checksum is None:
            hint = suggestion(reference.name, self._embeds, "embedded are")
            message = f"no embedded file is named {reference.name!r}"
            fail(reference.node, reference.path, message, code="resolve.variable", hint=hint)
        return checksum


def split(
    node: yaml.MappingNode, path: Path
) -> tuple[str | None, dict[str, tuple[yaml.ScalarNode, yaml.Node]], list[Pair]]:
    """Return the directive of a mapping, the words that belong to it, and the other keys."""
    words: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
    plain: list[Pair] = []
    for key, key_node, child in pairs(node, path):
        if not key.startswith("$") or key.startswith(("$$", "${")):
            plain.append((key, key_node, child))
            continue
        if key not in _WORDS:
            hint = suggestion(key, _WORDS, "directives are")
            fail(key_node, path, f"there is no directive {key!r}", hint=hint)
        words[key] = (key_node, child)
    directives = [word for word in words if word in _COMPANIONS]
    if len(directives) > 1:
        fail(words[directives[1]][0], path, f"{directives[0]} and {directives[1]} in one mapping")
    directive = directives[0] if directives else None
    for word, (key_node, _) in words.items():
        if word != directive and (directive is None or word not in _COMPANIONS[directive]):
            owner = next(name for name, others in _COMPANIONS.items() if word in others)
            fail(key_node, path, f"{word} without {owner}")
    return directive, words, plain


def _same(left: Any, right: Any) -> bool:
    """Compare as JSON does: ``true`` is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
