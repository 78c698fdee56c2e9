"""``osbuild-core ami``: what awspub does, from the same configuration file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osbuild_core.cli.commands import Group, Place, json_option
from osbuild_core.cli.documents import print_json, write_output
from osbuild_core.cli.lines import printable

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context
    from osbuild_core.exports.ami.events import Sink
    from osbuild_core.exports.aws.errors import AwsError

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=Group)
def command() -> None:
    """Turn a finished image into AMIs in every region.

    CONFIG is a configuration file of awspub's, or one with the further keys of ours. Credentials come from where
    AWS's own tools find them: environment, profile, the role of the machine. Exit status: 1 where a region failed.
    """


def _options(function: F) -> F:
    """Add what all commands have."""
    for option in (
        json_option,
        click.option(
            "--output",
            "-o",
            type=Place(path_type=Path),
            help="File for the result. [default: standard output]",
        ),
        click.option("--group", metavar="NAME", help="Only the images of this group."),
        click.option(
            "--config-mapping",
            metavar="FILE",
            type=Place(path_type=Path),
            help="YAML file with values for the variables ($name) in CONFIG.",
        ),
        click.argument("config", type=Place(path_type=Path)),
    ):
        function = option(function)
    return function


@contextmanager
def _opened(config: Path, config_mapping: Path | None, as_json: bool) -> Iterator[Context]:
    """Provide the context of a run, with progress on standard error."""
    from osbuild_core.exports.ami.context import Context

    with _progress(as_json) as sink, Context(config, config_mapping, on_event=sink) as context:
        try:
            yield context
        except BaseException:
            # Threads that are still at work in other regions end at their next pause.
            context.pace.stop()
            raise


@contextmanager
def _progress(as_json: bool) -> Iterator[Sink]:
    """Provide a sink: JSON lines for machines, a bar on a terminal, plain lines in a pipe."""
    if as_json:
        from osbuild_core.exports.ami.events import document

        yield lambda event: _say(json.dumps(document(event)))
        return
    from osbuild_core.cli.ami_progress import Bars, Lines

    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Bars() as bars:
            yield bars
        return
    yield Lines(_say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _finish(
    document: dict[str, Any], lines: Iterable[str] | None, output: Path | None, as_json: bool, success: bool
) -> int:
    """Show a result, as JSON where that is wanted or where there are no ``lines``; return the exit status."""
    if output is not None:
        write_output(json.dumps(document, indent=2) + "\n", output)
    elif as_json or lines is None:
        print_json(document)
    if lines is not None and not as_json:
        for line in lines:
            click.echo(printable(line))
    return 0 if success else 1


def _report(failed: dict[str, tuple[AwsError, ...]], as_json: bool) -> None:
    """Name the regions that failed on standard error; in JSON they are part of the result."""
    if as_json:
        return
    from osbuild_core.cli.report import error_lines

    for region, errors in failed.items():
        for error in errors:
            for line in error_lines(error):
                _say(f"error: {region}: {line}")


@command.command()
@_options
def create(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Upload the image, and make the AMIs that are missing in any region.

    Prints the ids of all of them as JSON. What is there already is found again, also what awspub made; after an
    interruption it goes on where it was.
    """
    from osbuild_core.exports.ami.run import create_images

    with _opened(config, config_mapping, as_json) as context:
        result = create_images(context, group)
    _report(result.failed, as_json)
    return _finish(result.to_json(), None, output, as_json, result.success)


@command.command("list")
@_options
def list_(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Print the ids of the AMIs that there are, as JSON. The image file is not needed."""
    from osbuild_core.exports.ami.run import list_images

    with _opened(config, config_mapping, as_json) as context:
        result = list_images(context, group)
    _report(result.failed, as_json)
    return _finish(result.to_json(), None, output, as_json, result.success)


@command.command()
@_options
def plan(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Show what create would do, and where AMIs differ from the configuration. Changes nothing.

    Marks: = is there, + is made, ~ is set right, ! cannot be looked at.
    """
    from osbuild_core.exports.ami.run import plan_images

    with _opened(config, config_mapping, as_json) as context:
        planned = plan_images(context, group)
    return _finish(planned.to_json(), planned.lines(), output, as_json, not planned.failed)


@command.command()
@_options
def publish(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Make AMIs public, name them in SSM, offer them in the Marketplace, announce them: as the configuration says.

    An AMI that is missing is an error.
    """
    from osbuild_core.exports.ami.publication import publish_images

    with _opened(config, config_mapping, as_json) as context:
        changes = publish_images(context, group)
    _report(changes.failed, as_json)
    return _finish(changes.to_json(), changes.lines(), output, as_json, changes.success)


@command.command()
@click.option("--shares", is_flag=True, help="Close the AMIs also to those that they are shared with.")
@_options
def unpublish(
    shares: bool,
    config: Path,
    config_mapping: Path | None,
    group: str | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Make AMIs private again, and delete the SSM parameters that name them.

    Versions in the Marketplace and notifications cannot be taken back.
    """
    from osbuild_core.exports.ami.publication import unpublish_images

    with _opened(config, config_mapping, as_json) as context:
        changes = unpublish_images(context, group, shares=shares)
    _report(changes.failed, as_json)
    return _finish(changes.to_json(), changes.lines(), output, as_json, changes.success)


@command.command()
@_options
def verify(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Check that the AMIs are there and as the configuration says. Changes nothing.

    Exit status: 1 where one is not.
    """
    from osbuild_core.exports.ami.verification import verify_images

    with _opened(config, config_mapping, as_json) as context:
        found = verify_images(context, group)
    _report(found.failed, as_json)
    return _finish(found.to_json(), found.lines(), output, as_json, found.success)


@command.command()
@_options
def cleanup(
    config: Path, config_mapping: Path | None, group: str | None, output: Path | None, as_json: bool
) -> int:
    """Remove temporary AMIs, and those that are older than the ones to keep, with their snapshots.

    Public ones stay. Where all are temporary, the object in S3 goes as well.
    """
    from osbuild_core.exports.ami.removal import cleanup_images

    with _opened(config, config_mapping, as_json) as context:
        changes = cleanup_images(context, group)
    _report(changes.failed, as_json)
    return _finish(changes.to_json(), changes.lines(), output, as_json, changes.success)
