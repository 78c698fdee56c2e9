"""Which RPM packages a compose has for one architecture: asked for, needed, multilib, debug and source ones."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmpackage import RpmPackage, is_debug
from osbuild_core.exports.compose.rpmpool import RpmPool

Solvable = Any
Allows = Callable[[RpmPackage], bool]

NATIVE = {
    "armhfp": ("armv7hl", "armv7hnl"),
    "armv7hl": ("armv7hl", "armv7hnl"),
    "i386": ("i686", "i586", "i486", "i386"),
    "i686": ("i686", "i586", "i486", "i386"),
    "x86_64": ("x86_64", "amd64", "x86_64_v2"),
}
"""Architectures of packages that run as they are, beside noarch."""

COMPATIBLE = {
    "ppc64": ("ppc",),
    "s390x": ("s390",),
    "sparc64": ("sparcv9", "sparc"),
    "x86_64": ("i686", "i586", "i486", "i386", "athlon"),
}
"""Architectures of packages that multilib adds."""

_LIBRARY = re.compile(r"/(?:usr/)?lib(?:64)?/[^/]+\.so(?:\.[^/]*)?")


@dataclass(frozen=True, slots=True)
class Selection:
    """The packages of one architecture. ``found`` are the words of the request that something was found for."""

    packages: tuple[RpmPackage, ...] = ()
    debug: tuple[RpmPackage, ...] = ()
    sources: tuple[RpmPackage, ...] = ()
    found: frozenset[str] = frozenset()


def native(arch: str) -> tuple[str, ...]:
    """Return the architectures of packages that belong to a compose for ``arch``."""
    return (*NATIVE.get(arch, (arch,)), "noarch")


class Selector:
    """Chooses from ``pool`` for ``arch``. ``allows`` narrows the choice, ``every`` takes all versions, not only
    the newest, ``compatible`` packages of compatible architectures as well."""

    def __init__(
        self,
        pool: RpmPool,
        arch: str,
        request: ComposeRequest,
        say: Callable[[str], None],
        *,
        allows: Allows | None = None,
        every: bool = False,
        compatible: bool = False,
    ) -> None:
        self._pool = pool
        self._arch = arch
        self._request = request
        self._say = say
        self._every = every
        self._native = (*native(arch), *(COMPATIBLE.get(arch, ()) if compatible else ()))
        self._described: dict[int, RpmPackage] = {}
        everything = pool.solvables()
        self._all = [one for one in everything if allows is None or allows(self.describe(one))]
        # What only supplies others is not limited to what may be chosen.
        self._keep = None if allows is None else self._all

    def describe(self, solvable: Solvable) -> RpmPackage:
        """Return the package as a value."""
        if solvable.id not in self._described:
            self._described[solvable.id] = self._pool.describe(solvable)
        return self._described[solvable.id]

    def select(self) -> Selection:
        """Return the packages. Raises ComposeError ``compose.dependencies`` for broken ones, if that is checked."""
        request = self._request
        multilib = bool(self._arch in request.multilib_arches and request.multilib_method)
        visible = self._native
        self._pool.prepare(
            visible, all_files=multilib and "runtime" in request.multilib_method, keep=self._keep
        )
        roots, found = self._roots()
        chosen = self._with_needed(roots)
        if multilib:
            visible = (*visible, *COMPATIBLE.get(self._arch, ()))
            self._pool.prepare(visible, keep=self._keep)
            chosen |= self._with_needed(self._multilib(chosen.values()))
        chosen = self._without_lookaside(chosen, roots)
        if request.has("check_deps"):
            self._check(visible, list(chosen.values()), roots)
        packages = [self.describe(one) for one in chosen.values()]
        return Selection(tuple(packages), *self._companions(packages), frozenset(found))

    def _roots(self) -> tuple[list[Solvable], set[str]]:
        """Return what is asked for, and which of the words of the request something was found for."""
        usable = {one.id: one for one in self._all if self._pool.is_visible(one) and not is_debug(one.name)}
        if not self._request.packages:
            every = list(usable.values())
            return (every if self._every else self._pool.newest(every)), set()
        roots: dict[int, Solvable] = {}
        found: set[str] = set()
        for word in self._request.packages:
            matching = [one for one in self._pool.find(word) if one.id in usable]
            if matching:
                found.add(word)
            roots.update((one.id, one) for one in matching)
        return list(roots.values()), found

    def _with_needed(self, roots: Sequence[Solvable]) -> dict[int, Solvable]:
        """Return ``roots`` and, unless the request says not, what they need."""
        chosen = {one.id: one for one in roots}
        if self._request.has("no_deps") or not self._request.packages or not roots:
            return chosen
        for part, problems, packages in self._solved(roots):
            if problems:
                if self._request.has("check_deps"):
                    raise _broken(part[0], problems)
                self._say(f"{self._arch}: {part[0]} is broken: {'; '.join(problems)}")
                chosen |= self._walk(part[0])
            chosen |= {one.id: one for one in packages}
        return chosen

    def _solved(
        self, packages: Sequence[Solvable]
    ) -> Iterator[tuple[Sequence[Solvable], Sequence[str], Sequence[Solvable]]]:
        """Yield parts of ``packages`` with the problems of installing them, and all that is installed.

        They may exclude each other, which packages of a repository may do: what has problems together is halved, so
        that those that still have some are alone.
        """
        todo = [packages] if packages else []
        while todo:
            part = todo.pop()
            solution = self._pool.solve(part, explain=len(part) == 1)
            if solution.problems and len(part) > 1:
                middle = len(part) // 2
                todo += [part[middle:], part[:middle]]
            else:
                yield part, solution.problems, solution.packages

    def _walk(self, root: Solvable) -> dict[int, Solvable]:
        """Return what a package needs as far as it is there."""
        seen: dict[int, Solvable] = {root.id: root}
        todo = [root]
        while todo:
            for needed in self._pool.needs(todo.pop()):
                if needed.id not in seen:
                    seen[needed.id] = needed
                    todo.append(needed)
        return seen

    def _multilib(self, chosen: Iterable[Solvable]) -> list[Solvable]:
        """Return the packages of compatible architectures that go along with ``chosen``: of the same version, which
        need not be the newest."""
        versions = {(one.name, one.evr) for one in chosen}
        compatible = COMPATIBLE.get(self._arch, ())
        found = {
            (one.name, one.evr, one.arch): one
            # The same package may be in two repositories: the first one counts.
            for one in reversed(self._all)
            if one.arch in compatible and (one.name, one.evr) in versions
        }
        return [one for one in reversed(found.values()) if self._is_multilib(one)]

    def _is_multilib(self, solvable: Solvable) -> bool:
        methods = self._request.multilib_method
        if "all" in methods:
            return True
        if "devel" in methods and solvable.name.endswith(("-devel", "-static")):
            return True
        return "runtime" in methods and any(_LIBRARY.fullmatch(path) for path in self._pool.files(solvable))

    def _without_lookaside(
        self, chosen: dict[int, Solvable], roots: Sequence[Solvable]
    ) -> dict[int, Solvable]:
        elsewhere = {(one.name, one.evr, one.arch) for one in self._pool.solvables(lookaside=True)}
        asked = {one.id for one in roots} if self._request.packages else set()
        return {
            number: one
            for number, one in chosen.items()
            if not self._pool.is_lookaside(one)
            and (number in asked or (one.name, one.evr, one.arch) not in elsewhere)
        }

    def _check(self, visible: Sequence[str], chosen: Sequence[Solvable], roots: Sequence[Solvable]) -> None:
        """Raise ComposeError for a package that cannot be installed from the compose and what is beside it."""
        self._pool.prepare(visible, keep=chosen)
        asked = {one.id for one in roots} if self._request.packages else set()
        suspect = [one for one in chosen if one.id in asked or self._pool.is_broken(one)]
        for part, problems, _ in self._solved(suspect):
            if problems:
                raise _broken(part[0], problems)

    def _companions(
        self, packages: Sequence[RpmPackage]
    ) -> tuple[tuple[RpmPackage, ...], tuple[RpmPackage, ...]]:
        """Return the debug packages and the source packages of ``packages``."""
        names = {(package.name, package.arch) for package in packages}
        built = {(package.source, package.arch) for package in packages}
        wanted = {package.source for package in packages}
        debug: dict[str, RpmPackage] = {}
        sources: dict[str, RpmPackage] = {}
        for solvable in self._all:
            if solvable.arch in ("src", "nosrc"):
                if (solvable.name, solvable.evr) in wanted:
                    package = self.describe(solvable)
                    sources.setdefault(package.nevra, package)
            elif is_debug(solvable.name):
                package = self.describe(solvable)
                of = re.sub("-debug(?:info|source)$", "", package.name)
                if (package.source, package.arch) in built and (
                    (of, package.arch) in names or of == package.source[0] or "-debuginfo-" in of
                ):
                    debug.setdefault(package.nevra, package)
        return tuple(debug.values()), tuple(sources.values())


class Listed:
    """Packages by nevra: which of ``wanted`` were seen. ``needed`` are those without which there is no compose,
    ``what`` they are of."""

    def __init__(self, wanted: frozenset[str], needed: frozenset[str], what: str) -> None:
        self._wanted, self._missing, self._what = wanted, set(needed), what

    def have(self, package: RpmPackage) -> bool:
        """Tell whether a package is one of them."""
        nevra = package.nevra
        self._missing.discard(nevra)
        return nevra in self._wanted

    def check(self) -> None:
        """Raise ComposeError ``compose.packages`` where one that is needed was not seen."""
        if self._missing:
            more = f" and {len(self._missing) - 1} more" if len(self._missing) > 1 else ""
            raise ComposeError(
                f"no repository has {min(self._missing)}{more} of {self._what}",
                code="compose.packages",
                hint="is the repository complete, and of the same time as what lists its packages?",
            )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name is one of ``patterns``, which may have wildcards."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _broken(package: Solvable, problems: Sequence[str]) -> ComposeError:
    return ComposeError(
        f"{package} has broken dependencies: {'; '.join(problems)}",
        code="compose.dependencies",
        hint="add the repository that has what is missing as a lookaside one, or leave out the flag check_deps",
    )
