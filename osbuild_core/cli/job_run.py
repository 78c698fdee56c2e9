"""``osbuild-core job run``: what ``openjd run`` does; several tasks at once, and on a tree that was built."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.cli.commands import Place
from osbuild_core.cli.job_log import FORMATS
from osbuild_core.cli.job_options import (
    OUTPUTS,
    accepted,
    extensions_option,
    make_job,
    output_option,
    parameters_option,
    print_result,
    reporting,
    template_argument,
)
from osbuild_core.model.errors import UsageError

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.events import Sink
    from osbuild_core.exports.jobs.job import Job
    from osbuild_core.exports.jobs.pathmapping import PathMappingRule
    from osbuild_core.exports.jobs.results import Results
    from osbuild_core.exports.jobs.run import RunResult
    from osbuild_core.exports.jobs.template import EnvironmentTemplate


@click.command("run")
@template_argument
@parameters_option
@click.option("--step", metavar="NAME", help="Run this step only.")
@click.option(
    "--task-param",
    "-tp",
    "task_params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Run the one task of the step with this value; as often as the step has parameters.",
)
@click.option(
    "--tasks", metavar="JSON", help="Run these tasks of the step: a list of objects, or file://FILE."
)
@click.option("--maximum-tasks", type=int, default=-1, metavar="N", help="Run at most N tasks of the step.")
@click.option(
    "--run-dependencies/--no-run-dependencies",
    default=False,
    help="Run what the step depends on before it, or not. [default: not]",
)
@click.option(
    "--path-mapping-rules", metavar="JSON", help="A pathmapping-1.0 document, or file://FILE for one."
)
@click.option(
    "--environment",
    "--env",
    "environments",
    multiple=True,
    type=Place(),
    metavar="FILE",
    help="Environment template to put around the job; the first one is the outermost.",
)
@click.option("--preserve", is_flag=True, help="Keep the working directories of the sessions.")
@click.option("--verbose", is_flag=True, help="Show more of what happens.")
@click.option(
    "--timestamp-format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="The times before lines of the log.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="N",
    help="Tasks of a step at once, as far as the host has what they need; 0 is the number of processors.",
)
@click.option("--keep-going", "-k", is_flag=True, help="After a failure, run what does not depend on it.")
@click.option("--resume", is_flag=True, help="Leave out the tasks that were done well before.")
@click.option(
    "--results",
    type=Place(path_type=Path),
    metavar="FILE",
    help="File that keeps what comes of tasks. [default: one for each template, in the user's state]",
)
@click.option("--events", metavar="FILE", help="File for events as JSON lines; - is standard output.")
@click.option("--root", metavar="PIPELINE", help="Run in a sandbox on the tree of this pipeline.")
@click.option("--manifest", metavar="FILE", help="The manifest that has the pipeline.")
@click.option(
    "--store",
    type=Place(path_type=Path),
    default=".osbuild",
    show_default=True,
    envvar="OSBUILD_CORE_STORE",
    help="Object store for --root.",
)
@output_option
@extensions_option
@reporting
def command(path: str, output: str, timestamp_format: str, verbose: bool, **options: Any) -> int:
    """Run the job that the template PATH makes, or a step or some tasks of it, in sessions on this host.

    Ctrl-C cancels what runs, as its template wants that, and leaves the environments; once more ends all at once.
    Exit status: 1 where something failed.
    """
    from osbuild_core.cli.job_log import EventLog, JobLog, both, open_events

    options["jobs"] = options["jobs"] or len(os.sched_getaffinity(0))
    to_machine = output != OUTPUTS[0]
    with contextlib.ExitStack() as stack:
        place = options.pop("events")
        out = sys.stderr if place == "-" else sys.stdout
        log = JobLog(
            None if to_machine else out, timestamp_format, verbose=verbose, several=options["jobs"] > 1
        )
        sink: Sink = log
        if place is not None:
            sink = both(log, EventLog(stack.enter_context(open_events(place))))
        job, result = _run(path, sink, **options)
    from osbuild_core.cli.report import error_document, error_lines
    from osbuild_core.exports.jobs.run import failure_error

    errors = [failure_error(failure) for failure in result.failures]
    document = _document(job, result, options["step"], log)
    if errors:
        document["errors"] = [error for each in errors for error in error_document(each)["errors"]]  # type: ignore[attr-defined]
    if place == "-":
        pass
    elif to_machine:
        print_result(document, output)
    else:
        click.echo(_text(document))
    if not to_machine:
        for error in errors:
            for line in error_lines(error):
                print(f"error: {line}", file=sys.stderr)
    return 0 if result.state == "success" else 1


def _run(
    path: str,
    sink: Sink,
    *,
    job_params: Sequence[str],
    extensions: str | None,
    environments: Sequence[str],
    step: str | None,
    task_params: Sequence[str],
    tasks: str | None,
    maximum_tasks: int,
    run_dependencies: bool,
    path_mapping_rules: str | None,
    preserve: bool,
    results: Path | None,
    resume: bool,
    root: str | None,
    manifest: str | None,
    store: Path,
    jobs: int,
    keep_going: bool,
) -> tuple[Job, RunResult]:
    """Run the job and return it, with what has come of it."""
    from osbuild_core.cli.start import cancelling
    from osbuild_core.exports.jobs.extensions import refuse_foreign
    from osbuild_core.exports.jobs.run import JobRun, RunOptions, run_in_thread
    from osbuild_core.exports.jobs.selection import select

    templates = [_environment(file, extensions) for file in environments]
    job, values = make_job(path, job_params, extensions, templates)
    refuse_foreign(job)
    selected = select(
        job,
        step=step,
        tasks=_tasks(task_params, tasks, maximum_tasks),
        at_most=maximum_tasks if maximum_tasks > 0 else None,
        dependencies=run_dependencies,
    )
    if (root is None) != (manifest is None):
        raise UsageError(
            "--root and --manifest go together",
            code="usage.root",
            hint="a pipeline, and the file that has it",
        )
    used = (*job.extensions, *(name for template in templates for name in template.extensions))
    with contextlib.ExitStack() as stack:
        options = RunOptions(
            jobs=jobs,
            keep_going=keep_going,
            environments=tuple(t.environment for t in templates if t.environment is not None),
            rules=tuple(_rules(path_mapping_rules)),
            extensions=used,
            retain_working_dir=preserve,
            results=stack.enter_context(_results(path, results, resume)),
            resume=resume,
        )
        if root is not None and manifest is not None:
            from osbuild_core.cli.job_root import run_in_tree

            return job, run_in_tree(job, values, selected, options, sink, manifest, root, store)
        run = JobRun(job, values, selected, options, sink)
        with cancelling(run.interrupt):
            return job, run_in_thread(run.run)


def _environment(path: str, extensions: str | None) -> EnvironmentTemplate:
    from osbuild_core.exports.jobs.decode import decode_environment_template
    from osbuild_core.exports.jobs.document import read_document
    from osbuild_core.exports.jobs.errors import DecodeValidationError

    try:
        return decode_environment_template(
            template=read_document(path), supported_extensions=accepted(extensions)
        )
    except DecodeValidationError as error:
        if error.code == "job.document":
            raise
        issues = [issue._replace(message=f"{path}: {issue.message}") for issue in error.issues]
        raise DecodeValidationError(issues) from None


def _tasks(words: Sequence[str], text: str | None, maximum: int) -> list[dict[str, str]] | None:
    """Return the tasks that the options name, None for all of them."""
    from osbuild_core.exports.jobs.selection import task_list

    if bool(words) + (text is not None) + (maximum > 0) > 1:
        raise UsageError(
            "only one of --task-param, --tasks and --maximum-tasks can be given", code="usage.task"
        )
    if text is not None:
        return task_list(_json("--tasks", text))
    task: dict[str, str] = {}
    for word in words:
        name, equals, value = word.lstrip().partition("=")
        if not name or not equals or name in task:
            problem = "is there twice" if name in task else "has no value"
            raise UsageError(f"--task-param {word!r} {problem}", code="usage.task", hint="NAME=VALUE")
        task[name] = value
    return [task] if task else None


def _json(option: str, text: str) -> Any:
    """Return the document in the value of an option: JSON, or file://FILE. Raises UsageError."""
    text = text.strip()
    where = option
    try:
        if text.startswith("file://"):
            where = os.path.expanduser(text.removeprefix("file://"))
            with open(where, encoding="utf-8") as file:
                content = file.read()
            if not where.endswith(".json"):
                import yaml

                return yaml.safe_load(content)
            text = content
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"{option}: cannot read {where}: {error.strerror}", code="usage.option") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        hint = "JSON, or file:// and the name of a file"
        raise UsageError(f"{where} is not JSON: {reason}", code="usage.option", hint=hint) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        raise UsageError(
            f"{where} is not YAML: {' '.join(str(error).split())}", code="usage.option"
        ) from None


