"""The argument vector of ``osbuild``: its flags, their types and defaults, their abbreviations."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

COMPATIBLE_VERSION = "191"
"""The version of osbuild whose command line this is; callers ask for it and compare."""

MONITORS = ("NullMonitor", "LogMonitor", "JSONSeqMonitor")


class Parser(argparse.ArgumentParser):
    """Tells ``refused`` what is wrong with the arguments before it exits with status 2."""

    refused: Callable[[str], None]

    def error(self, message: str) -> NoReturn:
        self.refused(message)
        super().error(message)


def parse(argv: Sequence[str] | None, refused: Callable[[str], None]) -> argparse.Namespace:
    """Return the arguments. Exits: with status 2 where they are wrong, after a call of ``refused``, and with 0
    for ``--help`` and ``--version``."""
    made = parser()
    made.refused = refused
    return made.parse_args(argv)


def parser() -> Parser:
    """Return the parser; the manual page is made from it as well."""
    # Callers use abbreviations, which is why it is argparse that reads them.
    made = Parser(prog="osbuild", description="Build operating system images")
    add = made.add_argument
    add("manifest", metavar="MANIFEST", help="manifest file, - for standard input")
    add(
        "--cache",
        "--store",
        metavar="DIR",
        type=_path,
        default=Path(".osbuild"),
        dest="store",
        help="the store",
    )
    add("-l", "--libdir", metavar="DIR", type=_path, help="directory of the modules")
    add("--cache-max-size", metavar="SIZE", type=_size, help="evict objects above this size")
    add("--checkpoint", metavar="ID", action="append", default=[], help="what to keep longest")
    add("--export", metavar="ID", action="append", default=[], help="pipeline to build and export")
    add("--in-vm", metavar="ID", action="append", default=[], help="refused: there are no virtual machines")
    add("--json", action="store_true", help="print the result as JSON")
    add("--output-directory", metavar="DIR", type=_path, help="where exports go")
    add("--inspect", action="store_true", help="print the manifest with its ids")
    add("--monitor", metavar="NAME", choices=MONITORS, help=f"how to show progress: {', '.join(MONITORS)}")
    add("--monitor-fd", metavar="FD", type=_descriptor, help="where to show it; standard output unless told")
    add("--stage-timeout", metavar="N", type=_seconds, help="seconds that a stage may run; 0 is no limit")
    add("--version", action="version", version=f"osbuild {COMPATIBLE_VERSION}")
    add(
        "--break",
        metavar="ID",
        nargs="?",
        const="*",
        dest="pause",
        help="open a shell before this stage runs",
    )
    add(
        "--rundir",
        metavar="DIR",
        help="without effect: what a run needs lies in memory, mounted in the store",
    )
    add("-q", "--quiet", action="store_true", help="print errors only")
    return made


def _path(text: str) -> Path:
    return Path(os.path.abspath(text))


def _size(text: str) -> int | None:
    from osbuild_core.cli.sizes import parse_size
    from osbuild_core.model.errors import UsageError

    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.detail}, {error.hint}") from error


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return int(text)


def _descriptor(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no file descriptor")
    return int(text)
