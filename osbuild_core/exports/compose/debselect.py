"""Which Debian packages a compose has for one architecture: apt chooses, and says what cannot be installed."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.debarchives import SOURCE, entries_of, opened, read_archives
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest

if TYPE_CHECKING:
    from osbuild_core.resolve.apt import Apt, Package
    from osbuild_core.resolve.entries import Entry
    from osbuild_core.resolve.packageset import PackageSet

_T = TypeVar("_T")
_AT_ONCE = 10_000
_SOURCE = re.compile(r"^Source: (\S+)(?: \((\S+)\))?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class DebSelection:
    """The packages of one architecture. ``found`` are the words of the request that something was found for,
    ``sources`` the source packages (name and version), ``dates`` those of the archives' indexes."""

    packages: tuple[Package, ...]
    found: frozenset[str]
    sources: frozenset[tuple[str, str]]
    dates: Mapping[str, int]


class DebSelector:
    """Chooses for ``architecture`` (Debian's name) what ``request`` asks for."""

    def __init__(self, request: ComposeRequest, architecture: str, settings: ComposeSettings) -> None:
        """Raises ComposeError, ResolveError."""
        self._request = request
        self._architecture = architecture
        self._settings = settings
        archives = read_archives(request.source, settings)
        self._suite = archives[0].suite
        self._own = entries_of(archives, architecture, settings)
        self._beside = [
            entry
            for one in request.lookaside_repos
            for entry in entries_of(read_archives(one, settings), architecture, settings)
        ]

    def select(self) -> DebSelection:
        """Return the packages. Raises ComposeError, ResolveError."""
        request = self._request
        with opened(self._own, self._architecture, self._suite, self._settings) as (apt, wanted):
            names, found = self._names(apt)
            packages = self._choose(apt, wanted, names)
            stanzas: dict[tuple[str, str], str] = {}
            if request.has("check_deps") or SOURCE in request.arches:
                for part in _parts(packages):
                    stanzas.update(apt.stanzas(part))
            dates = apt.dates()
        if request.has("check_deps"):
            self._check(packages, stanzas)
        sources = {_source_of(name, version, text) for (name, version), text in stanzas.items()}
        return DebSelection(tuple(packages), frozenset(found), frozenset(sources), dates)

    def _names(self, apt: Apt) -> tuple[list[str], set[str]]:
        """Return what to ask apt for, and the words of the request that it comes from."""
        names: list[str] = []
        found: set[str] = set()
        # With one architecture apt says best what is wrong with a name; with several, not all are everywhere.
        several = len(set(self._request.arches) - {SOURCE}) > 1
        known = apt.available() if several or any(map(_is_pattern, self._request.packages)) else []
        for word in self._request.packages:
            name, rest = re.fullmatch("([^=/]*)(.*)", word).groups()  # type: ignore[union-attr]
            matching = [name]
            if _is_pattern(name):
                matching = fnmatch.filter(known, name)
            elif several:
                matching = [name] if name in known else []
            if matching:
                found.add(word)
            names += [one + rest for one in matching]
        return list(dict.fromkeys(names)), found

    def _choose(self, apt: Apt, wanted: PackageSet, names: list[str]) -> list[Package]:
        if self._request.packages and not names:
            return []
        if not names or self._request.has("no_deps"):
            every = names or apt.available()
            return [
                package
                for part in _parts(every)
                for package in apt.download(dataclasses.replace(wanted, include=tuple(part)))
            ]
        if not self._beside:
            return _with_needed(apt, wanted, names)
        # What is asked for is from the source, even if there is a newer one beside it.
        asked = apt.download(dataclasses.replace(wanted, include=tuple(names)))
        exact = {f"{package.name}={package.version}": package for package in asked}
        entries = [*self._own, *self._beside]
        with opened(entries, self._architecture, self._suite, self._settings) as (both, everything):
            chosen = _with_needed(both, everything, list(exact))
            elsewhere = both.versions(self._beside)
        needed = [
            one
            for one in chosen
            if f"{one.name}={one.version}" not in exact and (one.name, one.version) not in elsewhere
        ]
        return [*asked, *needed]

    def _check(self, packages: Sequence[Package], stanzas: Mapping[tuple[str, str], str]) -> None:
        """Raise ComposeError ``compose.dependencies`` for a package that cannot be installed from the compose and
        what is beside it, with apt's explanation."""
        from osbuild_core.model.errors import ResolveError
        from osbuild_core.resolve.entries import Entry

        with tempfile.TemporaryDirectory(prefix="compose-check-") as folder:
            (Path(folder) / "Packages").write_text("".join(text + "\n\n" for text in stanzas.values()))
            alone = Entry(f"file://{folder}", "./", (), (("Trusted", "yes"),))
            # The index is of this compose only, so what apt knows of it is not kept.
            settings = dataclasses.replace(self._settings, state_dir=Path(folder) / "state")
            entries: list[Entry] = [alone, *self._beside]
            with opened(entries, self._architecture, self._suite, settings) as (apt, wanted):
                try:
                    for part in _parts([f"{one.name}={one.version}" for one in packages]):
                        _with_needed(apt, wanted, part)
                except ResolveError as error:
                    raise ComposeError(
                        error.detail,
                        code="compose.dependencies",
                        hint="name what is missing, or an archive that has it as a lookaside one,"
                        " or leave out the flag check_deps",
                    ) from error


def _parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield ``items`` in parts that a command line holds."""
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _with_needed(apt: Apt, wanted: PackageSet, names: Sequence[str]) -> list[Package]:
    """Return ``names`` with what they need.

    They may exclude each other, which packages of an archive may do: what cannot be installed together is halved,
    until each works by itself. Raises ResolveError for one that does not.
    """
    from osbuild_core.model.errors import ResolveError

    if not names:
        return []
    try:
        return apt.choose(dataclasses.replace(wanted, include=tuple(names)), "")
    except ResolveError as error:
        if error.code != "resolve.unsolvable" or len(names) == 1:
            raise
    middle = len(names) // 2
    halves = [_with_needed(apt, wanted, half) for half in (names[:middle], names[middle:])]
    return list(dict.fromkeys(package for half in halves for package in half))


def _source_of(name: str, version: str, stanza: str) -> tuple[str, str]:
    """Return name and version of the source package of a binary one, of which the index has ``stanza``."""
    match = _SOURCE.search(stanza)
    return (name, version) if match is None else (match[1], match[2] or version)


def source_files(
    request: ComposeRequest, sources: Iterable[tuple[str, str]], settings: ComposeSettings
) -> list[Package]:
    """Return the files of source packages. Raises ComposeError, ResolveError."""
    from osbuild_core.resolve.apt import native_architecture
    from osbuild_core.resolve.sourcepackages import files_of

    archives = read_archives(request.source, settings)
    architecture = native_architecture()
    entries = [
        dataclasses.replace(entry, sources=True) for entry in entries_of(archives, architecture, settings)
    ]
    with opened(entries, architecture, archives[0].suite, settings) as (apt, _):
        return files_of(apt, sorted(sources))
