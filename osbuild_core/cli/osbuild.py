"""``osbuild``: osbuild's own command line, for tools that call it.

argparse, because callers use abbreviations of its flags. Without ``--export`` nothing is built and all
sources are downloaded, which is how callers prefetch.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from osbuild_core.cli.core import run
from osbuild_core.model.errors import ManifestError, OsbuildError, UsageError

COMPATIBLE_VERSION = "191"
"""The version of osbuild whose command line this is; callers ask for it and compare."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="osbuild", description="Build operating system images")
    made.add_argument("manifest", metavar="MANIFEST", help="manifest file, - for standard input")
    made.add_argument(
        "--cache",
        "--store",
        metavar="DIR",
        type=Path,
        default=Path(".osbuild"),
        dest="store",
        help="the store",
    )
    made.add_argument("-l", "--libdir", metavar="DIR", type=Path, help="directory of the modules")
    made.add_argument("--cache-max-size", metavar="SIZE", type=_size, help="evict objects above this size")
    made.add_argument("--checkpoint", metavar="ID", action="append", default=[], help="what to keep longest")
    made.add_argument("--export", metavar="ID", action="append", default=[], help="pipeline to export")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.add_argument("--output-directory", metavar="DIR", type=Path, help="where exports go")
    made.add_argument("--inspect", action="store_true", help="print the manifest with its ids")
    made.add_argument("--stage-timeout", metavar="N", type=int, help="seconds that a stage may run")
    made.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    made.add_argument("--version", action="version", version=f"osbuild {COMPATIBLE_VERSION}")
    return made


def _size(text: str) -> int | None:
    from osbuild_core.cli.options import parse_size

    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.detail) from error


def entry(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for a failed build, 2 for a bad manifest."""
    arguments = parser().parse_args(argv)
    if arguments.inspect:
        return _inspect(arguments)
    return _build(arguments)


def _print(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _refused(error: ManifestError, as_json: bool) -> int:
    from osbuild_core.cli.report import print_error
    from osbuild_core.formats import validation_report

    if as_json:
        _print(validation_report(error))
    else:
        print_error(error)
    return 2


def _inspect(arguments: argparse.Namespace) -> int:
    from osbuild_core.catalog.library import Library, default_library
    from osbuild_core.cli.options import read_manifest
    from osbuild_core.formats import describe, load

    try:
        library = Library(arguments.libdir or default_library())
        manifest = load(read_manifest(arguments.manifest), library, strict=True)
    except ManifestError as error:
        return _refused(error, as_json=True)
    _print(describe(manifest))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from osbuild_core.cli.build import renderer
    from osbuild_core.cli.options import read_manifest
    from osbuild_core.cli.report import failure_lines, print_error
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings
    from osbuild_core.formats import output

    settings = Settings(
        store=arguments.store,
        library=arguments.libdir,
        cache_max_size=arguments.cache_max_size,
        stage_timeout=arguments.stage_timeout,
        strict=True,
    )
    quiet = arguments.quiet or arguments.json
    try:
        with renderer(verbose=True, quiet=quiet) as sink, Session(settings, sink) as session:
            manifest = session.load(read_manifest(arguments.manifest))
            if arguments.export:
                result = session.build(
                    manifest,
                    exports=arguments.export,
                    checkpoint=arguments.checkpoint,
                    output_directory=arguments.output_directory,
                )
            else:
                # Marks that match nothing are an error here too.
                session.plan(manifest, pipelines=(), checkpoint=arguments.checkpoint)
                result = session.fetch(manifest)
    except ManifestError as error:
        return _refused(error, arguments.json)
    except OsbuildError as error:
        if arguments.json:
            _print(
                {"type": "error", "success": False, "error": {"type": error.code, "details": error.detail}}
            )
        print_error(error)
        return 1
    if arguments.json:
        _print(output(manifest, result))
    for line in failure_lines(result):
        print(line, file=sys.stderr)
    return 0 if result.success else 1


def main() -> None:
    """The console script."""
    sys.exit(run(entry))
