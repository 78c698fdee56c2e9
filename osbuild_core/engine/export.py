"""Carries a finished tree out of the store: copies it into the output directory, or hands it to an export module."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osbuild_core.catalog.library import default_library
from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.engine.services import Services
from osbuild_core.formats import describe
from osbuild_core.model.errors import Cancelled, StoreError
from osbuild_core.model.events import ExportFinished, ExportOutput, ExportProgress, ExportStarted
from osbuild_core.model.manifest import Export, Manifest
from osbuild_core.model.results import ExportResult, Failure
from osbuild_core.protocol import export_api
from osbuild_core.sandbox.run import Output, run_program
from osbuild_core.sandbox.spawner import mount_namespace
from osbuild_core.store.namespace import enter_private_namespace

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context

REPLY = "export.json"
"""File in an export's output directory that has what its module replied."""


def run_export(
    context: Context,
    manifest: Manifest,
    name: str,
    key: str | None,
    module: Export | None,
    output: Path | None,
) -> ExportResult:
    """Hand the tree of ``key`` (None: of a pipeline without stages) to ``module``, or copy it to ``output``/``name``.

    ``manifest`` is the one that is built. Needs a thread of its own, as executors do.
    """
    started = time.monotonic()
    context.emit(ExportStarted(name, module.type if module else ""))
    target = Path(os.path.abspath(output)) / name if output else None
    data: Mapping[str, Any] = {}
    error = None
    try:
        if target is not None:
            _make_directory(target)
        if module is not None:
            # Formats refuse exports of pipelines without stages, which have no tree.
            assert key is not None
            exported = _run_module(context, manifest, module, key, target)
            data = exported.data
            if exported.error is not None:
                place = (*module.path, "options", *exported.place) if exported.place else module.path
                error = Failure("export.failed", exported.error, exported.hint, place)
            if target is not None and data:
                _write_reply(target, data)
        elif key is not None:
            assert target is not None
            enter_private_namespace()
            with context.lease(key) as lease, lease.mount() as tree:
                copy_tree(context, tree, target)
    except FAILURES as problem:
        error = failure_of(problem, f"exporting {name!r}", module.path if module else ())
        if context.cancel.is_set():
            error = cancelled()
    seconds = time.monotonic() - started
    result = ExportResult(name, error is None, str(target) if target else None, data, error, seconds)
    context.emit(ExportFinished(result))
    return result


def _run_module(
    context: Context, manifest: Manifest, export: Export, key: str, target: Path | None
) -> export_api.Exported:
    """Run the module of ``export`` on the tree of ``key`` and return its reply."""

    def progress(value: Any) -> None:
        update = export_api.parse_progress(value)
        if update is not None:
            context.emit(ExportProgress(export.name, *update))

    module = context.module("exports", export.type)
    enter_private_namespace()
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(context.lease(key))
        tree = stack.enter_context(lease.mount())
        namespace = mount_namespace()
        stack.callback(os.close, namespace)
        scratch = stack.enter_context(context.store.scratch("export"))
        services = Services(
            context.spawner,
            scratch,
            show=lambda text: context.emit(ExportOutput(export.name, text)),
            cancel=context.cancel,
            namespace=namespace,
        )
        stack.enter_context(services)
        service = services.start(module, f"export/{export.name}", export.path)
        arguments = export_api.export(
            str(tree),
            str(target) if target else None,
            export.options,
            _write_manifest(manifest, scratch),
            [str(path) for path in context.library.paths if path != default_library()],
            str(context.store.sources.path),
        )
        return export_api.parse_exported(services.call(service, "export", arguments, progress))


def _write_manifest(manifest: Manifest, folder: Path) -> str:
    """Write ``manifest`` as it can be loaded again to a file in ``folder`` and return its path. Raises OSError."""
    path = folder / "manifest.json"
    with path.open("w") as file:
        json.dump(describe(manifest, complete=True, ids=False), file)
    return str(path)


def _write_reply(target: Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` to its file, whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=target, prefix=f".{REPLY}-", delete=False) as file:
            json.dump(data, file, indent=2)
            file.write("\n")
            os.fchmod(file.fileno(), 0o644)
        os.replace(file.name, target / REPLY)
    except OSError as error:
        raise StoreError(
            f"cannot write {target / REPLY}: {error.strerror}", code="export.directory"
        ) from error


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
