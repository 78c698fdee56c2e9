"""``osbuild-core job submit``: a job script, or what a template makes, to Slurm."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.cli.commands import Place, json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.job_scripts import checked, make, print_notes, render_options
from osbuild_core.cli.lines import on_one_line

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.scripts.record import SubmittedJob
    from osbuild_core.exports.jobs.slurm.client import Slurm
    from osbuild_core.exports.jobs.slurm.programs import User
    from osbuild_core.exports.jobs.slurm.submission import Submission


@click.command("submit")
@click.argument("target", metavar="TEMPLATE|SCRIPT", type=Place(path_type=Path))
@click.argument("arguments", nargs=-1)
@render_options
@click.option("--user", metavar="NAME", help="Whose job it is, where that is not you; for root.")
@click.option(
    "--chdir", metavar="DIR", type=Place(path_type=Path), help="Where it runs. [default: beside the script]"
)
@click.option("--job-name", metavar="NAME", help="What it is called. [default: as the template]")
@click.option("--partition", "-p", metavar="NAME", help="Where it is queued.")
@click.option("--array", metavar="TASKS", help="Many of it, as in 0-15, 1,3,5-7 or 0-99%4.")
@click.option(
    "--dependency",
    "-d",
    multiple=True,
    metavar="TYPE:JOB[:JOB...]",
    help="What comes first, as in afterok:12. Where that can never be, the job is cancelled.",
)
@click.option(
    "--follow", is_flag=True, help="Show its changes until it has ended; the exit status is as of job status."
)
@json_option
def command(
    target: Path,
    arguments: tuple[str, ...],
    job_name: str | None,
    follow: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Submit a script, or what the folder TEMPLATE makes, to Slurm.

    ARGUMENTS are for the script. What has to be remembered of the job is put beside the script, in SCRIPT.jobs.json:
    status, logs and cancel find it there.
    """
    from osbuild_core.exports.jobs.scripts.template import is_template
    from osbuild_core.exports.jobs.slurm.client import Slurm

    client, user = Slurm(), _user(options["user"])
    name: str | None
    owner = None if user is None else (user.uid, user.gid)
    sbatch: tuple[str, ...] = checked(options["sbatch"])
    keys = ("words", "answers", "fast", "sbatch", "output_dir", "force")
    if target.is_dir() or is_template(target):
        client.ping()
        written = make(target, **{key: options[key] for key in keys}, owner=owner)
        if not as_json:
            print_notes(written.notes)
        script, name, sbatch = written.script, job_name or written.name, ()
    else:
        script, name = _existing(target, options), job_name
    submission = _submission(script.absolute(), arguments, name, sbatch, options)
    job = _remembered(client, client.submit(submission), submission, owner)
    if as_json:
        print_json({"success": True, "job": job.job, "script": str(script), "name": job.name})
    else:
        click.echo(f"Submitted job {job.job}: {on_one_line(str(script))}")
    sys.stdout.flush()
    if not follow:
        return 0
    from osbuild_core.cli.job_status import follow_job
    from osbuild_core.cli.job_targets import exit_status

    return exit_status([follow_job(job, 1.0, as_json)])


def _user(name: str | None) -> User | None:
    """Return whom the job is for; None for the caller."""
    if name is None:
        return None
    from osbuild_core.exports.jobs.slurm.programs import user_named

    user = user_named(name)
    return None if user.uid == os.geteuid() else user


def _existing(script: Path, options: dict[str, Any]) -> Path:
    """Return a script that is submitted as it is. Raises UsageError."""
    from osbuild_core.model.errors import UsageError

    if options["words"] or options["answers"]:
        raise UsageError(
            f"{script} is no template",
            code="usage.script-template",
            hint="values are for a folder that is one",
        )
    if not script.is_file():
        raise UsageError(
            f"there is no script {script}",
            code="usage.script",
            hint="name a script, or the folder of a template",
        )
    return script


def _submission(
    script: Path,
    arguments: tuple[str, ...],
    name: str | None,
    sbatch: tuple[str, ...],
    options: dict[str, Any],
) -> Submission:
    from osbuild_core.exports.jobs.slurm.submission import Submission, dependency_of

    return Submission(
        script,
        arguments,
        sbatch,
        name=name,
        partition=options["partition"],
        dependencies=tuple(map(dependency_of, options["dependency"])),
        array=options["array"],
        directory=(options["chdir"] or script.parent).absolute(),
        user=options["user"],
    )


def _remembered(
    client: Slurm, number: str, submission: Submission, owner: tuple[int, int] | None
) -> SubmittedJob:
    """Write down what is known of a job that was just submitted, and return it."""
    from osbuild_core.exports.jobs.scripts.record import SubmittedJob, remember
    from osbuild_core.exports.jobs.slurm.errors import SlurmError

    try:
        details, log = client.details(number)[0], client.completion_log()
    except (SlurmError, IndexError):
        # It is submitted all the same; what is not known is asked for later.
        details, log = None, None
    job = SubmittedJob(
        number,
        details.submitted if details else "",
        submission.name or (details.name if details else ""),
        str(submission.script),
        str(submission.directory),
        details.output if details else "",
        details.error if details else "",
        submission.array,
        submission.user,
        os.environ.get("SLURM_CONF"),
        str(log) if log else None,
    )
    assert isinstance(submission.script, Path)
    remember(submission.script, job, owner)
    return job
