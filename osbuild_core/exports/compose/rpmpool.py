"""libsolv with the packages of repositories: it finds, compares and solves. The only module that knows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from osbuild_core.exports.compose import unpacking
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.rpmmd import Repository
from osbuild_core.exports.compose.rpmpackage import RpmPackage
from osbuild_core.exports.compose.solvindex import SolvIndex

# Files that every primary.xml lists; all others are in the file lists only (createrepo's rule).
_PRIMARY = ("/etc/", "/usr/lib/sendmail")
# A location that is joined to its repository by writing it behind: joining takes long, and there are many.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^-]*(?:/[A-Za-z0-9][A-Za-z0-9._+~^-]*)*")
_WORDS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~^%-]* [A-Za-z0-9._+~^:%-]+ [A-Za-z0-9_]+")
_MACHINES = {"i386": "i686", "armhfp": "armv7hl"}
"""The architectures of machines, for names that dnf has for several."""

Solvable = Any


@dataclass(frozen=True, slots=True)
class Solution:
    """What solving gave: packages, or why there are none, in libsolv's words."""

    packages: tuple[Solvable, ...]
    problems: tuple[str, ...] = ()


class RpmPool:
    """Packages for one architecture. Add repositories, then prepare, then ask."""

    def __init__(self, arch: str) -> None:
        try:
            import solv
        except ImportError as error:
            raise ComposeError(
                "composes of RPM packages need libsolv",
                code="compose.dependency",
                hint="pip install 'osbuild-core[rpm,compose]'",
            ) from error
        self._solv = solv
        self._arch = _MACHINES.get(arch, arch)
        self._pool = self._empty()
        self._visible: frozenset[str] = frozenset()
        self._repos: list[tuple[Any, Repository, Fetcher, bool]] = []
        self._all_files = False

    def add(self, repository: Repository, fetcher: Fetcher, *, lookaside: bool = False) -> None:
        """Add the packages of a repository; those of a ``lookaside`` one are never part of a compose."""
        repo = self._pool.add_repo(repository.url)
        primary = repository.fetch("primary", fetcher)
        assert primary is not None
        index = SolvIndex(primary, self._solv.__file__)
        if not index.load(lambda descriptor: self._load(repo, descriptor)):
            # Not into this pool: what is chosen among equals depends on the order in which it sees words, and is to
            # be the same next time.
            scratch = self._empty()
            read = scratch.add_repo(repository.url)
            self._read(read, primary, None, 0)
            index.write(lambda descriptor: self._write(read, descriptor))
            if not index.load(lambda descriptor: self._load(repo, descriptor)):
                raise ComposeError(
                    f"{repo.name}: the index of {primary.name} cannot be read", code="compose.source"
                )
        repo.appdata = len(self._repos)
        self._repos.append((repo, repository, fetcher, lookaside))

    def _empty(self) -> Any:
        pool = self._solv.Pool()
        pool.setdisttype(self._solv.Pool.DISTTYPE_RPM)
        pool.setarch(self._arch)
        return pool

    def _load(self, repo: Any, descriptor: int) -> bool:
        file = self._solv.xfopen_fd("index.solv", descriptor)
        if file is None:
            return False
        found: bool = repo.add_solv(file, 0)
        file.close()
        return found

    def _write(self, repo: Any, descriptor: int) -> bool:
        file = self._solv.xfopen_fd("index.solv", descriptor, "w")
        if file is None:
            return False
        written: bool = repo.write(file)
        closed: bool = file.close()
        return written and closed

    def _read(self, repo: Any, path: Path, language: str | None, flags: int) -> None:
        with unpacking.descriptor(path) as (packed, descriptor):
            file = self._solv.xfopen_fd(f"metadata.xml{packed}", descriptor)
            if file is None or not repo.add_rpmmd(file, language, flags):
                raise ComposeError(
                    f"{repo.name}: {path.name} cannot be read: {repo.pool.errstr}",
                    code="compose.source",
                    hint="is the repository complete?",
                )
            file.close()

    def prepare(
        self, visible: Iterable[str], *, all_files: bool = False, keep: Iterable[Solvable] | None = None
    ) -> None:
        """Make ready for questions. ``visible`` are the architectures of packages that may be chosen.

        ``all_files`` is needed to know what files packages have; file lists are read as well where a package
        requires a path that is in none of the shorter ones. ``keep`` narrows what may be chosen.
        """
        self._visible = frozenset(visible)
        if not self._all_files and (all_files or self._requires_other_files()):
            flags = self._solv.Repo.REPO_LOCALPOOL | self._solv.Repo.REPO_EXTEND_SOLVABLES
            for repo, repository, fetcher, _ in self._repos:
                path = repository.fetch("filelists", fetcher)
                if path is not None:
                    self._read(repo, path, "FL", flags)
            self._all_files = True
        kept = None if keep is None else {solvable.id for solvable in keep}
        considered = [
            solvable.id
            for repo, _, _, lookaside in self._repos
            for solvable in repo.solvables_iter()
            if solvable.arch in self._visible and (kept is None or lookaside or solvable.id in kept)
        ]
        self._pool.set_considered_list(considered)
        self._pool.addfileprovides()
        self._pool.createwhatprovides()

    def _requires_other_files(self) -> bool:
        solv = self._solv
        for repo, *_ in self._repos:
            for solvable in repo.solvables_iter():
                if solvable.arch not in self._visible:
                    continue
                for dependency in solvable.lookup_deparray(solv.SOLVABLE_REQUIRES):
                    path = str(dependency)
                    if path[0] == "/" and not path.startswith(_PRIMARY) and "bin/" not in path:
                        return True
        return False

    def solvables(self, *, lookaside: bool = False) -> list[Solvable]:
        """Return all packages, source packages too; those of lookaside repositories or those of the others."""
        return [s for repo, _, _, aside in self._repos if aside is lookaside for s in repo.solvables_iter()]

    def is_lookaside(self, solvable: Solvable) -> bool:
        """Tell whether the package is of a lookaside repository."""
        index: int = solvable.repo.appdata
        return self._repos[index][3]

    def is_visible(self, solvable: Solvable) -> bool:
        """Tell whether the package may be chosen."""
        arch: str = solvable.arch
        return arch in self._visible

    def find(self, wanted: str) -> list[Solvable]:
        """Return the newest packages that ``wanted`` (a name, with version, architecture or wildcards) means."""
        names = self._solv.Selection
        flags = (
            names.SELECTION_NAME
            | names.SELECTION_GLOB
            | names.SELECTION_CANON
            | names.SELECTION_DOTARCH
            | names.SELECTION_REL
        )
        found = self._pool.select(wanted, flags).solvables()
        return self.newest([one for one in found if self.is_visible(one) and not self.is_lookaside(one)])

    def newest(self, solvables: Iterable[Solvable]) -> list[Solvable]:
        """Return of each name and architecture the newest; of the same one in two repositories the first."""
        best: dict[tuple[str, str], Solvable] = {}
        for solvable in solvables:
            key = (solvable.name, solvable.arch)
            other = best.get(key)
            if other is None or solvable.evrcmp(other) > 0:
                best[key] = solvable
        return list(best.values())

    def solve(self, wanted: Sequence[Solvable], *, explain: bool = True) -> Solution:
        """Return what installing ``wanted`` takes, themselves included.

        Without ``explain``, which takes time where there are many problems, there is but one, without words.
        """
        job = self._solv.Job
        jobs = [self._pool.Job(job.SOLVER_INSTALL | job.SOLVER_SOLVABLE, one.id) for one in wanted]
        solver = self._pool.Solver()
        solver.set_flag(self._solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
        problems = solver.solve(jobs)
        if problems and not explain:
            return Solution((), ("",))
        if problems:
            return Solution((), tuple(dict.fromkeys(self._explain(problem) for problem in problems)))
        return Solution(tuple(solver.transaction().newsolvables()))

    def _explain(self, problem: Any) -> str:
        """Return why, from the rules that contradict each other."""
        texts = [rule.info().problemstr() for rule in problem.findallproblemrules()]
        return "; ".join(dict.fromkeys(texts)) or str(problem)

    def needs(self, solvable: Solvable) -> list[Solvable]:
        """Return for each of its requirements the best package that provides it, if there is one."""
        found: dict[int, Solvable] = {}
        for dependency in solvable.lookup_deparray(self._solv.SOLVABLE_REQUIRES):
            providers = [one for one in self._pool.whatprovides(dependency) if self.is_visible(one)]
            if not providers or any(one.id == solvable.id for one in providers):
                continue
            best = self.newest(providers)
            chosen = next((one for one in best if one.arch == solvable.arch), best[0])
            found[chosen.id] = chosen
        return list(found.values())

    def is_broken(self, solvable: Solvable) -> bool:
        """Tell whether it requires something that nothing provides, or only under conditions."""
        for dependency in solvable.lookup_deparray(self._solv.SOLVABLE_REQUIRES):
            text = str(dependency)
            if not text.startswith("rpmlib(") and (text[0] == "(" or not self._pool.whatprovides(dependency)):
                return True
        return False

    def files(self, solvable: Solvable) -> list[str]:
        """Return the paths of its files; needs ``all_files``."""
        search = self._solv.Dataiterator
        flags = search.SEARCH_FILES | search.SEARCH_COMPLETE_FILELIST
        return [found.str for found in solvable.Dataiterator(self._solv.SOLVABLE_FILELIST, None, flags)]

    def describe(self, solvable: Solvable) -> RpmPackage:
        """Return the package as a value. Raises ComposeError ``compose.source`` for one without a checksum."""
        solv = self._solv
        checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
        location = solvable.lookup_location()
        if checksum is None or not location or not location[0]:
            raise ComposeError(f"{solvable.repo.name}: {solvable} has no checksum", code="compose.source")
        if not _WORDS.fullmatch(f"{solvable.name} {solvable.evr} {solvable.arch}"):
            # They become the name of a file.
            raise ComposeError(
                f"{solvable.repo.name}: {str(solvable)!r} is no package", code="compose.source"
            )
        root = self._repos[solvable.repo.appdata][1].url
        base = solvable.lookup_str(solv.SOLVABLE_MEDIABASE)
        base = urljoin(root, base.rstrip("/") + "/") if base else None
        url = (
            root + location[0]
            if not base and _PLAIN.fullmatch(location[0])
            else urljoin(base or root, location[0])
        )
        source = (
            solvable.lookup_str(solv.SOLVABLE_SOURCENAME) or solvable.name,
            solvable.lookup_str(solv.SOLVABLE_SOURCEEVR) or solvable.evr,
        )
        return RpmPackage(
            solvable.name,
            solvable.evr,
            solvable.arch,
            f"{checksum.typestr()}:{checksum.hex()}",
            url,
            source,
            solvable.lookup_num(solv.SOLVABLE_BUILDTIME),
            repo=root,
        )
