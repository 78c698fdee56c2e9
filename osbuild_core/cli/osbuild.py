"""``osbuild``: osbuild's own command line, for tools that call it.

argparse, because callers use abbreviations of its flags. Without ``--export`` nothing is built and all
sources are downloaded, which is how callers prefetch.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from osbuild_core.model.errors import ManifestError, OsbuildError

COMPATIBLE_VERSION = "191"
"""The version of osbuild whose command line this is; callers ask for it and compare."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    import argparse
    from pathlib import Path

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
    made.add_argument("--stage-timeout", metavar="N", type=_seconds, help="seconds that a stage may run")
    made.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    made.add_argument("--version", action="version", version=f"osbuild {COMPATIBLE_VERSION}")
    return made


def _size(text: str) -> int | None:
    import argparse

    from osbuild_core.cli.options import parse_size
    from osbuild_core.model.errors import UsageError

    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.detail) from error


def _seconds(text: str) -> int:
    import argparse

    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return int(text)


def entry(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for a failed build, 2 for a bad manifest."""
    from osbuild_core.model.errors import ManifestError

    arguments = parser().parse_args(argv)
    try:
        return _inspect(arguments) if arguments.inspect else _build(arguments)
    except ManifestError as error:
        return _refused(error, arguments.json or arguments.inspect)
    except Exception as error:
        from osbuild_core.cli.report import as_error

        known = as_error(error)
        if known is not None and arguments.json:
            _print_error(known)
        raise


def _refused(error: ManifestError, as_json: bool) -> int:
    from osbuild_core.cli.documents import print_json
    from osbuild_core.cli.report import print_error
    from osbuild_core.formats import validation_report

    if as_json:
        print_json(validation_report(error))
    else:
        print_error(error)
    return 2


def _print_error(error: OsbuildError) -> None:
    from osbuild_core.cli.documents import print_json

    details = {"type": error.code, "details": error.detail}
    print_json({"type": "error", "success": False, "error": details})


def _inspect(arguments: argparse.Namespace) -> int:
    from osbuild_core.catalog.library import Library, default_library
    from osbuild_core.cli.documents import print_json, read_manifest
    from osbuild_core.formats import describe, load

    library = Library(arguments.libdir or default_library())
    print_json(describe(load(read_manifest(arguments.manifest), library, strict=True)))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from osbuild_core.cli.documents import print_json, read_manifest
    from osbuild_core.cli.progress import watched_session
    from osbuild_core.cli.report import failure_lines
    from osbuild_core.engine.plan import checkpoints
    from osbuild_core.engine.settings import Settings
    from osbuild_core.formats import output

    settings = Settings(
        store=arguments.store,
        library=arguments.libdir,
        cache_max_size=arguments.cache_max_size,
        stage_timeout=arguments.stage_timeout,
        strict=True,
    )
    document = read_manifest(arguments.manifest)
    with watched_session(settings, verbose=True, quiet=arguments.quiet or arguments.json) as session:
        manifest = session.load(document)
        if arguments.export:
            result = session.build(
                manifest,
                exports=arguments.export,
                checkpoint=arguments.checkpoint,
                output_directory=arguments.output_directory,
            )
        else:
            # Marks that match nothing are an error here too.
            checkpoints(manifest, arguments.checkpoint)
            result = session.fetch(manifest)
    if arguments.json:
        print_json(output(manifest, result))
    for line in failure_lines(result):
        print(line, file=sys.stderr)
    return 0 if result.success else 1


def main() -> None:
    """The console script."""
    try:
        from osbuild_core.cli.start import start

        start(entry)
    except KeyboardInterrupt:
        sys.exit(130)
