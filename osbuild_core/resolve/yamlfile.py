"""YAML files as nodes that know their place, with the scalars of JSON.

Templates are evaluated on the nodes, not on Python values, so that every error can name file, line
and column, and so that a branch that is not taken is never looked at.
"""

from __future__ import annotations

import difflib
import io
import math
import re
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path as FilePath
from typing import Any, NoReturn, cast

import yaml

from osbuild_core.model.errors import Path, ResolveError

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_PLAIN = _TAG + "plain"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}


class _Loader(yaml.SafeLoader):
    """Composes nodes only: scalars without quotes get a tag of our own, :func:`scalar` does the rest.

    The parser in Python, because the one in C ends the process on deeply nested input.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        "<": [(_MERGE, re.compile(r"<<\Z"))],
        None: [(_PLAIN, re.compile(""))],
    }


class _Stream(io.BytesIO):
    """Bytes with the name that marks show."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def fail(
    node: yaml.Node, path: Path, message: str, *, code: str = "resolve.template", hint: str | None = None
) -> NoReturn:
    """Raise a :class:`ResolveError` that starts with the file, line and column of ``node``."""
    raise ResolveError(f"{mark_text(node)}: {message}", code=code, hint=hint, place=path)


def mark_text(node: yaml.Node) -> str:
    """Return ``file:line:column`` of ``node``, counted from one."""
    mark = node.start_mark
    return f"{mark.name}:{mark.line + 1}:{mark.column + 1}"


def suggestion(word: str, known: Iterable[str], what: str) -> str:
    """Return a hint for a word that is not known: the nearest one, else all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"{what}: {', '.join(names)}" if names else f"{what}: none"


ROOT: ContextVar[FilePath | None] = ContextVar("root", default=None)
"""The directory that files of a template have to be in, links followed; None: they may be anywhere."""


def read_bytes(file: FilePath, node: yaml.Node | None = None, path: Path = ()) -> bytes:
    """Return the content of a file that a template names.

    Raises ResolveError ``resolve.file`` where it cannot be read, or is not in :data:`ROOT`.
    """
    root = ROOT.get()
    if root is not None and not file.resolve().is_relative_to(root.resolve()):
        message = f"{file.name} is outside of what the template may read"
        if node is None:
            raise ResolveError(message, code="resolve.file", place=path)
        fail(node, path, message, code="resolve.file")
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot read {file}: {reason}"
        if node is not None:
            fail(node, path, message, code="resolve.file")
        raise ResolveError(message, code="resolve.file", hint="name a file with a template") from None


def load(file: FilePath, node: yaml.Node | None = None, path: Path = ()) -> yaml.Node | None:
    """Return the root node of the YAML document in ``file``, None where it is empty.

    Raises ResolveError ``resolve.file`` or, with the place of the mistake, ``resolve.yaml``.
    """
    data = read_bytes(file, node, path)
    try:
        loader = _Loader(_Stream(data, str(file)))
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        reason = error.problem or error.context
    except RecursionError:
        where, reason = str(file), "it is nested too deeply"
    except (yaml.YAMLError, UnicodeError) as error:
        where, reason = str(file), " ".join(str(error).split())
    raise ResolveError(f"{where}: not valid YAML: {reason}", code="resolve.yaml", place=path)


def scalar(node: yaml.ScalarNode, path: Path) -> Any:
    """Return the value of a scalar as JSON would read it: a plain ``yes``, ``0644`` or date is a string."""
    text = cast(str, node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind in ("str", "merge"):
        return text
    if kind in ("plain", "null", "bool", "int", "float"):
        value = _plain(node, text, path)
        if kind == "plain" or _fits(value, kind):
            return value
        fail(node, path, f"{text!r} is not what its tag !!{kind} says")
    fail(node, path, f"the tag {node.tag!r} is not known", hint="templates use the types of JSON only")


def _fits(value: Any, kind: str) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "null": type(None),
        "bool": bool,
        "int": int,
        "float": (int, float),
    }
    return isinstance(value, types[kind]) and (kind == "bool" or not isinstance(value, bool))


def _plain(node: yaml.Node, text: str, path: Path) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        try:
            return int(text)
        except ValueError:
            fail(node, path, f"a number of {len(text)} digits is too long")
    if _NUMBER.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            fail(node, path, f"the number {text} is too large")
        return number
    return text


def pairs(node: yaml.MappingNode, path: Path) -> list[tuple[str, yaml.ScalarNode, yaml.Node]]:
    """Return (key, node of the key, node of the value) with merge keys (``<<``) resolved.

    What is written out wins over what is merged, an earlier merged mapping over a later one.
    """
    if node.tag != _TAG + "map":
        fail(node, path, f"the tag {node.tag!r} is not known", hint="templates use the types of JSON only")
    return list(_pairs(node, path, ()).values())


_Pair = tuple[str, yaml.ScalarNode, yaml.Node]


def _pairs(node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, _Pair]:
    if id(node) in above:
        fail(node, path, "this mapping is merged into itself")
    above = (*above, id(node))
    own: dict[str, _Pair] = {}
    merged: dict[str, _Pair] = {}
    for key_node, value in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            fail(key_node, path, "a key has to be a plain word or a string")
        if key_node.tag == _MERGE:
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for item in several:
                if not isinstance(item, yaml.MappingNode):
                    fail(item, path, "only a mapping, or a list of mappings, can be merged with <<")
                for key, pair in _pairs(item, path, above).items():
                    merged.setdefault(key, pair)
            continue
        key = cast(str, key_node.value)
        if key in own:
            fail(key_node, path, f"the key {key!r} occurs twice")
        own[key] = (key, key_node, value)
    # The place of a key is that of its first mention, merged keys come first.
    return {**merged, **own}
