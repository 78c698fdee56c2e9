"""``osbuild-core``: the console script. Nothing is imported before a Ctrl-C can be taken for what it is."""

from __future__ import annotations

import sys

# Not from typing, which takes a while to come.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import click

    from osbuild_core.cli.debug import Debug

COMPLETE = "_OSBUILD_CORE_COMPLETE"
"""The variable with which a shell asks for completions; see ``osbuild-core completion``."""


def entry(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    import os

    from osbuild_core.cli.commands import group

    if COMPLETE in os.environ:
        from click.shell_completion import shell_complete

        try:
            return shell_complete(group, {}, "osbuild-core", COMPLETE, os.environ[COMPLETE])
        except Exception:
            # Whoever is typing is not to be told.
            return 1
    words, debug = split_debug(sys.argv[1:] if argv is None else argv)
    if debug is None:
        return _run(group, words, None)
    from osbuild_core.cli.debug import debugging

    with debugging(debug) as log:
        return _run(group, words, log)


def _run(group: click.Group, words: list[str], debug: Debug | None) -> int:
    import click

    # Not group.main(), for which a reader that has gone is a failure of ours.
    try:
        with group.make_context("osbuild-core", words, obj=debug) as context:
            return int(group.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        if "--json" in words:
            from osbuild_core.cli.documents import print_json
            from osbuild_core.cli.report import error_document
            from osbuild_core.model.errors import UsageError

            print_json(error_document(UsageError(error.format_message(), code="usage.command-line")))
        return error.exit_code


def split_debug(argv: list[str]) -> tuple[list[str], str | None]:
    """Take ``--debug`` and ``--debug=FILE`` out of ``argv``, wherever they stand.

    Returns what is left, and the file ("" for standard error, None where there was no such option). A value
    that is optional needs the ``=``, so no parser could tell where it ends.
    """
    end = argv.index("--") if "--" in argv else len(argv)
    file = None
    words = []
    for word in argv[:end]:
        name, _, value = word.partition("=")
        if name == "--debug":
            file = value
        else:
            words.append(word)
    return words + argv[end:], file


def main() -> None:
    """The console script."""
    try:
        from osbuild_core.cli.start import start

        start(entry)
    except KeyboardInterrupt:
        sys.exit(130)
