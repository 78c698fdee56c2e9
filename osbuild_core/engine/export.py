"""Carries a finished tree out of the store: copies it into the output directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.model.errors import OsbuildError, StoreError
from osbuild_core.model.events import ExportFinished, ExportStarted
from osbuild_core.model.results import ExportResult, Failure
from osbuild_core.store.namespace import enter_private_namespace

if TYPE_CHECKING:
    from osbuild_core.engine.session import Session


def run_export(session: Session, name: str, key: str | None, output: Path) -> ExportResult:
    """Copy the tree of ``key`` to ``output``/``name``. Needs a thread of its own, as executors do."""
    started = time.monotonic()
    session.emit(ExportStarted(name))
    target = output / name
    error = None
    try:
        if key is not None:
            enter_private_namespace()
            with session.lease(key) as lease, lease.mount() as tree:
                copy_tree(tree, target)
    except OsbuildError as problem:
        error = Failure(problem.code, problem.detail, problem.hint)
    result = ExportResult(name, error is None, str(target), error=error, seconds=time.monotonic() - started)
    session.emit(ExportFinished(result))
    return result


def copy_tree(tree: Path, target: Path) -> None:
    """Copy ``tree`` with all its attributes to ``target``, over what is there, keeping holes.

    ``OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER=1`` leaves owners out, as osbuild does. Raises StoreError.
    """
    target.mkdir(parents=True, exist_ok=True)
    preserve = ["--reflink=auto", "-a", "--sparse=auto"]
    if os.environ.get("OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER") == "1":
        preserve += ["--no-preserve=ownership"]
    done = subprocess.run(
        [shutil.which("cp") or "/bin/cp", *preserve, "--", f"{tree}/.", f"{target}/"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"cp ended with status {done.returncode}"
        raise StoreError(
            f"cannot write {target}: {reason}",
            code="export.copy",
            hint="is there space left in the output directory, and may we write there?",
        )
