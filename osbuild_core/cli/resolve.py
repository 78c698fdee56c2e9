"""``osbuild-core resolve``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from osbuild_core.model.errors import UsageError


@click.command()
@click.argument("template", type=click.Path(path_type=Path))
@click.option(
    "--define", "-D", "defines", multiple=True, metavar="NAME=VALUE", help="Set a variable of the template."
)
@click.option("--snapshot", metavar="URL", help="Take packages from this archive, not from the machine's.")
@click.option("--offline", is_flag=True, help="Use the package index of the last time.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="File to write. [default: standard output]"
)
def command(
    template: Path, defines: tuple[str, ...], snapshot: str | None, offline: bool, output: Path | None
) -> None:
    """Turn TEMPLATE (YAML) into a locked manifest (JSON): packages become files with checksums."""
    from osbuild_core.resolve import ResolveSettings, dumps, resolve

    variables = {}
    for define in defines:
        name, equals, value = define.partition("=")
        if not equals or not name:
            raise UsageError(f"{define!r} is not NAME=VALUE", code="usage.define")
        variables[name] = value
    text = dumps(
        resolve(template, variables=variables, settings=ResolveSettings(snapshot=snapshot, offline=offline))
    )
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write(text, output.resolve())
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}", code="usage.output") from error


def write(text: str, output: Path) -> None:
    """Write ``output``, whole or not at all: a manifest that is cut short may still be JSON up to the cut.

    Raises OSError.
    """
    if output.exists() and not output.is_file():
        # A pipe or a terminal must not be replaced by a file.
        output.write_text(text, encoding="utf-8")
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
