"""Options and arguments that several commands share, and how they become settings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osbuild_core.model.errors import Issue, ManifestError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)}
_UNITS |= {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)}


def parse_size(text: str) -> int | None:
    """Return a size in bytes (``20GiB``, ``500MB``, ``1024``), None for ``unlimited``.

    Raises UsageError for anything else.
    """
    if text == "unlimited":
        return None
    match = re.fullmatch(r"(\d+) *([A-Za-z]*)", text.strip())
    unit = {"kiB": "KiB"}.get(match[2], match[2]) if match else ""
    if match is None or unit not in _UNITS:
        raise UsageError(f"{text!r} is no size", code="usage.size", hint="like 500MB, 20GiB or unlimited")
    return int(match[1]) * _UNITS[unit]


class Size(click.ParamType[int | None]):
    """A size in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except UsageError as error:
            self.fail(f"{error.detail} ({error.hint})", param, ctx)


def store_options(function: F) -> F:
    """Add the options that say which store and which modules are used."""
    for option in (
        click.option(
            "--libdir",
            type=click.Path(path_type=Path),
            help="Library of modules. [default: the program's own]",
        ),
        click.option(
            "--store-backend",
            type=click.Choice(["overlay", "reflink", "copy"]),
            help="How the store keeps trees. [default: the best that works]",
        ),
        click.option(
            "--store",
            "--cache",
            "store",
            type=click.Path(path_type=Path),
            default=".osbuild",
            show_default=True,
            envvar="OSBUILD_CORE_STORE",
            help="Directory of the object store.",
        ),
    ):
        function = option(function)
    return function


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def read_manifest(path: str) -> Any:
    """Return the JSON of a manifest file (``-``: standard input).

    Raises UsageError where it cannot be read, ManifestError where it is not JSON.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read {path}: {reason}", code="usage.manifest") from error
    try:
        return json.loads(text)
    except ValueError as error:
        hint = None
        if path.endswith((".yaml", ".yml")):
            hint = f"a template becomes a manifest with: osbuild-core resolve {path} -o manifest.json"
        raise ManifestError([Issue(f"{path} is not JSON: {error}", (), "manifest.json", hint)]) from error


def print_json(document: Any) -> None:
    """Print ``document`` on standard output."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
