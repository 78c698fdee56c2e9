"""Asks the questions of a job-script template on the terminal, until an answer fits."""

from __future__ import annotations

from typing import Any

import click

from osbuild_core.cli.lines import printable
from osbuild_core.exports.jobs.scripts.errors import AnswerError
from osbuild_core.exports.jobs.scripts.questions import Question, accept

_HELP = {
    "integer": "a whole number",
    "checkbox": "numbers or values, with commas between them",
    "confirm": "y or n",
    "boolean-list": "y or n",
}


def ask(question: Question) -> Any:
    """Return an answer that fits; an empty line stands for the default. Prints on standard error."""
    for number, choice in enumerate(question.choices, start=1):
        click.echo(f"  {number}) {printable(choice.label)}", err=True)
    while True:
        text = click.prompt(_line(question), default="", show_default=False, prompt_suffix=": ", err=True)
        try:
            return _answer(question, text)
        except AnswerError as error:
            help_text = _HELP.get(question.kind)
            click.echo(f"  {printable(error.detail)}" + (f" ({help_text})" if help_text else ""), err=True)


def _line(question: Question) -> str:
    text = printable(question.message or question.name)
    bounds = [
        f"{word} {value}"
        for word, value in (("at least", question.minimum), ("at most", question.maximum))
        if value is not None
    ]
    if question.default is not None:
        bounds.append(f"[{_shown(question)}]")
    return " ".join([text, *bounds])


def _shown(question: Question) -> str:
    default = question.default
    if isinstance(default, bool):
        return "y" if default else "n"
    return ", ".join(map(str, default)) if isinstance(default, list) else str(default)


def _answer(question: Question, text: str) -> Any:
    if not text.strip():
        if question.default is not None:
            return accept(question, question.default)
        if question.kind == "checkbox":
            return []
        raise AnswerError(f"{question.name}: an answer is wanted")
    if question.kind in ("list", "checkbox"):
        words = [text.strip()] if question.kind == "list" else [one.strip() for one in text.split(",")]
        values = [_choice(question, word) for word in words if word]
        return accept(question, values if question.kind == "checkbox" else values[0])
    return accept(question, text)


def _choice(question: Question, word: str) -> Any:
    """Return what ``word`` chooses: a value or label, else the number that stands before it."""
    known = {str(choice.value) for choice in question.choices} | {one.label for one in question.choices}
    if word not in known and word.isdecimal() and 1 <= int(word) <= len(question.choices):
        return question.choices[int(word) - 1].value
    return word
