"""``osbuild-core modules``."""

from __future__ import annotations

from pathlib import Path

import click

from osbuild_core.catalog.library import KINDS, Library, default_library
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.options import json_option


@click.group()
def command() -> None:
    """Show the modules of a library."""


@command.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option(
    "--libdir", type=click.Path(path_type=Path), help="Library of modules. [default: the program's own]"
)
@json_option
def list_(kind: str | None, libdir: Path | None, as_json: bool) -> None:
    """List the modules, of all kinds or of KIND, with what they do."""
    library = Library(libdir or default_library())
    kinds = [kind] if kind else list(KINDS)
    found = {k: [(m.name, m.summary if k != "runners" else "") for m in library.modules(k)] for k in kinds}
    if as_json:
        print_json({k: [{"name": n, "summary": s} for n, s in modules] for k, modules in found.items()})
        return
    for k, modules in found.items():
        if modules:
            click.echo(f"{k}:")
            for name, summary in modules:
                click.echo(f"  {name:36} {summary}".rstrip())
