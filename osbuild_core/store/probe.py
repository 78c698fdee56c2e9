"""Finds out what the store's directory can do, by doing it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple

from osbuild_core.model.errors import OsbuildError, StoreError
from osbuild_core.store.entry import Entry

BACKENDS = ("overlay", "reflink", "copy")


class Abilities(NamedTuple):
    """``mounts``: may we mount at all. ``reason`` says why overlay does not work here, if it does not."""

    mounts: bool
    overlay: bool
    reflink: bool
    reason: str | None = None


def probe(tmp: Path) -> Abilities:
    """Try each; about 3 ms. In a thread with its own mount namespace, so that the machine sees nothing."""
    entry = Entry(tmp, "probe")
    found: list[Abilities] = []
    try:
        thread = threading.Thread(target=lambda: found.append(_probe(entry.path)), name="store-probe")
        thread.start()
        thread.join()
    finally:
        entry.remove()
    return found[0] if found else Abilities(False, False, False, "the probe failed")


def _probe(directory: Path) -> Abilities:
    from osbuild_core.store.copying import reflinks_work
    from osbuild_core.store.namespace import enter_private_namespace
    from osbuild_core.store.privilege import is_real_root

    reflink = reflinks_work(str(directory))
    try:
        enter_private_namespace()
    except OSError as error:
        return Abilities(False, False, reflink, f"no right to mount: {error.strerror}")
    if not is_real_root():
        # There a mount works in a namespace made for it only, and overlay has no metacopy and no renames.
        return Abilities(False, False, reflink, "not root, or root of a user namespace only")
    try:
        _try_overlay(directory)
    except OSError as error:
        return Abilities(True, False, reflink, error.strerror or str(error))
    except OsbuildError as error:
        return Abilities(True, False, reflink, error.detail)
    return Abilities(True, True, reflink)


def _try_overlay(directory: Path) -> None:
    from osbuild_core.store import overlay

    names = ["upper", "work", "lower", "empty", "tree"]
    upper, work, lower, empty, tree = (directory / "probe" / name for name in names)
    for path in (upper, work, lower / "before", empty, tree):
        path.mkdir(parents=True)
    overlay.mount_writable(tree, upper, work, [lower], empty)
    try:
        os.rename(tree / "before", tree / "after")
    finally:
        if not overlay.unmount(tree):
            raise StoreError("the probe's mount stays busy", code="store.busy")


def choose(abilities: Abilities, wanted: str | None) -> str:
    """Return the backend to use; raises StoreError where the wanted one does not work here."""
    if wanted is None:
        return "overlay" if abilities.overlay else "reflink" if abilities.reflink else "copy"
    if wanted == "overlay" and not abilities.overlay:
        raise StoreError(
            f"overlay mounts do not work on this store: {abilities.reason}",
            code="store.backend",
            hint="leave out --store-backend, or use copy",
        )
    if wanted == "reflink" and not abilities.reflink:
        raise StoreError(
            "the store's file system does not share data between copies",
            code="store.backend",
            hint="leave out --store-backend, or use copy",
        )
    return wanted
