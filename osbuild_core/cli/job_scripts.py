"""What ``job render`` and ``job submit`` share: the options that make files of a template."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from osbuild_core.cli.commands import Place
from osbuild_core.cli.lines import printable

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Written:
    """What was made of a template: the files, the entrypoint first, and what is to be said of it."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    name: str

    @property
    def script(self) -> Path:
        return self.files[0]


def render_options(function: F) -> F:
    """Add the options for the values of a template, and where its files go."""
    for option in (
        click.option("--force", is_flag=True, help="Overwrite files that are there already."),
        click.option(
            "--output-dir",
            "-o",
            default=".",
            show_default=True,
            metavar="DIR",
            type=Place(path_type=Path),
            help="Where the files go.",
        ),
        click.option(
            "--sbatch",
            "-S",
            multiple=True,
            metavar="PARAMETER",
            help="Parameter of sbatch, as in --sbatch=--time=10; wins over those of the script.",
        ),
        click.option("--fast", is_flag=True, help="Ask nothing that has a default."),
        click.option(
            "--answers",
            "-f",
            metavar="FILE",
            type=Place(path_type=Path),
            help="YAML or JSON file with values of variables and answers to questions.",
        ),
        click.option(
            "-D",
            "--define",
            "words",
            multiple=True,
            metavar="NAME=VALUE",
            help="Value of a variable, or answer to a question; wins over the file.",
        ),
    ):
        function = option(function)
    return function


def make(
    folder: Path,
    words: tuple[str, ...],
    answers: Path | None,
    fast: bool,
    sbatch: tuple[str, ...],
    output_dir: Path,
    force: bool,
    owner: tuple[int, int] | None = None,
) -> Written:
    """Render the template in ``folder``; asks on the terminal, where there is one and not ``fast``.

    Raises ScriptTemplateError, RenderError, AnswerError, UsageError.
    """
    from osbuild_core.exports.jobs.scripts.answers import Ask, read_file, read_words, resolve
    from osbuild_core.exports.jobs.scripts.rendering import render, used_names
    from osbuild_core.exports.jobs.scripts.template import read_template
    from osbuild_core.exports.jobs.scripts.writing import write

    template = read_template(folder)
    ask: Ask | None = None
    if not fast and sys.stdin.isatty():
        from osbuild_core.cli.job_ask import ask

    values = resolve(
        template,
        {} if answers is None else read_file(answers),
        read_words(words),
        used=used_names(template),
        ask=ask,
    )
    files = render(template, values, checked(sbatch))
    paths = write(files, output_dir, force=force, owner=owner)
    return Written(tuple(paths), template.notes, template.name)


def checked(sbatch: tuple[str, ...]) -> tuple[str, ...]:
    """Return parameters of sbatch from a command line. Raises UsageError for what is none."""
    from osbuild_core.model.errors import UsageError

    for one in sbatch:
        if not one.startswith("-") or "\n" in one:
            raise UsageError(
                f"{one!r} is no parameter of sbatch", code="usage.sbatch", hint="as in --sbatch=--time=10"
            )
    return sbatch


def print_notes(notes: tuple[str, ...]) -> None:
    """Print what could not be understood of a template on standard error."""
    for note in notes:
        print(f"note: {printable(note)}", file=sys.stderr)
