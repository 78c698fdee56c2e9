"""``osbuild-core diff``."""

from __future__ import annotations

import base64
import contextlib
import functools
from collections import Counter
from pathlib import Path
from typing import Any, cast

import click

from osbuild_core.cli.commands import F, json_option
from osbuild_core.cli.documents import print_json, read_manifest
from osbuild_core.cli.lines import on_one_line
from osbuild_core.cli.options import settings_of, store_options
from osbuild_core.engine.plan import export_targets
from osbuild_core.engine.session import Session
from osbuild_core.model.errors import UsageError
from osbuild_core.store.difference import Difference, differences
from osbuild_core.store.lookup import SHORTEST, is_short, matching
from osbuild_core.store.store import Store

SAME, DIFFERENT, TROUBLE = 0, 1, 2
"""Exit statuses, as diff(1) has them."""

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def _trouble(function: F) -> F:
    """Have errors end with a status that does not say "different"."""

    @functools.wraps(function)
    def troubled(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except Exception as error:
            from osbuild_core.cli.report import as_error, print_error

            known = as_error(error)
            if known is None:
                raise
            debug = click.get_current_context().obj
            if debug is not None:
                debug.failed(error)
            print_error(known)
            return TROUBLE

    return cast(F, troubled)


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--mtime", is_flag=True, help="Compare times of modification as well.")
@_trouble
@json_option
@store_options
def command(
    old: str,
    new: str,
    mtime: bool,
    as_json: bool,
    store: Path,
    libdir: tuple[str, ...],
    store_backend: str | None,
) -> int:
    """Compare two trees of the store: what NEW has more, less or otherwise than OLD.

    A tree is named by its key, by the id of the stage that made it, by the first six digits or more of either
    (see osbuild-core store ls), or by MANIFEST:PIPELINE for what a pipeline of a manifest file has made.

    Exit status: 0 the same, 1 different, 2 trouble.
    """
    with Session(settings_of(libdir, store_backend, store=store)) as session:
        opened = session.opened_store()
        keys = [_key(session, opened, text) for text in (old, new)]
        with session.lease(keys[0]) as before, session.lease(keys[1]) as after:
            # Without the right to mount, the store shows its trees as they lie.
            with contextlib.suppress(PermissionError):
                from osbuild_core.store.namespace import enter_private_namespace

                enter_private_namespace()
            found = list(differences(before, after, mtime=mtime))
    if as_json:
        print_json({"old": keys[0], "new": keys[1], "same": not found, "differences": _documents(found)})
    else:
        for difference in found:
            click.echo(line(difference))
        click.echo(summary(found), err=True)
    return DIFFERENT if found else SAME


def _key(session: Session, store: Store, text: str) -> str:
    """Return the key of the object that ``text`` names. Raises UsageError."""
    if is_short(text):
        infos = matching(store.objects(), text)
        if len(infos) == 1:
            return infos[0].key
        if infos:
            raise UsageError(
                f"{text} may be one of {len(infos)} objects",
                code="usage.ambiguous-object",
                hint="keys: " + ", ".join(sorted(info.key[: max(12, len(text) + 4)] for info in infos)),
            )
        raise UsageError(f"the store has no object {text}", code="usage.unknown-object", hint=_HINT)
    path, colon, name = text.rpartition(":")
    if not colon or not path:
        hint = f"at least {SHORTEST} digits are needed" if _is_hex(text) else _NAMES
        raise UsageError(f"{text!r} names no object", code="usage.unknown-object", hint=hint)
    manifest = session.load(read_manifest(path))
    ((_, pipeline, _),) = export_targets(manifest, [name])
    key = session.keys(manifest).of(pipeline)
    if key is None or not store.has(key):
        raise UsageError(
            f"the store has no tree of the pipeline {pipeline!r} of {path}",
            code="usage.unknown-object",
            hint="build it first" if key else "it has no stages",
        )
    return key


_HINT = "osbuild-core store ls shows what there is"
_NAMES = "name a key, the id of a stage, the first digits of one, or MANIFEST:PIPELINE"


def _is_hex(text: str) -> bool:
    return bool(text) and all(digit in "0123456789abcdef" for digit in text)


def line(difference: Difference) -> str:
    """Return a difference as a line of text."""
    path = on_one_line(difference.path) + ("/" if difference.type == "directory" else "")
    if difference.kind != "changed":
        return f"{_MARKS[difference.kind]} {path}"
    details = (_detail(fact, difference.before[fact], difference.after[fact]) for fact in difference.what)
    return f"~ {path}: {', '.join(details)}"


def _detail(fact: str, before: Any, after: Any) -> str:
    if fact == "xattrs":
        names = (name for name in sorted({**before, **after}) if before.get(name) != after.get(name))
        return "xattrs " + " ".join(map(on_one_line, names))
    if fact == "content":
        return "content" if before == after else f"content ({before} -> {after} bytes)"
    if fact == "mtime":
        return f"mtime {before / 1e9:.9f} -> {after / 1e9:.9f}"
    return f"{fact} {on_one_line(str(before))} -> {on_one_line(str(after))}"


def summary(found: list[Difference]) -> str:
    """Return one line on all of it."""
    if not found:
        return "no difference"
    counts = Counter[str](difference.kind for difference in found)
    return ", ".join(f"{counts[kind]} {kind}" for kind in _MARKS if counts[kind])


def _documents(found: list[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind,
            "path": one.path,
            "type": one.type,
            "what": list(one.what),
            "before": {fact: _plain(value) for fact, value in one.before.items()},
            "after": {fact: _plain(value) for fact, value in one.after.items()},
        }
        for one in found
    ]


def _plain(value: Any) -> Any:
    """Return a fact as JSON; values of attributes in base64."""
    if not isinstance(value, dict):
        return value
    return {name: base64.b64encode(content).decode() for name, content in value.items()}
