"""Composes of Debian packages: apt chooses them, the engine writes the archive's indexes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.addresses import check_address
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Lock, LockedPackage, Tree
from osbuild_core.exports.compose.request import ComposeRequest

if TYPE_CHECKING:
    from osbuild_core.resolve.apt import Apt, Package
    from osbuild_core.resolve.entries import Entry
    from osbuild_core.resolve.packageset import PackageSet

ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7hl": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""What Debian calls the architectures that requests name; a name of Debian's own is taken, too."""

PIPELINE = "archive"
_AT_ONCE = 10_000
_MACHINE = Path("/etc/apt")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~/-]*|\./")


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """One ``deb`` of a source. ``url`` None: the machine's own entries for the suite."""

    suite: str
    components: tuple[str, ...]
    url: str | None = None


def is_debian(request: ComposeRequest) -> bool:
    """Tell whether the source of a ``repo`` request is Debian archives."""
    return request.sources()[:1] == ("deb",)


def archives(source: str, settings: ComposeSettings) -> list[Archive]:
    """Return the archives of ``deb URL SUITE COMPONENT…`` or ``deb SUITE COMPONENT…``, one or more.

    Raises ComposeError ``compose.source``.
    """
    found: list[Archive] = []
    for words in _split(source.split()):
        url = None
        if words and ("://" in words[0] or words[0].startswith("/")):
            url = check_address(words.pop(0), settings.allowed_sources)
        if not words or not _SUITE.fullmatch(words[0]) or ".." in words[0]:
            raise _wrong(source, "a suite is missing")
        suite, *components = words
        for component in components:
            if not _WORD.fullmatch(component):
                raise _wrong(source, f"{component!r} is no component")
        found.append(Archive(suite, () if suite.endswith("/") else tuple(components) or ("main",), url))
    return found


def _split(words: list[str]) -> Iterator[list[str]]:
    starts = [index for index, word in enumerate(words) if word == "deb"]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield words[start + 1 : end]


def _wrong(source: str, reason: str) -> ComposeError:
    return ComposeError(
        f"the source {source!r} cannot be read: {reason}",
        code="compose.source",
        hint="write: deb URL SUITE COMPONENT…, or deb SUITE COMPONENT… for archives of the machine",
    )


def architecture_of(arch: str) -> str:
    """Return Debian's name of ``arch``."""
    return ARCHITECTURES.get(arch, arch)


def revision(request: ComposeRequest, settings: ComposeSettings) -> int:
    """Return the date of the archives' indexes, which is the revision of the source."""
    newest = 0
    for arch in request.arches:
        with _apt(request, arch, settings) as (apt, _):
            newest = max(newest, apt.date())
    return newest


def lock(request: ComposeRequest, settings: ComposeSettings, say: Callable[[str], None]) -> Lock:
    """Choose the packages of a ``repo`` request. Raises ComposeError, ResolveError."""
    if request.multilib_arches or request.multilib_method:
        raise _unsupported("multilib", "name the other architecture among the arches")
    if request.lookaside_repos:
        raise _unsupported("a lookaside repository", "name it in the source, as deb URL ./")
    if request.sigkeys and set(request.sigkeys) != {""}:
        raise _unsupported("sigkeys", "the archive is signed, its packages are not")
    chosen: dict[str, Package] = {}
    newest = 0
    missing = set(request.packages)
    for arch in request.arches:
        with _apt(request, arch, settings) as (apt, wanted):
            newest = max(newest, apt.date())
            names = _known(apt, request.packages) if len(request.arches) > 1 else request.packages
            found = _choose(apt, wanted, tuple(names), request)
            missing -= set(names)
            say(f"{architecture_of(arch)}: {len(found)} packages")
            chosen.update({package.checksum: package for package in found})
    if missing:
        raise ComposeError(
            f"no architecture has the package {min(missing)!r}",
            code="compose.packages",
            hint="is its name right?",
        )
    return _locked(request, list(chosen.values()), newest, settings)


def _known(apt: Apt, names: tuple[str, ...]) -> list[str]:
    """Return those of ``names`` that this architecture has: not all are everywhere."""
    there = set(apt.available())
    return [name for name in names if re.split("[=/]", name)[0] in there]


def _choose(apt: Apt, wanted: PackageSet, names: tuple[str, ...], request: ComposeRequest) -> list[Package]:
    if not names and request.packages:
        return []
    if not names or request.has("no_deps"):
        every = names or tuple(apt.available())
        # A command line holds only so many.
        parts = [every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE)]
        found = [one for part in parts for one in apt.download(dataclasses.replace(wanted, include=part))]
        if request.has("check_deps"):
            _check(apt, wanted, found)
        return found
    return list(dict.fromkeys(_together(apt, wanted, names)))


