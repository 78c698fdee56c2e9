"""``osbuild-core serve``: the REST service, its database and its tokens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.cli.commands import Group, Place
from osbuild_core.model.errors import UsageError

if TYPE_CHECKING:
    from osbuild_core.server.settings import ServerSettings

config_option = click.option(
    "--config",
    metavar="FILE",
    type=Place(path_type=Path),
    envvar="OSBUILD_CORE_CONFIG",
    help="Settings of the service (TOML).",
)
data_option = click.option(
    "--data",
    metavar="DIR",
    type=Place(path_type=Path),
    help="Directory for database, composes, builds and store. [default: /var/lib/osbuild-core]",
)


def settings_of(config: Path | None, **given: Any) -> ServerSettings:
    """Return the settings; options that were given come before the file. Raises UsageError."""
    try:
        from osbuild_core.server.settings_file import load_settings
    except ImportError as error:
        raise UsageError(
            f"the service needs {error.name}",
            code="server.missing",
            hint="pip install 'osbuild-core[server]'",
        ) from None
    return load_settings(config, {name: value for name, value in given.items() if value is not None})


@click.group(cls=Group, invoke_without_command=True)
@config_option
@data_option
@click.option("--host", metavar="ADDRESS", help="Where to listen. [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="0: any that is free. [default: 8080]"
)
@click.option("--worker/--no-worker", default=None, help="Start a worker, too. [default: yes]")
@click.option("--migrate", is_flag=True, help="Bring the database to the schema of this version first.")
@click.pass_context
def command(
    context: click.Context,
    config: Path | None,
    data: Path | None,
    host: str | None,
    port: int | None,
    worker: bool | None,
    migrate: bool,
) -> int:
    """Serve composes and builds over HTTP.

    Without authentication in its settings it listens on this machine only and serves the user who started it.
    """
    settings = settings_of(config, data=data, host=host, port=port, worker=worker)
    context.obj = settings
    if context.invoked_subcommand is not None:
        return 0
    from osbuild_core.server import log
    from osbuild_core.server.serve import serve

    log.set_up(settings.log_format)
    asyncio.run(serve(settings, _say, migrate=migrate))
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


@command.command()
@click.option(
    "--to", "revision", default="head", show_default=True, help="Revision; base removes everything."
)
@click.pass_obj
def migrate(settings: ServerSettings, revision: str) -> int:
    """Bring the database to the schema of this version."""
    from osbuild_core.server.database import Database

    async def run() -> str | None:
        database = Database(settings.database_url)
        try:
            # Says what is wrong where it is not there.
            await database.revision()
            await database.migrate(revision)
            return await database.revision()
        finally:
            await database.close()

    click.echo(f"the schema is at {asyncio.run(run()) or 'nothing'}")
    return 0


@command.command()
@click.argument("user")
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="A group of the user; may be repeated."
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days for which it counts.")
@click.option("--read-only", is_flag=True, help="It is for reading only.")
@click.pass_obj
def token(
    settings: ServerSettings, user: str, groups: tuple[str, ...], days: float | None, read_only: bool
) -> int:
    """Make an API token for USER and print it, this once."""
    from osbuild_core.server import tokens

    async def run(database: Any) -> str:
        return await tokens.create(database, user, groups, days=days, read_only=read_only)

    click.echo(_with_database(settings, run))
    if "token" not in settings.authentication:
        print('note: tokens count with authentication = ["token"]', file=sys.stderr)
    return 0


@command.command()
@click.option("--revoke", metavar="ID", help="Remove this one.")
@click.pass_obj
def tokens(settings: ServerSettings, revoke: str | None) -> int:
    """List the API tokens, or revoke one."""
    from osbuild_core.server import tokens as stored

    async def run(database: Any) -> list[Any]:
        if revoke is not None:
            await stored.revoke(database, revoke)
        return await stored.listed(database)

    for row in _with_database(settings, run):
        until = row.time_to_expire.isoformat(timespec="seconds") + "Z" if row.time_to_expire else "-"
        access = "read-only" if row.read_only else "read-write"
        click.echo(f"{row.id}  {row.user}  {','.join(row.groups) or '-'}  {access}  {until}")
    return 0


def _with_database(settings: ServerSettings, run: Any) -> Any:
    from osbuild_core.server.database import Database

    async def opened() -> Any:
        database = Database(settings.database_url)
        try:
            await database.prepare(migrate=False)
            return await run(database)
        finally:
            await database.close()

    return asyncio.run(opened())
