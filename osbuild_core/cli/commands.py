"""The group of commands of ``osbuild-core``. Each is imported when it is called, so that start-up stays short."""

from __future__ import annotations

import importlib

import click

from osbuild_core import __version__

COMMANDS = {
    "build": "Build a manifest and export what it makes.",
    "inspect": "Print a manifest with the ids of its stages.",
    "modules": "Show the modules of a library.",
    "plan": "Show what a build would do.",
    "resolve": "Turn a template into a locked manifest.",
    "store": "Look after the object store.",
}
"""Name and one line for each command; the module of that name in this package has it as ``command``."""


class Commands(click.Group):
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"There is no command {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osbuild-core")
def group() -> None:
    """Build operating system images from manifests."""
