"""``osbuild-core completion``."""

from __future__ import annotations

import click

from osbuild_core.cli.commands import group, json_option
from osbuild_core.cli.core import COMPLETE
from osbuild_core.cli.documents import print_json

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print what makes SHELL complete commands, options, files, exports of the manifest given, and modules.

    \b
    bash: source <(osbuild-core completion bash)         in ~/.bashrc
    zsh:  source <(osbuild-core completion zsh)          in ~/.zshrc
    fish: osbuild-core completion fish | source          in ~/.config/fish/config.fish
    """
    text = script(shell)
    if as_json:
        print_json({"shell": shell, "script": text})
    else:
        click.echo(text, nl=not text.endswith("\n"))


def script(shell: str) -> str:
    """Return the script for ``shell``, which asks this program for completions."""
    from click.shell_completion import get_completion_class

    made_by = get_completion_class(shell)
    assert made_by is not None
    maker = made_by(group, {}, "osbuild-core", COMPLETE)
    # Not source(), which for bash looks for one on this machine, and complains of what it finds.
    return maker.source_template % maker.source_vars()
