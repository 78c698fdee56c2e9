"""The trees that a pipeline's stages may read: answers what input services ask the store."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from osbuild_core.model.errors import ServiceError
from osbuild_core.sandbox import mounts

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context


class Trees:
    """Objects by the ids that the manifest gives them, mounted when first asked for.

    ``keys`` maps ids to keys of the plan. ``directory`` is where temporary directories of services go.
    A context: leaving it unmounts everything.
    """

    def __init__(self, context: Context, keys: dict[str, str], directory: Path) -> None:
        self._context = context
        self._keys = keys
        self._directory = directory
        self._mounted: dict[str, Path] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Trees:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read_tree(self, object_id: str) -> Path:
        """Return where the tree of ``object_id`` is mounted, read-only."""
        if object_id not in self._mounted:
            key = self._keys.get(object_id)
            if key is None:
                raise ServiceError(
                    f"{object_id} is not an input of this stage",
                    code="service.unknown-object",
                    hint="a stage can only read the pipelines that its inputs refer to",
                )
            lease = self._stack.enter_context(self._context.lease(key))
            self._mounted[object_id] = self._stack.enter_context(lease.mount())
        return self._mounted[object_id]

    def read_tree_at(self, object_id: str, target: str, subtree: str) -> Path:
        """Show ``subtree`` of the object, a directory or a file, at ``target``, read-only."""
        tree = self.read_tree(object_id)
        try:
            fd = mounts.open_in_root(tree, subtree)
        except OSError as error:
            raise ServiceError(
                f"{subtree} of the input cannot be read: {error.strerror}", code="service.path"
            ) from error
        try:
            mounts.bind(Path(f"/proc/self/fd/{fd}"), Path(target))
        finally:
            os.close(fd)
        return Path(target)

    def mkdtemp(self, suffix: str | None, prefix: str | None) -> Path:
        return Path(tempfile.mkdtemp(suffix=suffix, prefix=prefix, dir=self._directory))

    def source(self, name: str) -> Path:
        """Return the directory of the files of content type ``name``."""
        path: Path = self._context.store.sources.path / name
        return path
