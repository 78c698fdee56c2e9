"""Composes of Debian packages: apt chooses them, the engine writes the archive's indexes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.debarchives import (
    SOURCE,
    architecture_of,
    entries_of,
    opened,
    read_archives,
)
from osbuild_core.exports.compose.debselect import DebSelector, source_files
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Lock, LockedPackage, Tree
from osbuild_core.exports.compose.request import ComposeRequest

if TYPE_CHECKING:
    from osbuild_core.resolve.apt import Package

PIPELINE = "archive"


def is_debian(request: ComposeRequest) -> bool:
    """Tell whether the source of a ``repo`` request is Debian archives."""
    return request.sources()[:1] == ("deb",)


def architectures(arches: Sequence[str]) -> list[str]:
    """Return Debian's names of the arches of binary packages. Raises ComposeError ``compose.request``: none."""
    found = sorted({architecture_of(arch) for arch in arches if arch != SOURCE})
    if not found:
        raise ComposeError(
            "a compose of Debian packages has an architecture besides source",
            code="compose.request",
            hint=f"name one among the arches, such as amd64; with {SOURCE} its source packages go along",
        )
    return found


def revision(request: ComposeRequest, settings: ComposeSettings) -> int:
    """Return the revision of the archives together: the date of the indexes, the sum of them where there are several.

    So it changes when one of them does. Raises ComposeError, ResolveError.
    """
    archives = read_archives(request.source, settings)
    dates: list[Mapping[str, int]] = []
    for architecture in architectures(request.arches):
        entries = entries_of(archives, architecture, settings)
        with opened(entries, architecture, archives[0].suite, settings) as (apt, _):
            dates.append(apt.dates())
    return sum(_newest(dates).values())


def _newest(dates: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the newest date of each suite: those of one may be fetched for one architecture after the other."""
    found: dict[str, int] = {}
    for one in dates:
        for suite, date in one.items():
            found[suite] = max(date, found.get(suite, 0))
    return found


def lock(request: ComposeRequest, settings: ComposeSettings, say: Callable[[str], None]) -> Lock:
    """Choose the packages of a ``repo`` request. Raises ComposeError, ResolveError."""
    if request.multilib_arches or request.multilib_method:
        raise _unsupported("multilib", "name the other architecture among the arches")
    if request.sigkeys and set(request.sigkeys) != {""}:
        raise _unsupported("sigkeys", "the archive is signed, its packages are not")
    chosen: dict[str, Package] = {}
    missing = dict.fromkeys(request.packages)
    wanted: set[tuple[str, str]] = set()
    dates: list[Mapping[str, int]] = []
    for architecture in architectures(request.arches):
        selection = DebSelector(request, architecture, settings).select()
        say(f"{architecture}: {len(selection.packages)} packages")
        chosen.update({package.checksum: package for package in selection.packages})
        wanted |= selection.sources
        dates.append(selection.dates)
        for word in selection.found:
            missing.pop(word, None)
    if missing:
        raise ComposeError(
            f"no architecture has the package {next(iter(missing))!r}",
            code="compose.packages",
            hint="is its name right?",
        )
    sources: list[Package] = []
    if SOURCE in request.arches:
        sources = source_files(request, wanted, settings)
        say(f"{len(wanted)} source packages in {len(sources)} files")
    return _locked(request, list(chosen.values()), sources, _newest(dates), settings)


def place_of(url: str) -> str:
    """Return the place of a package in our archive: as in the one that it comes from, where that has a pool."""
    path = unquote(urlsplit(url).path)
    name = os.path.basename(path)
    _, mark, rest = path.partition("/pool/")
    parts = rest.split("/")
    if (
        mark
        and len(parts) > 1
        and all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~%:_-]*", part) for part in parts)
    ):
        return f"pool/{rest}"
    return f"pool/main/{name[:4] if name.startswith('lib') else name[:1]}/{name.partition('_')[0]}/{name}"


def _ordered(packages: Sequence[Package]) -> dict[str, Package]:
    ordered = sorted(packages, key=lambda package: (package.name, package.version, package.checksum))
    return {package.checksum: package for package in ordered}


def _files(checksums: Sequence[str]) -> dict[str, Any]:
    return {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(checksums)}


def _locked(
    request: ComposeRequest,
    packages: Sequence[Package],
    sources: Sequence[Package],
    dates: Mapping[str, int],
    settings: ComposeSettings,
) -> Lock:
    """Return the manifest and the places of ``packages`` and of the files of source packages."""
    first = read_archives(request.source, settings)[0]
    binary, source = _ordered(packages), _ordered(sources)
    places = {checksum: place_of(package.url) for checksum, package in {**binary, **source}.items()}
    suite = first.suite.strip("./").replace("/", "-") or "stable"
    newest = max(dates.values(), default=0)
    options: dict[str, Any] = {
        "suite": suite,
        "origin": settings.release_name,
        "label": settings.release_name,
        "architectures": architectures(request.arches),
        "packages": {checksum: places[checksum] for checksum in binary},
    }
    if first.components:
        options["components"] = list(first.components)
    stage: dict[str, Any] = {"type": "org.osbuild.deb-repository", "options": options}
    inputs: dict[str, Any] = {}
    if binary:
        inputs["packages"] = _files(list(binary))
    if source:
        options["sources"] = {checksum: places[checksum] for checksum in source}
        inputs["sources"] = _files(list(source))
    if inputs:
        stage["inputs"] = inputs
    manifest: dict[str, Any] = {"version": "2", "pipelines": [], "sources": {}}
    manifest["pipelines"].append({"name": PIPELINE, "source-epoch": newest, "stages": [stage]})
    if places:
        items = {checksum: {"url": one.url} for checksum, one in {**binary, **source}.items()}
        manifest["sources"] = {"org.osbuild.curl": {"items": items}}
    locked = [
        LockedPackage(checksum, places[checksum], f"{one.name}={one.version}", category=category)
        for category, group in (("binary", binary), ("source", source))
        for checksum, one in group.items()
    ]
    components = sorted({place.split("/")[1] for place in places.values()} | set(first.components or ()))
    return Lock(
        "debian",
        manifest,
        (Tree(PIPELINE, "", "all", tuple(locked)),),
        request.arches,
        sum(dates.values()),
        newest,
        {"suite": suite, "components": components or ["main"]},
    )


def _unsupported(what: str, hint: str) -> ComposeError:
    return ComposeError(f"composes of Debian packages have no {what}", code="compose.unsupported", hint=hint)
