"""The group of commands of ``osbuild-core``, and the options that nearly all of them have.

Each command is imported when it is called, so that start-up stays short.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from osbuild_core import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

COMMANDS = {
    "ami": "Turn a finished image into AMIs in every region.",
    "build": "Build a manifest and export what it makes.",
    "completion": "Print what makes a shell complete these commands.",
    "compose": "Ask a service for repositories of packages.",
    "diff": "Compare two trees of the store.",
    "graph": "Draw the pipelines of a manifest.",
    "inspect": "Print a manifest with the ids of its stages.",
    "job": "Check, look into and run Open Job Description templates.",
    "modules": "Show the modules of a library, or begin a new one.",
    "plan": "Show what a build would do.",
    "resolve": "Turn a template into a locked manifest.",
    "serve": "Serve composes and builds over HTTP.",
    "store": "Look after the object store.",
    "worker": "Make what is in the queue of a service.",
}
"""Name and one line for each command; the module of that name in this package has it as ``command``."""


class Group(click.Group):
    """A group that says which of its commands a mistyped one may have been meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."
            ctx.fail(f"There is no command {name!r}. {hint}")
        return super().resolve_command(ctx, args)


class Commands(Group):
    """Finds commands by name without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"osbuild_core.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(n, help=text) for n, text in COMMANDS.items() if n.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osbuild-core")
@click.option(
    "--debug",
    metavar="[=FILE]",
    expose_value=False,
    help="Write what is run, with times, and tracebacks of errors to standard error or FILE. Any command has it.",
)
def group() -> None:
    """Build operating system images from manifests."""


class Place(click.Path):
    """A path; none at all, as of a variable that is not set, is not the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


def json_option(function: F) -> F:
    """Add ``--json``, with which errors are printed as JSON too."""

    @functools.wraps(function)
    def reporting(*args: Any, as_json: bool, **options: Any) -> Any:
        try:
            return function(*args, as_json=as_json, **options)
        except Exception as error:
            from osbuild_core.cli.documents import print_json
            from osbuild_core.cli.report import as_error, error_document

            known = as_error(error)
            if as_json and known is not None:
                print_json(error_document(known))
            raise

    return cast(
        F, click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(reporting)
    )


def manifest_argument(function: F) -> F:
    """Add the argument MANIFEST, which a shell completes to a file."""

    def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]

    return click.argument("manifest", shell_complete=files)(function)


def library_option(function: F) -> F:
    """Add ``--libdir``, as often as one likes: the first directory that has a module is the one."""
    return click.option(
        "--libdir",
        multiple=True,
        metavar="DIR",
        type=Place(),
        help="Library of modules to look into before the program's own; may be given more than once.",
    )(function)
