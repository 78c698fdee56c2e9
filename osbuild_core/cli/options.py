"""Options and arguments that several commands share, and how they become settings."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from osbuild_core.cli.documents import print_json
from osbuild_core.cli.report import as_error, error_document
from osbuild_core.model.errors import UsageError

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


class Mirror(click.ParamType[tuple[str, str]]):
    """Two addresses: what the manifest has begins with the first, the second is to be tried in its place."""

    name = "mirror"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        prefix, equals, mirror = str(value).partition("=")
        if not equals or "://" not in prefix or "://" not in mirror:
            self.fail(f"{value!r} is not like http://archive/debian=http://mirror/debian", param, ctx)
        return prefix, mirror


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
    """Add ``--json``, with which errors are printed as JSON too."""

    @functools.wraps(function)
    def reporting(*args: Any, as_json: bool, **options: Any) -> Any:
        try:
            return function(*args, as_json=as_json, **options)
        except Exception as error:
            known = as_error(error)
            if as_json and known is not None:
                print_json(error_document(known))
            raise

    return cast(
        F, click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(reporting)
    )