def _together(apt: Apt, wanted: PackageSet, names: tuple[str, ...]) -> list[Package]:
    """Return the packages ``names`` with what they need.

    They may exclude each other, which packages of an archive may do: what cannot be installed together is halved,
    until each works by itself. Raises ResolveError for one that does not.
    """
    from osbuild_core.model.errors import ResolveError

    try:
        return apt.choose(dataclasses.replace(wanted, include=names), "")
    except ResolveError as error:
        if error.code != "resolve.unsolvable" or len(names) == 1:
            raise
    middle = len(names) // 2
    return _together(apt, wanted, names[:middle]) + _together(apt, wanted, names[middle:])


def _check(apt: Apt, wanted: PackageSet, found: Sequence[Package]) -> None:
    """Raise ComposeError ``compose.dependencies`` where packages need something that is not among ``found``."""
    there = {(package.name, package.version) for package in found}
    todo = [tuple(found)] if found else []
    while todo:
        packages = todo.pop()
        include = tuple(f"{package.name}={package.version}" for package in packages)
        lacking = {
            one.name for one in _together(apt, wanted, include) if (one.name, one.version) not in there
        }
        if not lacking:
            continue
        if len(packages) == 1:
            raise ComposeError(
                f"{include[0].replace('=', ' ')} needs {', '.join(sorted(lacking))}, not in the compose",
                code="compose.dependencies",
                hint="leave out the flag no_deps or name the packages",
            )
        # Which of them is it? Together they may also have made apt choose something else.
        middle = len(packages) // 2
        todo += [packages[middle:], packages[:middle]]


@contextlib.contextmanager
def _apt(request: ComposeRequest, arch: str, settings: ComposeSettings) -> Iterator[tuple[Apt, PackageSet]]:
    """Yield apt for the source of ``request``, refreshed, and a package set of nothing."""
    from osbuild_core.resolve.apt import open_apt
    from osbuild_core.resolve.packageset import PackageSet
    from osbuild_core.resolve.settings import ResolveSettings, default_state_dir

    listed = archives(request.source, settings)
    architecture = architecture_of(arch)
    state = settings.state_dir / "apt" if settings.state_dir else default_state_dir()
    entries = [entry for archive in listed for entry in _entries(archive, architecture, settings)]
    first = listed[0]
    wanted = PackageSet(first.suite, first.components, architecture, base="none", name="the compose")
    with open_apt(entries, architecture, first.suite, ResolveSettings(state_dir=state)) as apt:
        apt.refresh()
        yield apt, wanted


def _entries(archive: Archive, architecture: str, settings: ComposeSettings) -> list[Entry]:
    from osbuild_core.resolve.entries import Entry, read_entries, select
    from osbuild_core.resolve.packageset import PackageSet

    if archive.url is None:
        wanted = PackageSet(archive.suite, archive.components, updates=False)
        return select(read_entries(_MACHINE), wanted, architecture, None)
    options: list[tuple[str, str]] = []
    for prefix, keyring in settings.apt_keyrings.items():
        if archive.url.startswith(prefix):
            options = [("Trusted", "yes")] if keyring is None else [("Signed-By", str(keyring))]
            break
    return [Entry(archive.url, archive.suite, archive.components, tuple(options))]


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


def _locked(request: ComposeRequest, packages: list[Package], newest: int, settings: ComposeSettings) -> Lock:
    """Return the manifest and the places of ``packages``."""
    first = archives(request.source, settings)[0]
    ordered = sorted(packages, key=lambda package: (package.name, package.version, package.checksum))
    places = {package.checksum: place_of(package.url) for package in ordered}
    suite = first.suite.strip("./").replace("/", "-") or "stable"
    options: dict[str, Any] = {
        "suite": suite,
        "origin": settings.release_name,
        "label": settings.release_name,
        "architectures": sorted(architecture_of(arch) for arch in request.arches),
        "packages": places,
    }
    if first.components:
        options["components"] = list(first.components)
    stage: dict[str, Any] = {"type": "org.osbuild.deb-repository", "options": options}
    manifest: dict[str, Any] = {"version": "2", "pipelines": [{"name": PIPELINE, "source-epoch": newest}]}
    manifest["pipelines"][0]["stages"] = [stage]
    if ordered:
        stage["inputs"] = {
            "packages": {
                "type": "org.osbuild.files",
                "origin": "org.osbuild.source",
                "references": list(places),
            }
        }
        items = {package.checksum: {"url": package.url} for package in ordered}
        manifest["sources"] = {"org.osbuild.curl": {"items": items}}
    locked = tuple(
        LockedPackage(package.checksum, places[package.checksum], f"{package.name}={package.version}")
        for package in ordered
    )
    components = sorted({place.split("/")[1] for place in places.values()} | set(first.components or ()))
    return Lock(
        "debian",
        manifest,
        (Tree(PIPELINE, "", "all", locked),),
        request.arches,
        newest,
        newest,
        {"suite": suite, "components": components or ["main"]},
    )


def _unsupported(what: str, hint: str) -> ComposeError:
    return ComposeError(f"composes of Debian packages have no {what}", code="compose.unsupported", hint=hint)
