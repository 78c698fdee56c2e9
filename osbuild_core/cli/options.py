"""Options and arguments that several commands share, and how they become settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osbuild_core.catalog.library import default_library
from osbuild_core.cli.commands import Place, library_option
from osbuild_core.cli.sizes import parse_size
from osbuild_core.engine.settings import Settings
from osbuild_core.model.errors import OsbuildError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


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


_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_age(text: str) -> float:
    """Return seconds (``90s``, ``30m``, ``12h``, ``7d``, ``2w``). Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([smhdw])", text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no age", code="usage.age", hint="like 30m, 12h, 7d or 2w")
    return float(match[1]) * _AGES[match[2]]


class Age(click.ParamType[float]):
    """A duration, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_age(value)
        except UsageError as error:
            self.fail(f"{error.detail} ({error.hint})", param, ctx)


def exports_option(function: F) -> F:
    """Add ``--export``, which a shell completes from the manifest that is given."""
    return click.option(
        "--export",
        "-e",
        "exports",
        multiple=True,
        metavar="NAME",
        shell_complete=_export_names,
        help="Pipeline or export to carry out.",
    )(function)


def _export_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return _names(ctx, incomplete, exports=True)


def _pipeline_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return _names(ctx, incomplete, exports=False)


def _names(ctx: click.Context, incomplete: str, *, exports: bool) -> list[str]:
    from osbuild_core.cli.documents import read_manifest

    # An option without its value ends the parsing: what stands before it is left over.
    words = [word for word in (ctx.params.get("manifest"), *ctx.args) if word]
    if not words or words[0] == "-":
        return []
    try:
        document = read_manifest(words[0])
        # Not validated: that takes time, and a manifest with an error elsewhere still has names.
        names = [pipeline["name"] for pipeline in document.get("pipelines", ())]
        names += document.get("exports", ()) if exports else ()
        if "pipeline" in document:
            names += ["tree", *(["assembler"] if "assembler" in document["pipeline"] else [])]
    except (OsbuildError, AttributeError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str) and name.startswith(incomplete)]


def libraries(given: tuple[str, ...]) -> tuple[Path, ...] | None:
    """Return the library directories of ``--libdir``, with the program's own at the end."""
    return (*map(Path, given), default_library()) if given else None


def settings_of(libdir: tuple[str, ...], store_backend: str | None, **more: Any) -> Settings:
    """Return the settings that the options of :func:`store_options` make, with ``more``."""
    return Settings(library=libraries(libdir), backend=store_backend, **more)


def pipelines_option(function: F) -> F:
    """Add the option that names pipelines to build."""
    return click.option(
        "--pipeline",
        "-p",
        "pipelines",
        multiple=True,
        metavar="NAME",
        shell_complete=_pipeline_names,
        help="Build this pipeline and keep it in the store, export nothing.",
    )(function)


def remote_options(function: F) -> F:
    """Add the options that say which cache is shared with other machines."""
    for option in (
        click.option(
            "--remote-cache-read-only",
            is_flag=True,
            envvar="OSBUILD_CORE_REMOTE_CACHE_READ_ONLY",
            help="Take from the remote cache only, put nothing there.",
        ),
        click.option(
            "--remote-cache",
            metavar="URL",
            envvar="OSBUILD_CORE_REMOTE_CACHE",
            help="Cache that machines share, as file:///shared/cache.",
        ),
    ):
        function = option(function)
    return function


def store_option(function: F) -> F:
    """Add the option that says which store is used."""
    return click.option(
        "--store",
        "--cache",
        "store",
        type=Place(path_type=Path),
        default=".osbuild",
        show_default=True,
        envvar="OSBUILD_CORE_STORE",
        help="Directory of the object store.",
    )(function)


def store_options(function: F) -> F:
    """Add the options that say which store and which modules are used."""
    for option in (
        library_option,
        click.option(
            "--store-backend",
            type=click.Choice(["overlay", "reflink", "copy"]),
            help="How the store keeps trees. [default: the best that works]",
        ),
        store_option,
    ):
        function = option(function)
    return function
