"""Carries a finished tree out of the store: copies it into the output directory."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.model.errors import Cancelled, StoreError
from osbuild_core.model.events import ExportFinished, ExportStarted
from osbuild_core.model.results import ExportResult
from osbuild_core.sandbox.run import Output, run_program
from osbuild_core.sandbox.spawner import mount_namespace
from osbuild_core.store.namespace import enter_private_namespace

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context


def run_export(context: Context, name: str, key: str | None, output: Path) -> ExportResult:
    """Copy the tree of ``key`` (None: nothing) to ``output``/``name``.

    Needs a thread of its own, as executors do.
    """
    started = time.monotonic()
    context.emit(ExportStarted(name))
    target = Path(os.path.abspath(output)) / name
    error = None
    try:
        _make_directory(target)
        if key is not None:
            enter_private_namespace()
            with context.lease(key) as lease, lease.mount() as tree:
                copy_tree(context, tree, target)
    except FAILURES as problem:
        error = failure_of(problem, f"exporting {name!r}")
        if context.cancel.is_set():
            error = cancelled()
    result = ExportResult(name, error is None, str(target), error=error, seconds=time.monotonic() - started)
    context.emit(ExportFinished(result))
    return result


def _make_directory(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the directory {target}: {error.strerror}",
            code="export.directory",
            hint="name another one with --output-directory",
        ) from error


def copy_tree(context: Context, tree: Path, target: Path) -> None:
    """Copy ``tree`` with all its attributes to ``target``, over what is there, keeping holes.

    ``OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER=1`` leaves owners out, as osbuild does. Raises StoreError, and
    Cancelled with a part of the tree copied.
    """
    # A link that is in the place of a file goes first: it may lead anywhere.
    options = ["--reflink=auto", "-a", "--sparse=auto", "--remove-destination"]
    if os.environ.get("OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER") == "1":
        options += ["--no-preserve=ownership"]
    namespace = mount_namespace()
    try:
        with open(os.devnull, "wb") as log:
            done = run_program(
                context.spawner,
                [shutil.which("cp") or "/bin/cp", *options, "--", f"{tree}/.", f"{target}/"],
                environment={**os.environ, "LC_ALL": "C"},
                output=Output(log, lambda _: None),
                namespace=namespace,
                cancel=context.cancel.fileno(),
            )
    finally:
        os.close(namespace)
    if done.cancelled:
        raise Cancelled("cancelled")
    if done.returncode != 0:
        lines = done.output.strip().splitlines()
        reason = lines[-1] if lines else f"cp ended with status {done.returncode}"
        raise StoreError(
            f"cannot write {target}: {reason}",
            code="export.copy",
            hint="is there space left in the output directory, and may we write there?",
        )
