"""``osbuild-core resolve``."""

from __future__ import annotations

from pathlib import Path

import click

from osbuild_core.cli.commands import Place, json_option
from osbuild_core.cli.documents import print_json, write_output


@click.command()
@click.argument("template", type=Place(path_type=Path))
@click.option(
    "--define", "-D", "defines", multiple=True, metavar="NAME=VALUE", help="Set a variable of the template."
)
@click.option("--snapshot", metavar="URL", help="Take packages from this archive, not from the machine's.")
@click.option("--offline", is_flag=True, help="Use the package index of the last time.")
@click.option("--output", "-o", type=Place(path_type=Path), help="File to write. [default: standard output]")
@json_option
def command(
    template: Path,
    defines: tuple[str, ...],
    snapshot: str | None,
    offline: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Turn TEMPLATE (YAML) into a locked manifest (JSON): packages become files with checksums.

    With --json errors are JSON as well, and with --output so is a line on what was written.
    """
    from osbuild_core.resolve import ResolveSettings, dumps, resolve

    variables = {}
    for define in defines:
        name, equals, value = define.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{define!r} is not like hostname=web", param_hint="'--define' / '-D'")
        variables[name] = value
    text = dumps(
        resolve(template, variables=variables, settings=ResolveSettings(snapshot=snapshot, offline=offline))
    )
    write_output(text, output)
    if as_json and output is not None:
        print_json({"success": True, "output": str(output)})
