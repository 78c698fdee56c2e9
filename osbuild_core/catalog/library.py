"""A library directory: ``<path>/<kind>/<name>`` is a module's executable."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from osbuild_core.catalog.module import Module
from osbuild_core.model.errors import ModuleError

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("stages", "inputs", "sources", "devices", "mounts", "assemblers", "exports", "runners")


def _root() -> str:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "library")
    return installed if os.path.isdir(installed) else os.path.dirname(package)


def default_library() -> Path:
    """Return the library that comes with the program: inside the package, or the root of the checkout."""
    from pathlib import Path

    return Path(_root())


def schema_file(name: str) -> str:
    """Return the path of one of the program's own schemas, such as ``osbuild2.json``."""
    return os.path.join(_root(), "schemas", name)


def host_runner_names(os_release: Mapping[str, str]) -> list[str]:
    """Return the names of runners for a host, the best first.

    ``os_release`` has the variables of os-release(5). The distribution comes first, then those that it
    says it is like, then any Linux.
    """
    version = os_release.get("VERSION_ID", "").replace(".", "")
    families = [os_release.get("ID", "linux"), *os_release.get("ID_LIKE", "").split()]
    return [f"org.osbuild.{family}{version}" for family in families] + ["org.osbuild.linux"]


class Library:
    """The modules below ``path``, looked up once each.

    Raises ModuleError (``module.no-library``) where ``path`` is no directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._modules: dict[tuple[str, str], Module | None] = {}
        if not os.path.isdir(self._path):
            raise ModuleError(
                f"no library directory at {self._path}",
                code="module.no-library",
                hint="--libdir names a directory that has stages/, sources/, inputs/, …",
            )

    @property
    def path(self) -> Path:
        from pathlib import Path

        return Path(self._path)

    def module(self, kind: str, name: str) -> Module | None:
        """Return the module ``name`` of ``kind``, or None where there is none.

        Raises ModuleError: ``module.no-executable`` where only its metadata is there,
        ``module.not-executable`` where its run bit is missing.
        """
        try:
            return self._modules[kind, name]
        except KeyError:
            found = self._modules[kind, name] = self._find(kind, name)
            return found

    def _find(self, kind: str, name: str) -> Module | None:
        # Names come from manifests and must not lead out of the library.
        if kind not in KINDS or not name or name[0] == "." or "/" in name or "\0" in name:
            return None
        path = os.path.join(self._path, kind, name)
        try:
            mode = os.stat(path).st_mode
        except OSError:
            if os.path.exists(path + ".meta.json"):
                raise ModuleError(
                    f"{path} is missing, although its metadata is there",
                    code="module.no-executable",
                    hint=f"put the executable back, or remove {name}.meta.json",
                ) from None
            return None
        if not stat.S_ISREG(mode) or name.endswith(".meta.json"):
            return None
        if not mode & 0o111:
            raise ModuleError(f"{path} cannot be run", code="module.not-executable", hint=f"chmod +x {path}")
        return Module(kind, name, path)

    def names(self, kind: str) -> list[str]:
        """Return the names of all modules of ``kind``, sorted; empty where the library has none."""
        try:
            with os.scandir(os.path.join(self._path, kind)) as entries:
                found = {e.name: e.stat().st_mode for e in entries if e.name[0] != "." and e.is_file()}
        except OSError:
            return []
        return sorted(
            name
            for name, mode in found.items()
            # A module that lost its run bit is still listed, so that it is missed loudly.
            if not name.endswith(".meta.json") and (mode & 0o111 or f"{name}.meta.json" in found)
        )

    def modules(self, kind: str) -> list[Module]:
        """Return all modules of ``kind``, sorted by name. Raises what :meth:`module` raises."""
        found = (self.module(kind, name) for name in self.names(kind))
        return [module for module in found if module is not None]

    def suggestion(self, kind: str, name: str) -> str | None:
        """Return a hint that names the module that ``name`` may have been meant to be, else None."""
        import difflib

        close = difflib.get_close_matches(name, self.names(kind), 1)
        return f"did you mean {close[0]!r}?" if close else None

    def runner(self, name: str) -> Module | None:
        """Return the runner of the same distribution with the highest version not above that of ``name``.

        ``org.osbuild.debian12`` finds ``org.osbuild.debian11`` or ``org.osbuild.debian``, and never
        ``org.osbuild.debian13``.
        """
        family, version = _split_version(name)
        best: tuple[int, str] | None = None
        for candidate in self.names("runners"):
            its_family, its_version = _split_version(candidate)
            if its_family == family and its_version <= version and (best is None or its_version > best[0]):
                best = its_version, candidate
        return self.module("runners", best[1]) if best else None

    def host_runner(self, os_release: Mapping[str, str]) -> Module | None:
        """Return the runner for a host with these os-release(5) variables."""
        for name in host_runner_names(os_release):
            found = self.runner(name)
            if found is not None:
                return found
        return None


def _split_version(name: str) -> tuple[str, int]:
    family = name.rstrip("0123456789")
    version = name[len(family) :]
    return family, int(version) if version else 0
