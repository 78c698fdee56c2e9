"""Questions as data: what may be asked, and which answers fit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.jobs.errors import kind as kind_of
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.scripts.errors import AnswerError, issue
from osbuild_core.model.errors import Issue, Path

KINDS = ("text", "integer", "list", "directory", "file", "checkbox", "confirm", "boolean-list", "const")
YES = frozenset({"y", "yes", "true", "on", "1"})
NO = frozenset({"n", "no", "false", "off", "0"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset({"data"})
"""Names that templates have for all variables together."""

_KEYS = {
    "text": {"default"},
    "integer": {"default", "min", "max"},
    "list": {"default", "choices"},
    "directory": {"default", "exists"},
    "file": {"default", "exists"},
    "checkbox": {"default", "choices"},
    "confirm": {"default"},
    "boolean-list": {"default", "when-true", "when-false"},
    "const": {"value", "default"},
}


@dataclass(frozen=True)
class Choice:
    """One of several answers: what is shown, and what it stands for."""

    label: str
    value: Any


@dataclass(frozen=True)
class Question:
    """A question; ``kind`` is one of KINDS.

    ``default`` is None where there is none. ``minimum`` and ``maximum`` are for integers, ``exists`` for files and
    directories (of the machine that asks), ``choices`` for lists. A boolean-list asks ``when_true`` or
    ``when_false`` next; a const is not asked, its ``default`` is the answer.
    """

    name: str
    kind: str
    message: str
    default: Any = None
    minimum: int | None = None
    maximum: int | None = None
    exists: bool = False
    choices: tuple[Choice, ...] = ()
    when_true: tuple[Question, ...] = ()
    when_false: tuple[Question, ...] = ()

    def all(self) -> Iterator[Question]:
        """Yield this one and what may follow it."""
        yield self
        for one in (*self.when_true, *self.when_false):
            yield from one.all()


def accept(question: Question, answer: Any) -> Any:
    """Return ``answer`` as the question's value; text, as of a terminal, becomes what is asked for.

    Raises AnswerError ``script.answer``.
    """
    try:
        return _ACCEPT[question.kind](question, answer)
    except ValueError as error:
        raise AnswerError(f"{question.name}: {error}", hint=question.message or None) from None


def _text(question: Question, answer: Any) -> str:
    if isinstance(answer, (Mapping, list)) or answer is None:
        raise ValueError(f"text is wanted, not {kind_of(answer)}")
    return str(answer)


def _integer(question: Question, answer: Any) -> int:
    if isinstance(answer, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", answer):
        answer = int(answer)
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise ValueError(f"{answer!r} is no whole number")
    if question.minimum is not None and answer < question.minimum:
        raise ValueError(f"{answer} is less than {question.minimum}")
    if question.maximum is not None and answer > question.maximum:
        raise ValueError(f"{answer} is more than {question.maximum}")
    return answer


def _list(question: Question, answer: Any) -> Any:
    for choice in question.choices:
        if type(choice.value) is type(answer) and choice.value == answer:
            return choice.value
    for choice in question.choices:
        if isinstance(answer, str) and answer.strip() in (str(choice.value), choice.label):
            return choice.value
    raise ValueError(f"{answer!r} is none of {', '.join(str(choice.value) for choice in question.choices)}")


def _checkbox(question: Question, answer: Any) -> list[Any]:
    if isinstance(answer, str):
        answer = [word.strip() for word in answer.split(",") if word.strip()]
    if not isinstance(answer, (list, tuple)):
        raise ValueError(f"a list is wanted, not {kind_of(answer)}")
    return [_list(question, one) for one in answer]


def _boolean(question: Question, answer: Any) -> bool:
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, str) and answer.strip().lower() in YES | NO:
        return answer.strip().lower() in YES
    raise ValueError(f"{answer!r} is neither yes nor no")


def _file(question: Question, answer: Any) -> str:
    path = os.path.expanduser(_text(question, answer).strip())
    is_there = os.path.isdir if question.kind == "directory" else os.path.isfile
    if not path:
        raise ValueError(f"the name of a {question.kind} is wanted")
    if question.exists and not is_there(path):
        raise ValueError(f"there is no {question.kind} {path}")
    return path


def _const(question: Question, answer: Any) -> Any:
    if answer != question.default:
        raise ValueError(f"it is {question.default!r}, and cannot be changed")
    return question.default


_ACCEPT = {
    "text": _text,
    "integer": _integer,
    "list": _list,
    "checkbox": _checkbox,
    "confirm": _boolean,
    "boolean-list": _boolean,
    "directory": _file,
    "file": _file,
    "const": _const,
}


def read_questions(document: Any, path: Path, issues: list[Issue]) -> tuple[Question, ...]:
    """Return the questions that ``document`` is; what is wrong goes to ``issues`` with its place."""
    if not isinstance(document, list):
        issues.append(issue("script.question", f"questions are a list, not {kind_of(document)}", path))
        return ()
    found = [_read(one, (*path, index), issues) for index, one in enumerate(document)]
    return tuple(one for one in found if one is not None)


def _read(document: Any, path: Path, issues: list[Issue]) -> Question | None:
    """Return one question; None where it is too wrong for more to be said of it."""
    if not isinstance(document, Mapping):
        issues.append(issue("script.question", f"a question is a mapping, not {kind_of(document)}", path))
        return None
    name, kind = document.get("name"), _kind(document.get("type", "text"))
    if kind not in KINDS:
        hint = near(str(kind), KINDS) or f"there are: {', '.join(KINDS)}"
        issues.append(
            issue("script.question", f"there is no type {document['type']!r}", (*path, "type"), hint)
        )
        return None
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        hint = "letters, digits and _, not data"
        issues.append(issue("script.question", f"{name!r} is no name of a variable", (*path, "name"), hint))
        return None
    known = {"name", "type", "message"} | _KEYS[kind]
    for key in document:
        if key not in known:
            hint = near(str(key), known) or f"there are: {', '.join(sorted(known))}"
            issues.append(
                issue("script.question", f"a {kind} question has no {key!r}", (*path, str(key)), hint)
            )
    question = Question(
        name,
        kind,
        str(document.get("message", "")),
        document.get("value", document.get("default")),
        _number(document, "min", path, issues),
        _number(document, "max", path, issues),
        document.get("exists") is True,
        _choices(document, kind, path, issues),
        read_questions(document.get("when-true", []), (*path, "when-true"), issues),
        read_questions(document.get("when-false", []), (*path, "when-false"), issues),
    )
    _check_default(question, path, issues)
    return question


def _check_default(question: Question, path: Path, issues: list[Issue]) -> None:
    if question.kind == "const":
        if question.default is None:
            issues.append(issue("script.question", "a const question has a value", (*path, "value")))
        return
    # Whether a file is there is for the moment in which it is asked for.
    if question.default is not None and question.kind not in ("file", "directory"):
        try:
            accept(question, question.default)
        except AnswerError as error:
            issues.append(issue("script.question", error.detail, (*path, "default")))


def _kind(text: Any) -> Any:
    """Return the kind that ``text`` names: ``BooleanList``, ``boolean_list`` and ``boolean-list`` are one."""
    if not isinstance(text, str):
        return text
    flat = re.sub(r"[-_ ]", "", text).lower()
    return next((kind for kind in KINDS if kind.replace("-", "") == flat), text)


def _number(document: Mapping[str, Any], key: str, path: Path, issues: list[Issue]) -> int | None:
    value = document.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        issues.append(issue("script.question", f"{value!r} is no whole number", (*path, key)))
        return None
    return value


def _choices(document: Mapping[str, Any], kind: str, path: Path, issues: list[Issue]) -> tuple[Choice, ...]:
    if "choices" not in _KEYS[kind]:
        return ()
    listed = document.get("choices")
    if not isinstance(listed, list) or not listed:
        hint = "a list of values, or of {label: …, value: …}"
        issues.append(issue("script.question", f"a {kind} question has choices", (*path, "choices"), hint))
        return ()
    found = []
    for one in listed:
        if isinstance(one, Mapping):
            found.append(Choice(str(one.get("label", one.get("value"))), one.get("value")))
        else:
            found.append(Choice(str(one), one))
    return tuple(found)
