"""``osbuild-core resolve``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from osbuild_core.cli.commands import Place, json_option
from osbuild_core.cli.documents import print_json, write_output
from osbuild_core.cli.lines import on_one_line, printable, size
from osbuild_core.cli.table import table, terminal_width

DEFAULT_MAX = 36
"""Characters of a default that the list of variables shows."""


@click.command()
@click.argument("template", type=Place(path_type=Path))
@click.option(
    "--define", "-D", "defines", multiple=True, metavar="NAME=VALUE", help="Set a variable of the template."
)
@click.option("--snapshot", metavar="URL", help="Take packages from this archive, not from the machine's.")
@click.option("--offline", is_flag=True, help="Use the package index of the last time.")
@click.option("--output", "-o", type=Place(path_type=Path), help="File to write. [default: standard output]")
@click.option("--variables", is_flag=True, help="List the variables of the template instead; nothing is run.")
@json_option
def command(
    template: Path,
    defines: tuple[str, ...],
    snapshot: str | None,
    offline: bool,
    output: Path | None,
    variables: bool,
    as_json: bool,
) -> None:
    """Turn TEMPLATE (YAML) into a locked manifest (JSON): packages become files with checksums.

    With --json errors are JSON as well, and with --output so is a line on what was written.
    """
    from osbuild_core.resolve import ResolveSettings, declarations, dumps, resolve

    if variables:
        _list([one.as_dict() for one in declarations(template)], as_json)
        return
    given = {}
    for define in defines:
        name, equals, value = define.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{define!r} is not like hostname=web", param_hint="'--define' / '-D'")
        given[name] = value
    manifest = resolve(
        template, variables=given, settings=ResolveSettings(snapshot=snapshot, offline=offline)
    )
    write_output(dumps(manifest), output)
    if output is None:
        return
    if as_json:
        print_json({"success": True, "output": str(output)})
    else:
        click.echo(f"{on_one_line(str(output))}: {_summary(manifest)}", err=True)


def _summary(manifest: dict[str, Any]) -> str:
    # Nobody has validated it yet: a pipeline may be anything.
    lists = [p.get("stages") for p in manifest["pipelines"] if isinstance(p, dict)]
    stages = sum(len(stages) for stages in lists if isinstance(stages, list))
    sizes = manifest["metadata"]["resolve"].get("sizes", {})
    parts = [_count(len(manifest["pipelines"]), "pipeline"), _count(stages, "stage")]
    if sizes:
        parts.append(f"{_count(len(sizes), 'package')} of {size(sum(sizes.values()))}")
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _list(variables: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(variables)
        return
    # A row stays one, whatever the template has in it.
    rows = [
        (one["name"], one["type"], _default(one), " ".join(one["description"].split())) for one in variables
    ]
    for line in table(("NAME", "TYPE", "DEFAULT", "DESCRIPTION"), rows, width=terminal_width()):
        click.echo(printable(line))


def _default(variable: dict[str, Any]) -> str:
    """Return what stands for a variable that is not set, as short as a table needs it."""
    if variable.get("required"):
        return "(required)"
    if variable.get("secret"):
        return "(secret)"
    default = variable["default"]
    plain = isinstance(default, str) and default and default.isprintable()
    text = default if plain else json.dumps(default, ensure_ascii=False)
    return text if len(text) <= DEFAULT_MAX else f"{text[: DEFAULT_MAX - 1]}…"
