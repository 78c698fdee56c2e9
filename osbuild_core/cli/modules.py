"""``osbuild-core modules``."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.catalog.library import KINDS, Library, default_library
from osbuild_core.catalog.module import Module
from osbuild_core.cli.commands import Group, Place, json_option, library_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.option_table import Option, option_table
from osbuild_core.cli.table import table, terminal_width
from osbuild_core.model.errors import ModuleError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PREFIX = "org.osbuild."

_SINGULAR = {kind: kind.removesuffix("s") for kind in KINDS}

_PARTS = ("inputs", "devices", "mounts")


class Kind(click.ParamType[str]):
    """A kind of modules, as its folder is called or in the singular."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind = folder(str(value))
        if kind is None:
            self.fail(f"{value!r} is no kind of modules; there are {', '.join(KINDS)}", param, ctx)
        return kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def folder(text: str) -> str | None:
    """Return the folder of the kind ``text`` ("stage" or "stages"), None where there is no such kind."""
    return next((kind for kind in KINDS if text in (kind, _SINGULAR[kind])), None)


@click.group(cls=Group)
def command() -> None:
    """Show the modules of a library, or begin a new one."""


@command.command("list")
@click.argument("kind", required=False, type=Kind())
@click.option("--kind", "only", type=Kind(), help="List modules of this kind only, such as stages.")
@library_option
@json_option
def list_(kind: str | None, only: str | None, libdir: tuple[str, ...], as_json: bool) -> int:
    """List the modules, of all kinds or of KIND, with what they do."""
    library = Library(*libdir, default_library())
    kinds = [chosen] if (chosen := only or kind) else list(KINDS)
    found = {k: {name: _summary(library, k, name) for name in library.names(k)} for k in kinds}
    broken = [
        about for modules in found.values() for about in modules.values() if isinstance(about, ModuleError)
    ]
    if as_json:
        print_json(
            {
                k: [
                    {"name": name, "summary": "", "error": about.detail}
                    if isinstance(about, ModuleError)
                    else {"name": name, "summary": about}
                    for name, about in modules.items()
                ]
                for k, modules in found.items()
            }
        )
        return 1 if broken else 0
    for k, modules in found.items():
        if modules:
            click.echo(f"{k}:")
            rows = [(f"  {name:36}", _text(about)) for name, about in modules.items()]
            for line in table((), rows, width=terminal_width()):
                click.echo(line)
    return 1 if broken else 0


def _text(about: str | ModuleError) -> str:
    return f"(broken) {about.detail}" if isinstance(about, ModuleError) else about


def _summary(library: Library, kind: str, name: str) -> str | ModuleError:
    try:
        module = library.module(kind, name)
        return module.summary if module else ""
    except ModuleError as error:
        return error


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    library = Library(*ctx.params.get("libdir", ()), default_library())
    every = [(kind, name) for kind in KINDS for name in library.names(kind)]
    if "/" in incomplete:
        words = [f"{kind}/{name}" for kind, name in every]
    else:
        words = [name for _, name in every] + [name.removeprefix(PREFIX) for _, name in every]
    return sorted({word for word in words if word.startswith(incomplete)})


@command.command()
@click.argument("name", shell_complete=_names)
@library_option
@json_option
def show(name: str, libdir: tuple[str, ...], as_json: bool) -> None:
    """Show what a module does and takes.

    NAME is like org.osbuild.copy, or just copy; stages/copy where there are several of that name.
    """
    module = find(Library(*libdir, default_library()), name)
    described = describe(module)
    if as_json:
        print_json(described)
        return
    for line in lines(module, described, min(100, shutil.get_terminal_size().columns)):
        click.echo(line)


def find(library: Library, text: str) -> Module:
    """Return the module that ``text`` names. Raises UsageError for none and for several."""
    prefix, slash, name = text.rpartition("/")
    kind = folder(prefix) if slash else None
    if slash and kind is None:
        raise UsageError(
            f"{prefix!r} is no kind of modules", code="usage.module", hint=f"there are {', '.join(KINDS)}"
        )
    kinds = [kind] if kind else list(KINDS)
    every = [(k, n) for k in kinds for n in library.names(k)]
    for wanted in (name, PREFIX + name):
        found = [(k, n) for k, n in every if n == wanted]
        if found:
            break
    else:
        found = [(k, n) for k, n in every if n.endswith(f".{name}")]
    if len(found) > 1:
        raise UsageError(
            f"there are {len(found)} modules {text}",
            code="usage.ambiguous-module",
            hint="take one of " + ", ".join(f"{k}/{n}" for k, n in found),
        )
    module = library.module(*found[0]) if found else None
    if module is None:
        raise UsageError(
            f"there is no module {text}", code="usage.unknown-module", hint=_suggestion(name, every)
        )
    return module


