"""Documents of templates: JSON, or YAML 1.2, as Python has them.

PyYAML's own loaders are of YAML 1.1, where ``yes`` is true, ``0644`` is 420, ``1:30`` is 90 and a date is no
string. Events are put together here instead, with the scalars of JSON; that also finds keys that occur twice, and
cannot be nested into a crash.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from osbuild_core.exports.jobs.errors import DecodeValidationError, kind
from osbuild_core.model.errors import Issue, UsageError

if TYPE_CHECKING:
    import os

DEEPEST = 100
"""Levels that a document may have; templates have about a dozen."""

LARGEST = 64 << 20
"""Bytes that a file may have. A device may have no end."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST = frozenset("0123456789+-.~ntfNTF")
"""What a plain scalar that is not a string begins with."""

_TAG = "tag:yaml.org,2002:"
_MERGE = object()
_NO_KEY = object()


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the mapping in the file at ``path``: JSON where the name ends in .json, else YAML.

    Raises UsageError where it cannot be read, DecodeValidationError where it is neither.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {path}: {reason}", code="usage.template") from error
    if len(data) > LARGEST:
        raise UsageError(
            f"{path} is no template: it has more than {LARGEST >> 20} MiB", code="usage.template"
        )
    try:
        return parse_document(data, as_json=str(path).lower().endswith(".json"))
    except DecodeValidationError as error:
        issues = [issue._replace(message=f"{path}: {issue.message}") for issue in error.issues]
        raise DecodeValidationError(issues) from None


def parse_document(data: bytes | str, *, as_json: bool) -> dict[str, Any]:
    """Return the mapping that ``data`` is. Raises DecodeValidationError ``job.document``."""
    name = "JSON" if as_json else "YAML"
    try:
        text = data if isinstance(data, str) else data.decode()
        found = _json(text) if as_json else _yaml(text.removeprefix("\ufeff"))
    except UnicodeDecodeError:
        _refuse("it is not UTF-8 text")
    except RecursionError:
        _refuse("it is nested too deeply")
    except ValueError as error:
        if isinstance(error, DecodeValidationError):
            raise
        _refuse(f"it is not {name}: {error}")
    if not isinstance(found, dict):
        _refuse(f"it has to be a mapping, not {'empty' if found is None else kind(found)}")
    return found


def _refuse(message: str) -> NoReturn:
    raise DecodeValidationError([Issue(message, (), "job.document")])


def _json(text: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            _refuse(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice in a mapping")
        return found

    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark")
    found = json.loads(text, object_pairs_hook=pairs, parse_constant=_constant)
    if _HALF.search(text):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise ValueError(f"{half} is half of a character, without the other half") from None
    return found


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


class _Frame:
    """A list or a mapping that is being put together."""

    __slots__ = ("anchor", "key", "merged", "value")

    def __init__(self, value: list[Any] | dict[Any, Any], anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: Any = _NO_KEY
        self.merged: list[dict[Any, Any]] = []


class _Builder:
    """Puts YAML events together."""

    def __init__(self) -> None:
        self.root: Any = None
        self.documents = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Any] = {}

    def scalar(self, event: Any) -> None:
        value = _scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        self._put(value, event)

    def alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            _refuse(f"{_place(event)}: the alias *{event.anchor} stands for nothing before it")
        self._put(self._anchors[event.anchor], event)

    def start(self, value: list[Any] | dict[Any, Any], event: Any) -> None:
        if len(self._stack) == DEEPEST:
            _refuse(f"{_place(event)}: it is nested too deeply")
        if event.tag is not None and event.tag not in (_TAG + "map", _TAG + "seq", "!"):
            _refuse(f"{_place(event)}: the tag {event.tag!r} is not known")
        self._stack.append(_Frame(value, event.anchor))

    def end(self, event: Any) -> None:
        frame = self._stack.pop()
        value = frame.value
        if frame.merged and isinstance(value, dict):
            merged: dict[Any, Any] = {}
            for other in reversed(frame.merged):
                merged.update(other)
            value = {**merged, **value}
        if frame.anchor is not None:
            self._anchors[frame.anchor] = value
        self._put(value, event)

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            _refuse(f"{_place(event)}: a second document begins, only one is expected")

    def _put(self, value: Any, event: Any) -> None:
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(None if value is _MERGE else value)
        elif frame.key is _NO_KEY:
            if isinstance(value, (list, dict)):
                _refuse(f"{_place(event)}: {kind(value)} cannot be a key")
            if value is not _MERGE and value in frame.value:
                _refuse(f"{_place(event)}: the key {value!r} occurs twice")
            frame.key = value
        elif frame.key is _MERGE:
            self._merge(frame, value, event)
        else:
            frame.value[frame.key] = "<<" if value is _MERGE else value
            frame.key = _NO_KEY

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in several):
            _refuse(f"{_place(event)}: only a mapping, or a list of them, can be merged with <<")
        frame.merged.extend(several)
        frame.key = _NO_KEY


def _yaml(text: str) -> Any:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    scalar, alias, end = builder.scalar, builder.alias, builder.end
    try:
        for event in yaml.parse(text, Loader=loader):
            match event:
                case yaml.ScalarEvent():
                    scalar(event)
                case yaml.MappingStartEvent():
                    builder.start({}, event)
                case yaml.SequenceStartEvent():
                    builder.start([], event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    end(event)
                case yaml.AliasEvent():
                    alias(event)
                case yaml.DocumentStartEvent():
                    builder.document(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        _refuse(f"{where}it is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        _refuse(f"it is not YAML: {' '.join(str(error).split())}")
    return builder.root


def _place(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _scalar(event: Any) -> Any:
    text: str = event.value
    tag = event.tag
    if tag is None:
        if not event.implicit[0]:
            return text
        return _plain(text, event)
    if tag in (_TAG + "str", "!"):
        return text
    value = _plain(text, event)
    kinds: dict[str, type | tuple[type, ...]] = {
        "null": type(None),
        "bool": bool,
        "int": int,
        "float": (int, float),
    }
    expected = kinds.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
    if expected is None:
        _refuse(f"{_place(event)}: the tag {tag!r} is not known")
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        _refuse(f"{_place(event)}: {text!r} is not what its tag says")
    return value


def _plain(text: str, event: Any) -> Any:
    if text == "<<":
        return _MERGE
    if text[:1] not in _FIRST and text:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > 4000:
            _refuse(f"{_place(event)}: a number of {len(text)} digits is too long")
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
