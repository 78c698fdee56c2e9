"""``osbuild-core inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.cli.documents import print_json, read_manifest
from osbuild_core.formats import describe, load


@click.command()
@click.argument("manifest")
@click.option(
    "--libdir", type=click.Path(path_type=Path), help="Library of modules. [default: the program's own]"
)
def command(manifest: str, libdir: Path | None) -> None:
    """Print MANIFEST as JSON, with the id of each stage. Validates it, and builds nothing."""
    library = Library(libdir or default_library())
    print_json(describe(load(read_manifest(manifest), library), complete=True))
