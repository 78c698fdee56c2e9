"""Writes the manual pages of both commands, docs/man/*.1, from the code of their command lines.

``make docs``; a test holds the pages to the code.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from osbuild_core import __version__
from osbuild_core.cli.commands import group
from osbuild_core.cli.osbuild_arguments import parser

FOLDER = Path(__file__).resolve().parent / "man"

Rows = Iterable[tuple[str, str]]

EXIT_STATUS = {
    "osbuild-core": (
        ("0", "Done."),
        (
            "1",
            "Something failed (a stage, a download, an export, the store), or what was named is not there.",
        ),
        ("2", "The manifest or the command line was refused."),
        ("129", "Ended by SIGHUP (the terminal was closed)."),
        ("130", "Ended by SIGINT (Ctrl-C)."),
        ("143", "Ended by SIGTERM."),
    ),
    "osbuild": (
        ("0", "Done."),
        ("1", "The build failed, or what was asked for is not there."),
        ("2", "The manifest or the command line was refused."),
        ("129", "Ended by SIGHUP (the terminal was closed)."),
        ("130", "Ended by SIGINT (Ctrl-C)."),
        ("143", "Ended by SIGTERM."),
    ),
}

ABOUT_OSBUILD = """
This is the command of osbuild-core that other programs call: it takes the arguments of osbuild and prints what
osbuild prints. Options may be abbreviated. Without --export nothing is built, and all sources are downloaded.
"""

ENVIRONMENT = {
    "OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER": "With the value 1, exported files belong to who runs the command.",
    "OSBUILD_SOURCES_CURL_PROXY": "Proxy of the source org.osbuild.curl.",
    "OSBUILD_SOURCES_CURL_SSL_CA_CERT": "Certificates of authorities that it trusts.",
    "OSBUILD_SOURCES_CURL_SSL_CLIENT_CERT": "Certificate that it shows to servers.",
    "OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY": "Key of that certificate.",
    "XDG_CACHE_HOME": "Where compiled schemas and package indexes are kept, in osbuild-core/. Default: ~/.cache.",
}


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    return {"osbuild-core.1": "".join(core_page()), "osbuild.1": "".join(osbuild_page())}


# osbuild-core, from click


def core_page() -> Iterator[str]:
    """Yield the page of ``osbuild-core``."""
    context = group.make_context("osbuild-core", [], resilient_parsing=True)
    yield _head("OSBUILD-CORE", "osbuild-core", "build operating system images from manifests")
    yield f".B osbuild\\-core\n{_usage(group, context)}\n"
    yield ".SH DESCRIPTION\n" + _paragraphs(group.help or "")
    yield ".SH OPTIONS\n" + _rows(_options(group, context))
    yield ".SH COMMANDS\n"
    for names, command in commands():
        inner = click.Context(command, info_name=names[-1], parent=context)
        yield f".SS {_text(' '.join(names))}\n"
        yield f".B {_text(' '.join(('osbuild-core', *names)))}\n{_usage(command, inner)}\n"
        yield ".PP\n" + _paragraphs(command.help or "")
        yield _rows(_options(command, inner))
    variables = dict(ENVIRONMENT)
    for _, command in commands():
        for param in command.params:
            if isinstance(param, click.Option) and isinstance(param.envvar, str):
                variables[param.envvar] = f"As {param.opts[0]}. {param.help or ''}".strip()
    yield from _foot("osbuild-core", variables, "osbuild")


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the commands that do something, each with its name and those of the groups around it."""

    def below(
        command: click.Command, names: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        if not isinstance(command, click.Group):
            yield names, command
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from below(found, (*names, name))

    yield from below(group, ())


def _usage(command: click.Command, context: click.Context) -> str:
    """Return the arguments of ``command``, its options first."""
    return _text(" ".join(command.collect_usage_pieces(context)))


def _options(command: click.Command, context: click.Context) -> Rows:
    for param in command.get_params(context):
        record = param.get_help_record(context)
        # Arguments have their place in the usage; most need no words.
        if record is not None and record[1]:
            yield record


# osbuild, from argparse


def osbuild_page() -> Iterator[str]:
    """Yield the page of ``osbuild``."""
    made = parser()
    shown = [action for action in made._actions if action.help is not argparse.SUPPRESS]
    positional = [action for action in shown if not action.option_strings]
    optional = [action for action in shown if action.option_strings]
    yield _head("OSBUILD", "osbuild", "build operating system images, with the command line of osbuild")
    yield f".B osbuild\n[OPTIONS] {_text(' '.join(_metavar(action) for action in positional))}\n"
    yield ".SH DESCRIPTION\n" + _paragraphs((made.description or "").rstrip(".") + ".")
    yield ".PP\n" + _paragraphs(ABOUT_OSBUILD)
    yield _rows((_metavar(action), _help(action, made)) for action in positional)
    yield ".SH OPTIONS\n" + _rows((_invocation(action), _help(action, made)) for action in optional)
    yield from _foot("osbuild", ENVIRONMENT, "osbuild-core")


# Not argparse's own formatter: how it writes options differs between versions of Python.


def _invocation(action: argparse.Action) -> str:
    """Return how the option ``action`` is written on the command line."""
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    return f"{names} [{_metavar(action)}]" if action.nargs == "?" else f"{names} {_metavar(action)}"


def _metavar(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()


def _help(action: argparse.Action, made: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {**vars(action), "prog": made.prog}
    return text[:1].upper() + text[1:].rstrip(".") + "."


# roff


def _head(title: str, name: str, about: str) -> str:
    return (
        f'.\\" Written by docs/manual.py; do not edit.\n.TH {_text(title)} 1 "" "osbuild\\-core {__version__}"\n'
        f".SH NAME\n{_text(name)} \\- {_text(about)}\n.SH SYNOPSIS\n"
    )


def _foot(name: str, variables: dict[str, str], other: str) -> Iterator[str]:
    yield ".SH EXIT STATUS\n" + _rows(EXIT_STATUS[name])
    yield ".SH ENVIRONMENT\n" + _rows(sorted(variables.items()))
    yield ".SH SEE ALSO\n" + f".BR {_text(other)} (1)\n"


def _rows(rows: Rows) -> str:
    """Return tagged paragraphs."""
    return "".join(f".TP\n.B {_text(name)}\n{_lines(about)}" for name, about in rows)


def _paragraphs(text: str) -> str:
    """Return a help text, whose paragraphs are apart by an empty line; ``\\b`` keeps the lines of the next."""
    parts = []
    for paragraph in inspect.cleandoc(text).replace("\b\n", "\b").split("\n\n"):
        if paragraph.startswith("\b"):
            parts.append(f".nf\n{_lines(paragraph[1:])}.fi\n")
        else:
            parts.append(_lines(" ".join(paragraph.split())))
    return ".PP\n".join(parts)


def _lines(text: str) -> str:
    return "".join(f"{_text(line)}\n" for line in text.splitlines())


def _text(text: str) -> str:
    """Return ``text`` so that roff takes no part of it for its own."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\\&" + text if text.startswith((".", "'")) else text


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, content in pages().items():
        (FOLDER / file).write_text(content)
    sys.exit(0)
