"""``osbuild-core job``: what the openjd command does, with its options, and what Jobbergate does.

Commands that need more than a template are in modules of their own, ``job_run`` for ``run``.
"""

from __future__ import annotations

import importlib
import importlib.util

import click

from osbuild_core.cli.commands import Group
from osbuild_core.cli.job_options import (
    accepted,
    extensions_option,
    output_option,
    parameters_option,
    print_result,
    reporting,
    template_argument,
)

ELSEWHERE = {
    "cancel": "osbuild_core.cli.job_cancel",
    "logs": "osbuild_core.cli.job_logs",
    "render": "osbuild_core.cli.job_render",
    "run": "osbuild_core.cli.job_run",
    "status": "osbuild_core.cli.job_status",
    "submit": "osbuild_core.cli.job_submit",
}
"""The modules of the other commands; each has its command as ``command``."""


class JobGroup(Group):
    """Finds the commands of other modules without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        there = [name for name, module in ELSEWHERE.items() if importlib.util.find_spec(module)]
        return sorted([*super().list_commands(ctx), *there])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        if importlib.util.find_spec(ELSEWHERE[cmd_name]) is None:
            return None
        command = importlib.import_module(ELSEWHERE[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=JobGroup)
def command() -> None:
    """Check, look into and run Open Job Description templates (2023-09); render and submit job scripts.

    A template of the former (check, summary, run) is a YAML or, if its name ends in .json, a JSON file; one of the
    latter (render, submit, status, logs, cancel) is a folder. Exit status: 1 where something is wrong.
    """


@command.command()
@template_argument
@output_option
@extensions_option
@reporting
def check(path: str, output: str, extensions: str | None) -> None:
    """Say whether the job or environment template PATH is right, or all that is wrong with it."""
    from osbuild_core.exports.jobs.decode import decode_any_template
    from osbuild_core.exports.jobs.document import read_document

    names = accepted(extensions)
    decode_any_template(template=read_document(path), supported_extensions=names)
    message = f"Template at '{path}' passes validation checks."
    print_result({"status": "success", "message": message}, output)


@command.command()
@template_argument
@parameters_option
@click.option("--step", metavar="NAME", help="Only this step.")
@output_option
@extensions_option
@reporting
def summary(
    path: str, job_params: tuple[str, ...], step: str | None, output: str, extensions: str | None
) -> None:
    """Show the job that the template PATH makes with these parameters: its steps, tasks, environments."""
    from osbuild_core.cli.job_options import make_job
    from osbuild_core.cli.job_summary import job_summary, step_summary, text_of_job, text_of_step

    job, _ = make_job(path, job_params, extensions)
    if step is None:
        result = job_summary(job)
        print_result(result, output, text_of_job(result))
    else:
        result = step_summary(job, step)
        print_result(result, output, text_of_step(result))


@command.command()
@click.option(
    "--version",
    type=click.Choice(("jobtemplate-2023-09", "environment-2023-09")),
    required=True,
    help="Which kind of template.",
)
@output_option
@reporting
def schema(version: str, output: str) -> None:
    """Print the JSON Schema of templates, for editors. References in format strings are beyond it."""
    import json

    from osbuild_core.exports.jobs.schema import template_schema

    text = json.dumps(template_schema(version), indent=4)
    print_result({"status": "success", "message": text}, output)
