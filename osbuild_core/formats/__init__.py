"""Manifests as JSON, versions 1 and 2: loaded, validated, described back; results as JSON."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from osbuild_core.model.errors import Issue, ManifestError, Path

if TYPE_CHECKING:
    from osbuild_core.catalog import Library
    from osbuild_core.model.manifest import Manifest, Stage
    from osbuild_core.model.results import RunResult


def load(document: Any, library: Library, *, name: str = "manifest", strict: bool = False) -> Manifest:
    """Validate ``document``, the parsed JSON of a manifest, against ``library`` and return it as a model.

    ``name`` is what messages call it. ``strict`` refuses our extensions of the format (``exports``).
    Raises ManifestError with every issue found (``manifest.format`` for what is no manifest at all), and
    ModuleError for a module that is broken.
    """
    if not isinstance(document, dict):
        raise _no_format(f"{name} is no JSON object")
    with _collecting_later():
        return _load(document, library, name, strict)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Keep the garbage collector from looking again and again through what a large manifest is made of.

    All of it stays; the time of a load would grow faster than the manifest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(document: dict[str, Any], library: Library, name: str, strict: bool) -> Manifest:
    version = document.get("version", "1")
    try:
        if version == "2":
            from osbuild_core.formats import v2

            return v2.load(document, library, strict=strict)
        if version == "1":
            from osbuild_core.formats import v1

            return v1.load(document, library)
    except RecursionError:
        raise _no_format(f"{name} is nested too deeply") from None
    raise _no_format(f"{name} has the unsupported format version {version!r}", ("version",))


def _no_format(message: str, path: Path = ()) -> ManifestError:
    hint = 'a manifest is a JSON object with "version": "2", or with "pipeline" in version 1'
    return ManifestError([Issue(message, path, "manifest.format", hint)])


def describe(manifest: Manifest, *, complete: bool = False, ids: bool = True) -> dict[str, Any]:
    """Return ``manifest`` as JSON in the format that it came in.

    As osbuild's ``--inspect`` prints it, which leaves out source epochs, parents of devices, options of
    sources and exports; ``complete`` keeps them. Without ``ids`` it has no ids, names pipelines by
    name, and can be loaded again.
    """
    if manifest.version == "1":
        from osbuild_core.formats import v1

        return v1.describe(manifest, complete=complete, ids=ids)
    from osbuild_core.formats import v2

    return v2.describe(manifest, complete=complete, ids=ids)


def output(manifest: Manifest, result: RunResult) -> dict[str, Any]:
    """Return ``result`` as the JSON document that osbuild's ``--json`` prints for ``manifest``'s format."""
    from osbuild_core.formats import report

    return report.version_1(manifest, result) if manifest.version == "1" else report.version_2(result)


def missing_items(manifest: Manifest, stages: Iterable[Stage] | None = None) -> list[Issue]:
    """Return an issue (``manifest.unknown-source-item``) for each reference to what no source lists.

    Looked at are the inputs of ``stages``, by default of all. Loading does not ask for this, since a stage
    that is in the store already needs none of its items.
    """
    from osbuild_core.model.manifest import ORIGIN_SOURCE

    known: set[str] = set()
    for source in manifest.sources:
        known.update(source.items)
    wanted = (s for p in manifest for s in p.stages) if stages is None else stages
    hint = "list it in the items of a source"
    return [
        Issue(
            f"no source lists {ref!r}",
            (*stage.path, "inputs", item.name, "references"),
            "manifest.unknown-source-item",
            hint,
        )
        for stage in wanted
        for item in stage.inputs
        if item.origin == ORIGIN_SOURCE
        for ref in item.refs
        if ref not in known
    ]


def validation_report(error: ManifestError) -> dict[str, Any]:
    """Return ``error`` as the JSON document that osbuild prints for a manifest that it refuses."""
    return {
        "type": "https://osbuild.org/validation-error",
        "title": "JSON Schema validation failed",
        "success": False,
        "errors": [{"message": issue.message, "path": list(issue.path)} for issue in error.issues],
    }


__all__ = ["describe", "load", "missing_items", "output", "validation_report"]
