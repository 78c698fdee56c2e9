"""A manifest in one call, for programs that build just once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.model.events import Sink
from osbuild_core.model.manifest import Manifest
from osbuild_core.model.results import RunResult


def load(document: Any, *, library: Path | None = None) -> Manifest:
    """Return the manifest that ``document`` (parsed JSON) describes, with its ids.

    Raises ManifestError with every issue, ModuleError where ``library`` is none.
    """
    with Session(Settings(library=library)) as session:
        return session.load(document)


def build(
    document: Any,
    *,
    exports: Sequence[str] = (),
    output_directory: Path | None = None,
    settings: Settings | None = None,
    sink: Sink | None = None,
) -> RunResult:
    """Build the manifest that ``document`` (parsed JSON) describes and export what ``exports`` name.

    A failed stage is in the result. Raises ManifestError, ModuleError, UsageError, StoreError.
    """
    with Session(settings, sink) as session:
        manifest = session.load(document)
        return session.build(manifest, exports=exports, output_directory=output_directory)
