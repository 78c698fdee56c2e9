"""``osbuild-core compose``: composes of a service, from its client's side."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.cli.commands import Group, Place, json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.lines import printable
from osbuild_core.model.errors import OsbuildError, UsageError

if TYPE_CHECKING:
    from osbuild_core.exports.compose.client import ODCS

TYPES = ("tag", "module", "repo", "pulp", "raw_config", "build", "pungi_compose")
MULTILIB = ("none", "runtime", "devel", "all")
SERVER = "http://localhost:8080/"
TIMEOUT = 3600.0


@click.group(cls=Group)
@click.option(
    "--server",
    metavar="URL",
    envvar="OSBUILD_CORE_SERVER",
    default=SERVER,
    show_default=True,
    help="Address of the service. [also: OSBUILD_CORE_SERVER]",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=Place(path_type=Path),
    help="File with a token. [also: OSBUILD_CORE_TOKEN, with the token itself]",
)
@click.option("--ssl-cert", metavar="FILE", help="Client certificate.")
@click.option("--ssl-key", metavar="FILE", help="Key of the client certificate.")
@click.option("--ca", metavar="FILE", help="Certificates that the service's is checked with.")
@click.pass_context
def command(
    context: click.Context,
    server: str,
    token_file: Path | None,
    ssl_cert: str | None,
    ssl_key: str | None,
    ca: str | None,
) -> None:
    """Ask a service for repositories of packages, and look after them."""
    context.obj = lambda: _client(server, token_file, ssl_cert, ssl_key, ca)


def _client(
    server: str, token_file: Path | None, ssl_cert: str | None, ssl_key: str | None, ca: str | None
) -> ODCS:
    from osbuild_core.exports.compose.client import ODCS, AuthMech

    token = os.environ.get("OSBUILD_CORE_TOKEN", "").strip()
    if token_file is not None:
        token = token_file.read_text().strip()
        if not token.isprintable() or not token or " " in token:
            raise UsageError(f"{token_file} has no token in it", code="usage.token")
    if bool(ssl_cert) != bool(ssl_key):
        raise UsageError("--ssl-cert and --ssl-key go together", code="usage.certificate")
    mech = AuthMech.SSL if ssl_cert else AuthMech.OpenIDC if token else AuthMech.Anonymous
    return ODCS(
        server,
        auth_mech=mech,
        openidc_token=token or None,
        ssl_cert=ssl_cert,
        ssl_key=ssl_key,
        ssl_verify=ca or True,
    )


class _Printable:
    """Standard error for a log: repositories have written parts of it."""

    def write(self, text: str) -> None:
        sys.stderr.write(printable(text))

    def flush(self) -> None:
        sys.stderr.flush()


def _finished(odcs: ODCS, compose: dict[str, Any], timeout: float, watch: bool) -> dict[str, Any]:
    try:
        # What people read goes to standard error: standard output is for the result.
        output: Any = _Printable()
        return odcs.wait_for_compose(compose["id"], timeout=timeout, watch_logs=watch, output=output)
    except RuntimeError as error:
        raise OsbuildError(
            str(error), code="compose.timeout", hint=f"go on: osbuild-core compose wait {compose['id']}"
        ) from None


def _show(compose: dict[str, Any], as_json: bool) -> int:
    """Print a compose; return the exit status: 1 where it failed."""
    if as_json:
        print_json(compose)
    else:
        for line in lines(compose):
            click.echo(printable(line))
    return 1 if compose["state_name"] == "failed" else 0


def lines(compose: dict[str, Any]) -> list[str]:
    """Return what people want to know of a compose."""
    shown = [f"compose {compose['id']}: {compose['state_name']}"]
    if compose.get("state_reason"):
        shown += [f"  reason   {part}" for part in str(compose["state_reason"]).splitlines()]
    shown.append(f"  source   {compose['source'] or compose['builds']}")
    if compose.get("packages"):
        shown.append(f"  packages {compose['packages']}")
    shown += [f"  owner    {compose['owner']}", f"  expires  {compose['time_to_expire']}"]
    if compose["state_name"] == "done" and compose.get("result_repofile"):
        shown.append(f"  repo     {compose['result_repofile']}")
        if "iso" in compose.get("results", ()):
            shown.append(f"  images   {compose['toplevel_url']}/compose/metadata/images.json")
    elif compose["state_name"] == "failed" and compose.get("toplevel_url"):
        shown.append(f"  log      {compose['toplevel_url']}/pungi-stderr.log")
    return shown


_wait_options = [
    click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=TIMEOUT,
        metavar="SECONDS",
        show_default=True,
        help="How long to wait.",
    ),
    click.option("--watch", is_flag=True, help="Show its log on standard error."),
]


def _waiting(function: Any) -> Any:
    for option in _wait_options:
        function = option(function)
    return function


@command.command()
@click.argument("source_type", metavar="TYPE", type=click.Choice(TYPES))
@click.argument("source", required=False, default="")
@click.option(
    "--package", "-p", "packages", multiple=True, metavar="NAME", help="Only these, with what they need."
)
@click.option("--build", "builds", multiple=True, metavar="NVR", help="Name-version-release of a build.")
@click.option("--flag", "flags", multiple=True, metavar="NAME", help="no_deps, check_deps, no_reuse, …")
@click.option("--arch", "arches", multiple=True, metavar="ARCH", help="Architecture; may be given again.")
@click.option(
    "--multilib-arch",
    "multilib_arches",
    multiple=True,
    metavar="ARCH",
    help="Architecture that also gets packages of another.",
)
@click.option(
    "--multilib-method", multiple=True, type=click.Choice(MULTILIB), help="Which packages those are."
)
@click.option(
    "--sigkey",
    "sigkeys",
    multiple=True,
    metavar="ID",
    help='Key of signatures, "" for none; preferred first.',
)
@click.option("--result", "results", multiple=True, metavar="NAME", help="iso: images as well.")
@click.option(
    "--lookaside-repo",
    "lookaside_repos",
    multiple=True,
    metavar="URL",
    help="Repository whose packages need not be there.",
)
@click.option("--koji-event", type=int, metavar="N", help="Revision of the source. [default: the newest]")
@click.option("--label", metavar="TEXT", help="Label, such as RC-1.0.")
@click.option("--compose-type", metavar="NAME", help="test, nightly, production, … [default: test]")
@click.option("--target-dir", metavar="NAME", help="Directory of the service for it.")
@click.option("--seconds-to-live", type=click.IntRange(0), metavar="N", help="How long it is kept.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
@_waiting
@json_option
@click.pass_obj
def create(
    client: Any,
    /,
    source_type: str,
    source: str,
    no_wait: bool,
    timeout: float,
    watch: bool,
    as_json: bool,
    **parameters: Any,
) -> int:
    """Ask for a compose and wait for it.

    TYPE says what SOURCE is: the name of a tag, NAME:STREAM of modules, addresses of repositories (or
    "deb URL SUITE COMPONENT"), content sets, NAME#COMMIT of a raw_config, the address of another compose.
    """
    odcs = client()
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in parameters.items()
        if value not in (None, ())
    }
    compose = odcs.new_compose(source, source_type, **given)
    return _show(compose if no_wait else _finished(odcs, compose, timeout, watch), as_json)


_id = click.argument("id", type=click.IntRange(0))


@command.command()
@_id
@_waiting
@json_option
@click.pass_obj
def wait(client: Any, id: int, timeout: float, watch: bool, as_json: bool) -> int:
    """Wait for a compose. Exit status: 1 where it failed."""
    return _show(_finished(client(), {"id": id}, timeout, watch), as_json)


@command.command()
@_id
@json_option
@click.pass_obj
def get(client: Any, id: int, as_json: bool) -> int:
    """Show a compose."""
    _show(client().get_compose(id), as_json)
    return 0


@command.command("list")
@click.option("--owner", metavar="NAME", help="Only those of this owner.")
@click.option(
    "--state",
    type=click.Choice(("wait", "generating", "done", "removed", "failed")),
    help="Only those in this state.",
)
@click.option("--type", "source_type", type=click.Choice(TYPES), help="Only those of this type of source.")
@click.option("--source", metavar="TEXT", help="Only those of this source.")
@click.option("--label", metavar="TEXT", help="Only those with this label.")
@click.option(
    "--order-by", default="-id", show_default=True, metavar="FIELD", help="Order; with - the largest first."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many at the most.",
)
@json_option
@click.pass_obj
def list_(client: Any, /, limit: int, as_json: bool, **criteria: Any) -> int:
    """List composes, the newest first."""
    from itertools import islice

    given = {name: value for name, value in criteria.items() if value is not None}
    found = list(islice(client().composes(per_page=min(limit, 100), **given), limit))
    if as_json:
        print_json({"items": found})
    for compose in [] if as_json else found:
        source = compose["source"] or compose["builds"]
        columns = (f"{compose['id']:>6}", f"{compose['state_name']:<10}", compose["owner"], source)
        click.echo(printable("  ".join(columns)))
    return 0


@command.command()
@_id
@click.option("--seconds-to-live", type=click.IntRange(0), metavar="N", help="How long from now on.")
@click.option("--label", metavar="TEXT", help="Make it again with this label.")
@click.option("--sigkey", "sigkeys", multiple=True, metavar="ID", help="Make it again with these keys.")
@json_option
@click.pass_obj
def renew(
    client: Any,
    id: int,
    seconds_to_live: int | None,
    label: str | None,
    sigkeys: tuple[str, ...],
    as_json: bool,
) -> int:
    """Let a compose live longer; one that is removed or failed is made again, as a new one."""
    more = {"sigkeys": list(sigkeys)} if sigkeys else {}
    _show(client().renew_compose(id, seconds_to_live, label, **more), as_json)
    return 0


@command.command()
@_id
@json_option
@click.pass_obj
def delete(client: Any, id: int, as_json: bool) -> int:
    """Cancel a compose that is not done, let one that is expire now."""
    answer = client().delete_compose(id)
    if as_json:
        print_json(answer)
    else:
        click.echo(printable(str(answer["message"])))
    return 0


@command.command()
@_id
@click.option("--output", "-o", type=Place(path_type=Path), help="File for it. [default: standard output]")
@click.pass_obj
def repo(client: Any, id: int, output: Path | None) -> int:
    """Print what a package manager needs: the .repo or .sources file of a compose that is done."""
    odcs = client()
    text = odcs.repo(odcs.get_compose(id))
    if output is not None:
        from osbuild_core.cli.documents import write_output

        write_output(text, output)
    else:
        click.echo(text, nl=False)
    return 0
