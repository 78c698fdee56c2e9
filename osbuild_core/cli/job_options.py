"""What the commands of ``osbuild-core job`` share: their options, their output, the job that they are about."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from osbuild_core.cli.commands import Place
from osbuild_core.model.errors import ManifestError, OsbuildError, UsageError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.job import Job, JobParameterValues
    from osbuild_core.exports.jobs.template import EnvironmentTemplate

F = TypeVar("F", bound=Callable[..., Any])

OUTPUTS = ("human-readable", "json", "yaml")

output_option = click.option(
    "--output",
    type=click.Choice(OUTPUTS),
    default=OUTPUTS[0],
    show_default=True,
    help="How to print the result, and what is wrong.",
)
extensions_option = click.option(
    "--extensions",
    metavar="NAMES",
    help="Extensions that a template may use, with commas between them. [default: all that there are]",
)
parameters_option = click.option(
    "--job-param",
    "-p",
    "job_params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a parameter; or file://FILE for a JSON or YAML file of them, or a JSON object.",
)
template_argument = click.argument("path", type=Place())


def print_result(result: dict[str, Any], output: str, text: str | None = None) -> None:
    """Print ``result`` as JSON or YAML, else ``text`` (without one, the result's message)."""
    if output == "json":
        json.dump(result, sys.stdout, indent=4)
        sys.stdout.write("\n")
    elif output == "yaml":
        import yaml

        yaml.safe_dump(result, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        click.echo(text if text is not None else result["message"])


def reporting(function: F) -> F:
    """Print what went wrong as the option ``--output`` says, and exit with status 1."""

    @functools.wraps(function)
    def run(*args: Any, output: str, **options: Any) -> Any:
        try:
            return function(*args, output=output, **options)
        except OsbuildError as error:
            from osbuild_core.cli.report import error_document

            debug = click.get_current_context().find_root().obj
            if debug is not None:
                debug.failed(error)
            lines = list(_lines(error, options.get("path")))
            if output == OUTPUTS[0]:
                for line in lines:
                    print(f"error: {line}", file=sys.stderr)
            else:
                result = {"status": "error", "message": "\n".join(lines)}
                print_result(result | {"errors": error_document(error)["errors"]}, output)
            raise click.exceptions.Exit(1) from error

    return cast(F, run)


def _lines(error: OsbuildError, path: str | None) -> Iterable[str]:
    """Yield the lines for ``error``; those about the template begin with its ``path``, as a compiler's do."""
    from osbuild_core.cli.lines import printable
    from osbuild_core.cli.report import error_lines

    about_template = isinstance(error, ManifestError) and error.code not in ("job.document", "usage.template")
    where = f"{printable(path)}: " if path and about_template else ""
    for line in error_lines(error):
        yield where + line


def accepted(extensions: str | None) -> tuple[str, ...] | None:
    """Return the names in the value of ``--extensions``; None, for all, without one. Raises UsageError."""
    if extensions is None:
        return None
    from osbuild_core.exports.jobs.errors import near
    from osbuild_core.exports.jobs.extensions import ALL

    names = tuple(name.strip().upper() for name in extensions.split(",") if name.strip())
    for name in names:
        if name not in ALL:
            hint = near(name, ALL) or f"there are: {', '.join(ALL)}"
            raise UsageError(f"there is no extension {name!r}", code="usage.extension", hint=hint)
    return names


def job_parameters(words: Sequence[str]) -> dict[str, Any]:
    """Return the values that the words of ``--job-param`` give; a later one wins. Raises UsageError."""
    values: dict[str, Any] = {}
    for given in words:
        word = given.strip()
        if word.startswith("file://"):
            values.update(_parameter_file(word))
        elif word.startswith("{") and word.endswith("}"):
            from osbuild_core.exports.jobs.document import parse_document
            from osbuild_core.exports.jobs.errors import DecodeValidationError

            try:
                values.update(parse_document(word, as_json=True))
            except DecodeValidationError as error:
                raise UsageError(f"--job-param: {error.detail}", code="usage.job-param") from None
        elif match := re.fullmatch(r"([^=]+)=(.*)", word, re.DOTALL):
            values[match[1]] = match[2]
        else:
            hint = 'NAME=VALUE, file://FILE or {"NAME": "VALUE"}'
            raise UsageError(f"--job-param {word!r} has no value", code="usage.job-param", hint=hint)
    return values


def _parameter_file(word: str) -> dict[str, Any]:
    from osbuild_core.exports.jobs.document import read_document
    from osbuild_core.exports.jobs.errors import DecodeValidationError

    path = os.path.expanduser(word.removeprefix("file://"))
    try:
        return read_document(path)
    except DecodeValidationError as error:
        raise UsageError(f"--job-param: {error.detail}", code="usage.job-param") from None


def make_job(
    path: str,
    job_params: Sequence[str],
    extensions: str | None,
    environments: Sequence[EnvironmentTemplate] = (),
) -> tuple[Job, JobParameterValues]:
    """Return the job of the template at ``path``, and the values of its parameters.

    Raises UsageError, and DecodeValidationError with all that is wrong.
    """
    from osbuild_core.exports.jobs.create import create_job
    from osbuild_core.exports.jobs.decode import decode_job_template
    from osbuild_core.exports.jobs.document import read_document
    from osbuild_core.exports.jobs.parameters import preprocess_job_parameters

    template = decode_job_template(template=read_document(path), supported_extensions=accepted(extensions))
    values = preprocess_job_parameters(
        job_template=template,
        job_parameter_values=job_parameters(job_params),
        job_template_dir=Path(os.path.abspath(path)).parent,
        current_working_dir=Path.cwd(),
        environment_templates=environments,
    )
    job = create_job(job_template=template, job_parameter_values=values, environment_templates=environments)
    return job, values
