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
    """The modules below ``path``, looked up once each; what it lacks is looked for in ``more``, in order.

    Raises ModuleError (``module.no-library``) where one of them is no directory.
    """

    def __init__(self, path: str | os.PathLike[str], *more: str | os.PathLike[str]) -> None:
        self._paths = tuple(os.path.abspath(one) for one in (path, *more))
        self._modules: dict[tuple[str, str], Module | None] = {}
        for one in self._paths:
            if not os.path.isdir(one):
                raise ModuleError(
                    f"no library directory at {one}",
                    code="module.no-library",
                    hint="--libdir names a directory that has stages/, sources/, inputs/, …",
                )

    @property
    def path(self) -> Path:
        """The first directory."""
        return self.paths[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All directories, in the order in which they are looked into."""
        from pathlib import Path

        return tuple(Path(one) for one in self._paths)

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
        found = (_find_below(path, kind, name) for path in self._paths)
        return next((module for module in found if module is not None), None)

    def names(self, kind: str) -> list[str]:
        """Return the names of all modules of ``kind``, sorted; empty where there are none."""
        return sorted({name for path in self._paths for name in _names_below(path, kind)})

    def modules(self, kind: str) -> list[Module]:
        """Return all modules of ``kind``, sorted by name. Raises what :meth:`module` raises."""
        found = (self.module(kind, name) for name in self.names(kind))
        return [module for module in found if module is not None]

    def suggestion(self, kind: str, name: str) -> str:
        """Return a hint for one who asked for ``name``, which there is none of: the module that may have been meant,
        else where to look."""
        import difflib

        known = self.names(kind)
        # Commands take the short form, manifests do not.
        close = [one for one in known if one.endswith(f".{name}")] or difflib.get_close_matches(
            name, known, 1
        )
        if close:
            return f"did you mean {close[0]!r}?"
        return f"osbuild-core modules list {kind} shows what there is; --libdir names a library of your own"

    def runner(self, name: str) -> Module | None:
        """Return the runner of the same distribution with the highest version not above that of ``name``.

        ``org.osbuild.debian12`` finds ``org.osbuild.debian11`` or ``org.osbuild.debian``, and never
        ``org.osbuild.debian13``. A name without a version is the oldest of all.
        """
        family, version = _split_version(name)
        versions = {}
        for candidate in self.names("runners"):
            its_family, its_version = _split_version(candidate)
            if its_family == family and its_version <= version:
                versions[its_version] = candidate
        return self.module("runners", versions[max(versions)]) if versions else None

    def runner_hint(self, name: str) -> str:
        """Return a hint for one who asked for the runner ``name``, which there is none for: those that are near."""
        import difflib

        families: dict[str, list[str]] = {}
        for runner in self.names("runners"):
            families.setdefault(_split_version(runner)[0], []).append(runner)
        family = _split_version(name)[0]
        if family in families:
            return f"the runners of that distribution are newer: {', '.join(families[family])}"
        # All names begin alike, which is no likeness.
        by_end = {known.rpartition(".")[2]: known for known in families}
        close = difflib.get_close_matches(family.rpartition(".")[2], by_end)
        near = [runner for end in close for runner in families[by_end[end]]]
        if near:
            return f"did you mean {' or '.join(near)}?"
        return f"there are {', '.join(self.names('runners')) or 'none in the library'}"

    def host_runner(self, os_release: Mapping[str, str]) -> Module | None:
        """Return the runner for a host with these os-release(5) variables."""
        for name in host_runner_names(os_release):
            found = self.runner(name)
            if found is not None:
                return found
        return None


def _split_version(name: str) -> tuple[str, tuple[int, str]]:
    """Return what comes before the number at the end of ``name``, and that number in a form that can be compared."""
    family = name.rstrip("0123456789")
    # Not as an integer: Python reads no number of thousands of digits, which a manifest may have.
    digits = name[len(family) :].lstrip("0")
    return family, (len(digits), digits)


def _find_below(library: str, kind: str, name: str) -> Module | None:
    path = os.path.join(library, kind, name)
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


def _names_below(library: str, kind: str) -> list[str]:
    try:
        with os.scandir(os.path.join(library, kind)) as entries:
            found = {e.name: e.stat().st_mode for e in entries if e.name[0] != "." and e.is_file()}
    except OSError:
        return []
    return [
        name
        for name, mode in found.items()
        # A module that lost its run bit is still listed, so that it is missed loudly.
        if not name.endswith(".meta.json") and (mode & 0o111 or f"{name}.meta.json" in found)
    ]
