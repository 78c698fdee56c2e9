"""``osbuild-core job render``: files of a job-script template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from osbuild_core.cli.commands import Place, json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.job_scripts import make, print_notes, render_options
from osbuild_core.cli.lines import on_one_line


@click.command("render")
@click.argument("template", type=Place(path_type=Path))
@render_options
@json_option
def command(template: Path, words: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Make job scripts of the folder TEMPLATE.

    The folder has a job-script.yaml, or is an application of Jobbergate. Questions are asked on the terminal, unless
    they are answered by -D or a file. Prints the files, the script first.
    """
    written = make(template, words, **options)
    if as_json:
        print_json(
            {
                "success": True,
                "script": str(written.script),
                "files": [str(path) for path in written.files],
                "notes": list(written.notes),
            }
        )
        return 0
    print_notes(written.notes)
    for path in written.files:
        click.echo(on_one_line(str(path)))
    return 0
