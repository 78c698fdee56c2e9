"""``osbuild-core store``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from osbuild_core.cli.commands import Group, json_option
from osbuild_core.cli.documents import print_json
from osbuild_core.cli.lines import on_one_line, size
from osbuild_core.cli.options import Age, Size, store_option, store_options
from osbuild_core.cli.table import table, terminal_width
from osbuild_core.store.collection import Collection
from osbuild_core.store.lookup import last_stage
from osbuild_core.store.object import ObjectInfo
from osbuild_core.store.store import Store
from osbuild_core.store.verify import Verification

SHORT = 12
"""Digits of a key or id that are shown."""


@click.group(cls=Group)
def command() -> None:
    """Look after the object store."""


@command.command()
@json_option
@store_options
def info(store: Path, libdir: tuple[str, ...], store_backend: str | None, as_json: bool) -> None:
    """Show where the store is, how it keeps trees and how much is in it."""
    with Store.open(store, backend=store_backend, create=False) as opened:
        usage = opened.usage()
    facts = {
        "path": str(usage.path),
        "format": usage.format,
        "backend": usage.backend,
        "objects": usage.objects,
        "object_bytes": usage.object_bytes,
        "sources": usage.sources,
        "source_bytes": usage.source_bytes,
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"path:     {usage.path}")
    click.echo(f"format:   {usage.format}")
    click.echo(f"backend:  {usage.backend}")
    click.echo(f"objects:  {usage.objects} ({size(usage.object_bytes)})")
    click.echo(f"sources:  {usage.sources} files ({size(usage.source_bytes)})")


class _Row(NamedTuple):
    info: ObjectInfo
    size: int


_ORDERS: dict[str, Callable[[_Row], Any]] = {
    "used": lambda row: -row.info.last_used,
    "created": lambda row: -row.info.created,
    "size": lambda row: -row.size,
    "depth": lambda row: -row.info.depth,
    "key": lambda row: row.info.key,
}


@command.command()
@click.option(
    "--sort",
    type=click.Choice(list(_ORDERS)),
    default="used",
    show_default=True,
    help="What comes first: the newest, the largest, the deepest.",
)
@click.option("--reverse", "-r", is_flag=True, help="The other way round.")
@json_option
@store_option
def ls(store: Path, sort: str, reverse: bool, as_json: bool) -> None:
    """List the trees in the store, and sum up its source files.

    KEY and ID are the first digits of what osbuild-core diff takes. FLAGS: p pinned by a checkpoint, d durable
    (known to be on the disk). DEPTH counts the layers that make the tree, SIZE is that of its own layer.
    """
    with Store.open(store, create=False) as opened:
        rows = sorted((_Row(info, info.size()) for info in opened.objects()), key=_ORDERS[sort])
        kinds: dict[str, list[int]] = {}
        for file in opened.sources.files():
            kinds.setdefault(file.path.parent.name, []).append(file.size)
    if reverse:
        rows.reverse()
    if as_json:
        sources = {name: {"items": len(sizes), "bytes": sum(sizes)} for name, sizes in sorted(kinds.items())}
        print_json({"objects": [_document(row) for row in rows], "sources": sources})
        return
    now = time.time()
    head = ("KEY", "ID", "SIZE", "AGE", "USED", "FLAGS", "DEPTH", "WHAT")
    if rows:
        cells = [_cells(row, now) for row in rows]
        for text in table(head, cells, right=frozenset({2, 3, 4, 6}), width=terminal_width()):
            click.echo(text)
    click.echo(f"objects: {len(rows)} ({size(sum(row.size for row in rows))})")
    for name, sizes in sorted(kinds.items()):
        click.echo(f"sources: {len(sizes)} {on_one_line(name)} ({size(sum(sizes))})")


def what(info: ObjectInfo) -> str:
    """Return what an object is, as far as it says so itself: ``tree: hostname``."""
    stage = last_stage(info)
    if stage is None:
        runner = info.document.get("runner")
        return f"build root ({_short(runner)})" if runner else ""
    pipeline = info.document.get("pipeline")
    return on_one_line(f"{pipeline}: {_short(stage.get('type'))}" if pipeline else _short(stage.get("type")))


def _short(name: object) -> str:
    return str(name).removeprefix("org.osbuild.")


def age(seconds: float) -> str:
    """Return how long ago something was, roughly."""
    for unit, length in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds / length)}{unit}"
    return f"{max(0, int(seconds))}s"


def _cells(row: _Row, now: float) -> list[str]:
    info = row.info
    return [
        info.key[:SHORT],
        str((last_stage(info) or {}).get("id", "-"))[:SHORT],
        size(row.size),
        age(now - info.created),
        age(now - info.last_used),
        ("p" if info.pinned else "-") + ("d" if info.durable else "-"),
        str(info.depth),
        what(info),
    ]


def _document(row: _Row) -> dict[str, Any]:
    info, stage = row.info, last_stage(row.info) or {}
    return {
        "key": info.key,
        "id": stage.get("id"),
        "pipeline": info.document.get("pipeline"),
        "stage": stage.get("type"),
        "index": stage.get("index"),
        "runner": info.document.get("runner"),
        "bytes": row.size,
        "created": info.created,
        "last_used": info.last_used,
        "pinned": info.pinned,
        "durable": info.durable,
        "depth": info.depth,
        "parent": info.parent,
        "backend": info.backend,
    }


@command.command()
@click.option("--max-size", type=Size(), help="Delete what was not used for longest until this is left.")
@click.option(
    "--older-than", type=Age(), help="Delete what was not used for so long (7d, 12h), but for checkpoints."
)
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be deleted.")
@json_option
@store_option
def gc(store: Path, max_size: int | None, older_than: float | None, dry_run: bool, as_json: bool) -> None:
    """Delete what killed builds left and what cannot be used; on request also what is old, or too much.

    May run beside builds: what they use stays.
    """
    since = None if older_than is None else time.time() - older_than
    with Store.open(store, create=False, clean=False) as opened:
        done = opened.collect(max_size=max_size, unused_since=since, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, **_collection_document(done)})
        return
    for text in _collection_lines(done, dry_run):
        click.echo(text)
    if max_size is not None and done.evicted.left > max_size:
        click.echo("what is more than --max-size is in use", err=True)


def _collection_lines(done: Collection, dry_run: bool) -> Iterator[str]:
    would = "would delete" if dry_run else "deleted"
    for one in done.garbage:
        yield f"{would} {one.kind} {on_one_line(one.name)} ({size(one.size)})"
    for info, own in done.evicted.objects:
        about = what(info)
        yield f"{would} object {info.key[:SHORT]}{f' {about}' if about else ''} ({size(own)})"
    files = done.evicted.sources
    if files:
        yield f"{would} {len(files)} source files ({size(sum(file.size for file in files))})"
    yield f"{'would free' if dry_run else 'freed'} {size(done.freed)}, {size(done.evicted.left)} left"


def _collection_document(done: Collection) -> dict[str, Any]:
    return {
        "freed": done.freed,
        "left": done.evicted.left,
        "garbage": [{"kind": one.kind, "name": one.name, "bytes": one.size} for one in done.garbage],
        "objects": [
            {"key": info.key, "what": what(info), "bytes": own} for info, own in done.evicted.objects
        ],
        "sources": [
            {"name": f"{file.path.parent.name}/{file.path.name}", "bytes": file.size}
            for file in done.evicted.sources
        ],
    }


@command.command()
@click.option("--repair", is_flag=True, help="Delete what is broken, unless it is in use.")
@json_option
@store_option
def verify(store: Path, repair: bool, as_json: bool) -> int:
    """Check that every tree can be used and that every source file is what its checksum says.

    May run beside builds. Exit status: 1 where something broken is there, or was left by --repair.
    """
    with Store.open(store, create=False) as opened:
        found = opened.verify(repair=repair)
    if as_json:
        print_json(_verification_document(found))
    else:
        for text in _verification_lines(found):
            click.echo(text)
    return 1 if any(not one.removed for one in found.broken) else 0


def _verification_lines(found: Verification) -> Iterator[str]:
    for one in found.broken:
        outcome = "deleted: " if one.removed else ""
        yield f"{outcome}{one.kind} {on_one_line(one.name)}: {one.reason}"
    unknown = f", {found.unknown} without a checksum" if found.unknown else ""
    counts = f"{found.objects} objects, {found.sources} source files ({size(found.size)}){unknown}"
    yield f"{counts}: {f'{len(found.broken)} broken' if found.broken else 'all well'}"


def _verification_document(found: Verification) -> dict[str, Any]:
    return {
        "success": all(one.removed for one in found.broken),
        "objects": found.objects,
        "sources": found.sources,
        "unknown": found.unknown,
        "source_bytes": found.size,
        "broken": [one._asdict() for one in found.broken],
    }
