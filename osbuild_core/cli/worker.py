"""``osbuild-core worker``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from osbuild_core.cli.serve import config_option, data_option, settings_of


@click.command()
@config_option
@data_option
@click.option(
    "--name", help="Its name, which no other worker may have. [default: host, process, something random]"
)
def command(config: Path | None, data: Path | None, name: str | None) -> int:
    """Make composes and builds that are in the queue of a service.

    It needs the database and the directories of the service, and the rights that building takes. As many as you
    like may run, on as many machines.
    """
    settings = settings_of(config, data=data)
    from osbuild_core.server import log
    from osbuild_core.server.worker import work

    log.set_up(settings.log_format)
    asyncio.run(work(settings, name=name))
    return 0