def _suggestion(name: str, every: list[tuple[str, str]]) -> str:
    import difflib

    short = {known.removeprefix(PREFIX): f"{kind}/{known}" for kind, known in reversed(every)}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), short, 3)
    if not close:
        return "osbuild-core modules list shows what there is"
    return "did you mean " + " or ".join(short[found] for found in close) + "?"


def describe(module: Module) -> dict[str, Any]:
    """Return what there is to know about ``module``, for ``--json``."""
    schema = module.schema("2") if module.kind != "runners" else {}
    members = schema.get("properties", {})
    if module.kind in ("stages", "assemblers", "exports"):
        table = option_table(members.get("options", {}), schema)
        parts = {part: _parts(members.get(part)) for part in _PARTS}
    else:
        table = [option for option in option_table(schema, schema) if option.path != "type"]
        parts = {}
    return {
        "kind": module.kind,
        "name": module.name,
        "path": str(module.path),
        "summary": module.summary,
        "description": module.description,
        "capabilities": sorted(module.capabilities),
        "options": [option._asdict() for option in table],
        **parts,
        "schema": schema,
    }


def _parts(schema: object) -> dict[str, Any] | None:
    """Return what a stage says about its inputs, devices or mounts; None where it takes none."""
    if not isinstance(schema, dict):
        return None
    named = schema.get("properties")
    closed = schema.get("additionalProperties") is False
    return {
        "any": not closed,
        "named": [
            {
                "name": name,
                "required": name in schema.get("required", ()),
                "type": _types(one),
                "description": one.get("description", ""),
            }
            for name, one in (named.items() if isinstance(named, dict) else ())
            if isinstance(one, dict)
        ],
    }


def _types(schema: dict[str, Any]) -> list[str]:
    properties = schema.get("properties")
    kind = properties.get("type") if isinstance(properties, dict) else None
    return [str(name) for name in kind.get("enum", ())] if isinstance(kind, dict) else []


def lines(module: Module, described: dict[str, Any], width: int) -> Iterator[str]:
    """Yield what ``described`` has as text of at most ``width`` columns, where words allow."""
    yield f"{module.name} ({_SINGULAR[module.kind]})"
    if module.summary:
        yield from textwrap.wrap(module.summary, width)
    for paragraph in module.description.split("\n\n"):
        if paragraph.strip():
            yield ""
            yield from textwrap.wrap(paragraph, width)
    yield ""
    yield f"File: {module.path}"
    if module.capabilities:
        yield from textwrap.wrap(
            f"Capabilities beyond the usual: {', '.join(sorted(module.capabilities))}",
            width,
            subsequent_indent="  ",
        )
    for part in _PARTS:
        if described.get(part):
            yield from _part_lines(part, described[part], width)
    if described["options"]:
        yield ""
        yield "Options" if module.kind in ("stages", "assemblers", "exports") else "What a manifest says"
        for option in described["options"]:
            yield from _option_lines(Option(**option), width)


def _part_lines(part: str, about: dict[str, Any], width: int) -> Iterator[str]:
    if not about["named"]:
        yield f"{part.capitalize()}: " + ("any" if about["any"] else "none")
        return
    yield f"{part.capitalize()}:"
    for one in about["named"]:
        facts = [*one["type"], *(["required"] if one["required"] else [])]
        yield f"  {one['name']}" + (f" ({', '.join(facts)})" if facts else "")
        yield from _indented(one["description"], width)


def _option_lines(option: Option, width: int) -> Iterator[str]:
    facts = [option.type]
    facts += ["required"] if option.required else []
    facts += [f"default {option.default}"] if option.default is not None else []
    head = f"  {option.path}: {', '.join(facts)}"
    yield from textwrap.wrap(head, max(20, width), subsequent_indent="    ")
    if option.choices:
        yield from _indented("One of " + ", ".join(map(str, option.choices)), width)
    yield from _indented(option.description, width)


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), initial_indent="      ", subsequent_indent="      ")


@command.command()
@click.argument("module", metavar="KIND/NAME")
@click.option(
    "--directory",
    type=Place(path_type=Path),
    default=".",
    show_default=True,
    metavar="DIR",
    help="Library directory to write to; made if missing.",
)
@json_option
def new(module: str, directory: Path, as_json: bool) -> None:
    """Begin a module: write one that works, with its metadata and a test that builds with it.

    KIND is stage, input, source, device, mount, assembler or export; NAME is like com.example.greeting. Nothing is
    overwritten. Commands find the module with --libdir DIR.
    """
    from osbuild_core.cli.skeleton import parse_module, skeleton, write_skeleton

    kind, name = parse_module(module)
    files = write_skeleton(skeleton(kind, name), directory)
    if as_json:
        print_json({"kind": kind, "name": name, "files": [str(path) for path in files]})
        return
    for path in files:
        click.echo(f"wrote {path}")
    click.echo(f"test it:  {sys.executable} -m pytest {files[-1]}   (as root)")
    click.echo(f"use it:   osbuild-core build --libdir {directory} MANIFEST")
