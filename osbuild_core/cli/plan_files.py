"""``osbuild-core plan --as FORM``: the plan as a script, as job scripts, or as a job template."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osbuild_core.cli.commands import Place
from osbuild_core.cli.documents import read_manifest, write, write_output
from osbuild_core.cli.options import Size, settings_of
from osbuild_core.model.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

FORMS = ("sh", "slurm", "openjd")
"""As osbuild_core.exports.jobs.planned has them, which is not imported for a plan that is only shown."""


def files_options(function: F) -> F:
    """Add ``--as`` and what goes with it, to a command that shows a plan: with ``--as`` it is not called."""
    options = (
        click.option("--as", "form", type=click.Choice(FORMS), help="Write the plan as something to run."),
        click.option("--output", "-o", type=Place(path_type=Path), help="File, or directory, to write to."),
        click.option(
            "--program",
            default="osbuild-core",
            metavar="COMMAND",
            help="How osbuild-core is called where it runs.",
        ),
        click.option(
            "--cpus", type=click.IntRange(1), metavar="N", help="Processors that each step asks for."
        ),
        click.option("--memory", type=Size(), metavar="SIZE", help="Memory that each step asks for."),
    )

    @functools.wraps(function)
    def either(*args: Any, form: str | None, **given: Any) -> Any:
        context = click.get_current_context()
        default = click.core.ParameterSource.DEFAULT
        own = {name: given.pop(name) for name in ("output", "program", "cpus", "memory")}
        if form is None:
            for name in own:
                if context.get_parameter_source(name) is not default:
                    raise click.UsageError(f"--{name} goes with --as")
            return function(*args, **given)
        if given["as_json"]:
            raise click.UsageError("--json does not go with --as")
        named = context.get_parameter_source("store") is not default
        what = {name: given[name] for name in ("manifest", "exports", "pipelines", "libdir", "remote_cache")}
        write_files(form, **what, **own, store=given["store"] if named else None)
        return None

    decorated: Any = either
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def write_files(
    form: str,
    manifest: str,
    exports: tuple[str, ...],
    pipelines: tuple[str, ...],
    libdir: tuple[str, ...],
    *,
    store: Path | None,
    output: Path | None,
    program: str,
    remote_cache: str | None,
    cpus: int | None,
    memory: int | None,
) -> None:
    """Write the plan of the file ``manifest`` in ``form`` to ``output``; ``store`` is where one was named.

    Raises UsageError where there is no place for what is written, and what loading and planning raise.
    """
    from osbuild_core.engine.session import Session
    from osbuild_core.exports.jobs.planned import PlannedSettings, Resources, write_plan

    if output is None and form == "slurm":
        raise UsageError(
            "job scripts need a directory",
            code="usage.output",
            hint="name one with --output, which jobs can reach",
        )
    document = read_manifest(manifest)
    with Session(settings_of(libdir, None)) as session:
        plan = session.plan(session.load(document), exports=exports, pipelines=pipelines or None, fresh=True)
    settings = PlannedSettings(
        name="manifest" if manifest == "-" else Path(manifest).stem,
        program=program,
        store=None if store is None else os.path.abspath(store),
        remote_cache=remote_cache,
        libraries=tuple(os.path.abspath(directory) for directory in libdir),
        resources=Resources(cpus, memory),
        architecture=os.uname().machine,
    )
    files = write_plan(form, plan, document, settings)
    if form == "slurm":
        assert output is not None
        _write_directory(files, output)
        return
    (text,) = files.values()
    write_output(text, output)
    if form == "sh" and output is not None and output.is_file():
        _make_executable(output)


def _write_directory(files: dict[str, str], directory: Path) -> None:
    """Write ``files``; what else is in ``directory`` stays. The manifest comes last but for what submits."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write(text, directory / name)
            if name.endswith(".sh"):
                _make_executable(directory / name)
    except OSError as error:
        where = error.filename or directory
        raise UsageError(
            f"cannot write {where}: {error.strerror}", code="usage.output", hint="name another directory"
        ) from error


def _make_executable(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o111)
