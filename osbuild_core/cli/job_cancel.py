"""``osbuild-core job cancel``: ends jobs that wait or run."""

from __future__ import annotations

import click

from osbuild_core.cli.commands import json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.job_targets import HELP, cluster_of, document_of, jobs_of, status_of_job, text_of
from osbuild_core.cli.lines import printable


@click.command("cancel", epilog=HELP)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--all", "every", is_flag=True, help="Every job of a script, not only its last one.")
@json_option
def command(targets: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Cancel jobs. Those that have ended are left as they are, which is no error."""
    before = []
    for target in targets:
        for job in jobs_of(target, every=every):
            status = status_of_job(job)
            if not status.ended:
                cluster_of(job).cancel([job.job])
            before.append(status)
    if as_json:
        jobs = [{"cancelled": not one.ended, **document_of(one)} for one in before]
        print_json({"success": True, "jobs": jobs})
    else:
        for one in before:
            click.echo(printable(text_of(one)) if one.ended else f"Cancelled job {one.job}")
    return 0
