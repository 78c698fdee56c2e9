"""``osbuild-core``: the console script. Nothing is imported before a Ctrl-C can be taken for what it is."""

from __future__ import annotations

import sys


def entry(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    import click

    from osbuild_core.cli.commands import group

    try:
        status = group.main(args=argv, prog_name="osbuild-core", standalone_mode=False)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return int(status or 0)


def main() -> None:
    """The console script."""
    try:
        from osbuild_core.cli.start import start

        start(entry)
    except KeyboardInterrupt:
        sys.exit(130)
