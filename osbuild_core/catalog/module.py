"""One module of a library: an executable and what its metadata says about it."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osbuild_core.catalog import metadata
from osbuild_core.model.errors import ModuleError

if TYPE_CHECKING:
    from pathlib import Path


class Module:
    """A module: ``kind`` is its folder in the library, ``name`` what manifests call it.

    Nothing is read before it is asked for; what was read is kept. All properties but ``kind``, ``name``
    and ``path`` raise ModuleError (``module.metadata``, ``module.unreadable``) for a broken module.
    """

    def __init__(self, kind: str, name: str, path: str) -> None:
        self.kind = kind
        self.name = name
        self._path = path

    def __repr__(self) -> str:
        return f"Module({self.kind!r}, {self.name!r}, {self._path!r})"

    @cached_property
    def path(self) -> Path:
        """The executable."""
        from pathlib import Path

        return Path(self._path)

    @property
    def summary(self) -> str:
        """One line: what the module does."""
        return self._metadata.summary

    @property
    def description(self) -> str:
        """The longer text, lines separated by newlines."""
        return self._metadata.description

    @property
    def capabilities(self) -> frozenset[str]:
        """The capabilities (``CAP_…``) that it needs beyond the default set."""
        return self._metadata.capabilities

    @property
    def withheld(self) -> frozenset[str]:
        """The capabilities of the default set that it does without."""
        return self._metadata.withheld

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, over the bytes of the executable and of its ``.meta.json``."""
        state = hashlib.sha256()
        for data in (self._read(self._path), self._meta or b""):
            # With the lengths, moving bytes from one file to the other is a change too.
            state.update(len(data).to_bytes(8, "big"))
            state.update(data)
        return state.hexdigest()

    def schema(self, version: str) -> dict[str, Any]:
        """Return the JSON schema (draft 4) for the module's part of a manifest of ``version`` "1" or "2".

        It is for the whole stage, input, … with its ``type`` (version 1: ``name``).
        """
        return metadata.module_schema(self.name, self._metadata, version, self.kind)

    @cached_property
    def _metadata(self) -> metadata.Metadata:
        if self._meta is not None:
            return metadata.from_json(self.name, self._meta)
        if self.kind == "runners":
            # Runners take no options, and may be shell scripts.
            return metadata.Metadata()
        return metadata.from_source(self.name, self._read(self._path))

    @cached_property
    def _meta(self) -> bytes | None:
        try:
            return self._read(self._path + ".meta.json")
        except FileNotFoundError:
            return None

    def _read(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            if path.endswith(".meta.json"):
                raise
            raise self._unreadable(path, "is gone") from None
        except OSError as error:
            raise self._unreadable(path, f"cannot be read: {error.strerror}") from None

    def _unreadable(self, path: str, why: str) -> ModuleError:
        return ModuleError(
            f"{path} {why}",
            code="module.unreadable",
            hint=f"check the library directory {os.path.dirname(os.path.dirname(path))}",
        )