def _rules(text: str | None) -> list[PathMappingRule]:
    from osbuild_core.exports.jobs.pathmapping import read_rules

    if text is None:
        return []
    try:
        return read_rules(_json("--path-mapping-rules", text))
    except ValueError as error:
        raise UsageError(f"--path-mapping-rules: {error}", code="usage.path-mapping") from None


@contextlib.contextmanager
def _results(template: str, path: Path | None, resume: bool) -> Iterator[Results | None]:
    """Give the file with results; without, where nobody asked for it and it cannot be used."""
    from osbuild_core.exports.jobs.results import Results, ResultsError, default_path

    try:
        results = Results(path if path is not None else default_path(Path(template)))
    except ResultsError as error:
        if path is not None or resume:
            raise
        print(f"warning: nothing is kept for --resume: {error.detail}", file=sys.stderr)
        yield None
        return
    with results:
        yield results


def _document(job: Job, result: RunResult, step: str | None, log: Any) -> dict[str, Any]:
    """Return the result with the members that openjd's has, and ours."""
    message = "Session ended successfully"
    if result.state == "failed":
        message = "Session ended with errors; see Task logs for details"
    elif result.state == "canceled":
        message = "Session was cancelled"
    for directory in result.directories:
        message += f"\nWorking directory preserved at: {directory}"
    if step is None and len(job.steps) == 1:
        step = job.steps[0].name
    return {
        "status": "success" if result.state == "success" else "error",
        "message": message,
        "job_name": job.name,
        **({"step_name": step} if step is not None else {}),
        "duration": result.seconds,
        "chunks_run": result.counts.success,
        "chunks_failed": result.counts.failed,
        "chunks_skipped": result.counts.skipped,
        **({"logs": log.logs} if log.logs else {}),
    }


def _text(document: dict[str, Any]) -> str:
    """Return the result as people read it."""
    lines = [
        "",
        "--- Results of local session ---",
        "",
        document["message"],
        "",
        f"Job: {document['job_name']}",
    ]
    if "step_name" in document:
        lines.append(f"Step: {document['step_name']}")
    lines += [f"Duration: {document['duration']} seconds", f"Chunks run: {document['chunks_run']}"]
    for name in ("failed", "skipped"):
        if document[f"chunks_{name}"]:
            lines.append(f"Chunks {name}: {document[f'chunks_{name}']}")
    return "\n".join([*lines, ""])
