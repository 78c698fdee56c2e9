"""``osbuild-core job status``: how submitted jobs are, and how they ended."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from osbuild_core.cli.commands import json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.job_targets import (
    HELP,
    cluster_of,
    document_of,
    exit_status,
    jobs_of,
    status_of_job,
    text_of,
)
from osbuild_core.cli.lines import printable

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.scripts.record import SubmittedJob
    from osbuild_core.exports.jobs.slurm.states import JobStatus


@click.command("status", epilog=HELP)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--all", "every", is_flag=True, help="Every job of a script, not only its last one.")
@click.option("--follow", is_flag=True, help="Show changes until all have ended.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two questions to the cluster.",
)
@json_option
def command(targets: tuple[str, ...], every: bool, follow: bool, interval: float, as_json: bool) -> int:
    """Show how jobs are.

    Exit status: 0 if they are done, 3 if one failed, 4 if one was cancelled, 5 if one waits or runs, 1 for an error.
    """
    jobs = [job for target in targets for job in jobs_of(target, every=every)]
    if follow:
        return exit_status([follow_job(job, interval, as_json) for job in jobs])
    statuses = [status_of_job(job) for job in jobs]
    if as_json:
        print_json({"success": True, "jobs": [document_of(one) for one in statuses]})
    else:
        for status in statuses:
            for one in (status, *status.tasks):
                click.echo(printable(text_of(one)))
    return exit_status(statuses)


def follow_job(job: SubmittedJob, interval: float, as_json: bool) -> JobStatus:
    """Show each change of ``job``, as a line of JSON where that is wanted; return how it ended."""
    from osbuild_core.exports.jobs.slurm.follow import follow

    status = None
    for status in follow(cluster_of(job), [job.job], since=job.submitted, interval=interval):
        if as_json:
            json.dump(document_of(status), sys.stdout)
            sys.stdout.write("\n")
            sys.stdout.flush()
        else:
            click.echo(printable(text_of(status)))
    assert status is not None, "a job is followed until it has ended"
    return status
