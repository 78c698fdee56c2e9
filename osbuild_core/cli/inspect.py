"""``osbuild-core inspect``."""

from __future__ import annotations

import click

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.cli.commands import json_option, library_option, manifest_argument
from osbuild_core.cli.documents import print_json, read_manifest
from osbuild_core.formats import describe, load


@click.command()
@manifest_argument
@json_option
@library_option
def command(manifest: str, as_json: bool, libdir: tuple[str, ...]) -> None:
    """Print MANIFEST (a file, or - for standard input) as JSON, with the id of each stage.

    Validates it, and builds nothing. With --json errors are JSON as well.
    """
    library = Library(*libdir, default_library())
    print_json(describe(load(read_manifest(manifest), library), complete=True))
