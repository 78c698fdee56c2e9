"""The text of a configuration file: variables put in, YAML read as awspub reads it, duplicate keys refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from osbuild_core.exports.aws.errors import AwsError

_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Scalars as in YAML 1.2: ``yes``, ``012:30`` and dates are strings. The parser in Python, since the one in
    C ends the process on deeply nested input."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _value in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            key = self.construct_object(key_node, deep=True)
            try:
                again = key in seen
                seen.add(key)
            except TypeError:
                continue
            if again:
                mark = key_node.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} occurs twice", mark)
        return super().construct_mapping(node, deep=deep)

    def _integer(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        return sign * int(digits[2:] if base != 10 else digits, base)


for _name, _form, _first in _CORE:
    for _letter in _first:
        _Loader.yaml_implicit_resolvers.setdefault("" if _letter == "\0" else _letter, []).append(
            (_TAG + _name, re.compile(rf"(?:{_form})\Z"))
        )
_Loader.add_constructor(_TAG + "int", _Loader._integer)


def read_text(path: Path, code: str) -> str:
    """Return the text of ``path``. Raises AwsError ``code``."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "is the path right, and readable for you?"
        raise AwsError(f"cannot read {path}: {error.strerror}", code=code, hint=hint) from error
    except ValueError as error:
        message = f"cannot read {path}: it is not UTF-8 text"
        raise AwsError(message, code=code, hint="save it as UTF-8") from error


def parse(text: str, name: str, code: str) -> Any:
    """Return the document in ``text``; ``name`` is in the error. Raises AwsError ``code`` with line and column."""
    where = name
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        reason = error.problem or error.context or "it is not valid"
    except RecursionError:
        reason = "it is nested too deeply"
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
    raise AwsError(
        f"{where}: not valid YAML: {reason}", code=code, hint="quote what YAML may take for something else"
    )


def read_mapping(path: Path | None) -> dict[str, Any]:
    """Return the variables in the file ``path``. Raises AwsError ``ami.mapping``."""
    if path is None:
        return {}
    found = parse(read_text(path, "ami.mapping"), str(path), "ami.mapping")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise AwsError(
            f"{path}: it is no mapping of names to values", code="ami.mapping", hint="like: version: '1.2'"
        )
    return {str(key): value for key, value in found.items()}


def substitute(text: str, variables: Mapping[str, Any], name: str) -> str:
    """Return ``text`` with ``$name`` and ``${name}`` replaced. Raises AwsError ``ami.mapping``."""
    template = Template(text)
    try:
        return template.substitute(variables)
    except KeyError as error:
        variable = str(error.args[0])
        line = _line_of(template, variable)
        raise AwsError(
            f"{name}:{line}: the variable ${variable} is not set",
            code="ami.mapping",
            hint="give it in the file of --config-mapping; a dollar sign itself is written $$",
        ) from error
    except ValueError as error:
        match = next((m for m in template.pattern.finditer(text) if m["invalid"] is not None), None)
        line = text.count("\n", 0, match.start()) + 1 if match else 1
        raise AwsError(
            f"{name}:{line}: a $ is not followed by a name",
            code="ami.mapping",
            hint="write $$ for a dollar sign",
        ) from error


def _line_of(template: Template, variable: str) -> int:
    for match in template.pattern.finditer(template.template):
        if variable in (match["named"], match["braced"]):
            return template.template.count("\n", 0, match.start()) + 1
    return 1
