"""``osbuild-core store``."""

from __future__ import annotations

from pathlib import Path

import click

from osbuild_core.cli.documents import print_json
from osbuild_core.cli.lines import size
from osbuild_core.cli.options import json_option, store_options
from osbuild_core.store.store import Store


@click.group()
def command() -> None:
    """Look after the object store."""


@command.command()
@json_option
@store_options
def info(store: Path, libdir: Path | None, store_backend: str | None, as_json: bool) -> None:
    """Show where the store is, how it keeps trees and how much is in it."""
    with Store.open(store, backend=store_backend) as opened:
        usage = opened.usage()
    facts = {
        "path": str(usage.path),
        "format": usage.format,
        "backend": usage.backend,
        "objects": usage.objects,
        "object_bytes": usage.object_bytes,
        "sources": usage.sources,
        "source_bytes": usage.source_bytes,
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"path:     {usage.path}")
    click.echo(f"format:   {usage.format}")
    click.echo(f"backend:  {usage.backend}")
    click.echo(f"objects:  {usage.objects} ({size(usage.object_bytes)})")
    click.echo(f"sources:  {usage.sources} files ({size(usage.source_bytes)})")
