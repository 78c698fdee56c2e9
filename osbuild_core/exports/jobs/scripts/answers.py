"""The values of a template's variables: defaults, a file of answers, ``NAME=VALUE``, and what is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.scripts.errors import AnswerError
from osbuild_core.exports.jobs.scripts.questions import Question, accept
from osbuild_core.exports.jobs.scripts.template import ScriptTemplate

Ask = Callable[[Question], Any]
"""Asks until there is an answer that fits, and returns it."""


def read_words(words: Sequence[str]) -> dict[str, str]:
    """Return the values that words of the form NAME=VALUE give; a later one wins. Raises AnswerError."""
    found = {}
    for word in words:
        match = re.fullmatch(r"([^=]+)=(.*)", word, re.DOTALL)
        if match is None:
            raise AnswerError(f"{word!r} has no value", hint="as in nodes=4")
        found[match[1].strip()] = match[2]
    return found


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the answers in the file at ``path``: JSON where its name ends so, else YAML.

    Jobbergate's files have them below ``data``, or flat; so may these. Raises UsageError, DecodeValidationError.
    """
    from osbuild_core.exports.jobs.document import read_document

    found = read_document(path)
    data = found.get("data")
    return dict(data) if isinstance(data, Mapping) and len(found) == 1 else found


def resolve(
    template: ScriptTemplate,
    given: Mapping[str, Any],
    words: Mapping[str, str],
    *,
    used: Iterable[str] = (),
    ask: Ask | None = None,
) -> dict[str, Any]:
    """Return the value of each variable of ``template``.

    ``given`` come from a file, ``words`` from a command line, where all is text and becomes of the default's type.
    ``used`` are names that the files of the template use, which may be given too. Questions without an answer are
    put to ``ask``; without it their defaults are taken. Raises AnswerError: ``script.unknown-variable``,
    ``script.unanswered``, ``script.answer``.
    """
    asked = {question.name for question in template.all_questions()}
    known = {*template.variables, *asked, *used}
    for name in (*given, *words):
        if name not in known:
            hint = near(name, known) or f"there are: {', '.join(sorted(known)) or 'none'}"
            raise AnswerError(
                f"the template has no variable {name!r}", code="script.unknown-variable", hint=hint
            )
    values = dict(template.variables)
    for name, value in given.items():
        values[name] = value
    for name, text in words.items():
        values[name] = text if name in asked else _typed(name, text, template.variables.get(name))
    answers = {**given, **words}
    for question in template.questions:
        _answer(question, answers, values, ask)
    return values


def _answer(question: Question, answers: Mapping[str, Any], values: dict[str, Any], ask: Ask | None) -> None:
    name = question.name
    if name in answers:
        values[name] = accept(question, answers[name])
    elif question.kind == "const":
        values[name] = question.default
    elif ask is not None:
        values[name] = ask(question)
    elif question.default is not None:
        values[name] = accept(question, question.default)
    elif name not in values:
        raise AnswerError(
            f"{name} has no answer" + (f": {question.message}" if question.message else ""),
            code="script.unanswered",
            hint=f"give one with -D {name}=…, in a file, or on a terminal",
        )
    if question.kind == "boolean-list":
        for one in question.when_true if values[name] else question.when_false:
            _answer(one, answers, values, ask)


def _typed(name: str, text: str, default: Any) -> Any:
    """Return what ``text`` is, as of the type of the variable's default; without one, a number where it is one."""
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return accept(Question(name, "confirm", ""), text)
    if isinstance(default, int):
        return accept(Question(name, "integer", ""), text)
    import json

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if default is not None and not isinstance(
        value, (float, int) if isinstance(default, float) else type(default)
    ):
        raise AnswerError(f"{name}: {text!r} is not as its default is", hint=f"which is {default!r}")
    return value
