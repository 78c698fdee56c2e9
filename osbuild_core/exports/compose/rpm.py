"""Composes of RPM packages: chosen from repositories by libsolv, indexed by createrepo_c in the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose import carried, signatures
from osbuild_core.exports.compose.addresses import check_address
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.lock import Lock, LockedPackage, Tree
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmmd import MetadataFile, Repository, for_arch, read_repository
from osbuild_core.exports.compose.rpmpackage import RpmPackage
from osbuild_core.exports.compose.rpmpool import RpmPool
from osbuild_core.exports.compose.rpmselect import Allows, Selection, Selector

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class RpmSource:
    """What a request means in repositories. ``allows`` narrows what may be taken, ``every`` takes all versions.

    ``metadata`` are further files of the repositories' metadata: content by type. ``check`` is called when all has
    been looked at, to complain of what is missing. ``counted`` are those of ``repos`` whose revisions are that of the
    source (None: all); ``revision`` is it where it is something else. ``by_arch`` has what takes the place of
    ``repos`` and ``allows`` for an architecture; ``compatible`` takes packages of compatible ones as well.
    """

    repos: tuple[str, ...]
    allows: Allows | None = None
    every: bool = False
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    counted: tuple[str, ...] | None = None
    revision: int | None = None
    by_arch: Mapping[str, tuple[tuple[str, ...], Allows]] = dataclasses.field(default_factory=dict)
    compatible: bool = False

    def of(self, arch: str) -> tuple[tuple[str, ...], Allows | None]:
        """Return the addresses of the repositories for ``arch``, and what may be taken from them."""
        repos, allows = self.by_arch.get(arch, (self.repos, self.allows))
        return tuple(dict.fromkeys(for_arch(one, arch) for one in repos)), allows


def fetcher_of(settings: ComposeSettings) -> Fetcher:
    """Return what reads metadata, and where it keeps them."""
    state = settings.state_dir or Path.home() / ".cache" / "osbuild-core"
    return Fetcher(settings.allowed_sources, state / "rpmmd")


def revision(addresses: Sequence[str], request: ComposeRequest, settings: ComposeSettings) -> int | None:
    """Return the revision of the repositories together, which changes when one of theirs does.

    Raises ComposeError ``compose.source``.
    """
    fetcher = fetcher_of(settings)
    expanded = dict.fromkeys(for_arch(address, arch) for arch in request.arches for address in addresses)
    return _together({address: read_repository(address, fetcher) for address in expanded})


def _together(repositories: Mapping[str, Repository]) -> int | None:
    """Return one number for the revisions of several repositories.

    Their sum: the newest of them would stay the same when an older one changes, and each only grows.
    """
    found = [one.revision for one in repositories.values() if one.revision is not None]
    return sum(found) if found else None


def lock(request: ComposeRequest, source: RpmSource, settings: ComposeSettings, say: Say) -> Lock:
    """Choose the packages. Raises ComposeError."""
    if any(one.startswith("deb ") for one in request.lookaside_repos):
        raise ComposeError(
            "an archive of Debian cannot be beside RPM packages",
            code="compose.source",
            hint="name a repository",
        )
    fetcher = fetcher_of(settings)
    known: dict[str, Repository] = {}
    counted: dict[str, Repository] = {}
    selections: dict[str, Selection] = {}
    for arch in sorted(set(request.multilib_arches) - set(request.arches)):
        say(f"{arch}: no multilib, as it is not among the arches")
    for arch in request.arches:
        pool = RpmPool(arch)
        repos, allows = source.of(arch)
        for address in repos:
            repository = known.setdefault(address, known.get(address) or read_repository(address, fetcher))
            pool.add(repository, fetcher)
        own = repos if source.counted is None else [for_arch(one, arch) for one in source.counted]
        counted.update({address: known[address] for address in own})
        for address in dict.fromkeys(for_arch(one, arch) for one in request.lookaside_repos):
            repository = known.setdefault(address, known.get(address) or read_repository(address, fetcher))
            pool.add(repository, fetcher, lookaside=True)
        selector = Selector(
            pool, arch, request, say, allows=allows, every=source.every, compatible=source.compatible
        )
        selection = selector.select()
        if _wants_signatures(request):
            selection = _signed(selection, selector, pool, request, fetcher)
        selections[arch] = selection
        say(
            f"{arch}: {len(selection.packages)} packages, {len(selection.debug)} with debugging information,"
            f" {len(selection.sources)} sources"
        )
    source.check()
    _check_found(request, selections)
    _check_addresses(selections, fetcher)
    trusted = not _wants_signatures(request)
    repositories = {one.url: one for one in known.values()} if trusted else {}
    revision = _together(counted) if source.revision is None else source.revision
    return _locked(selections, source, revision, repositories, fetcher)


def _wants_signatures(request: ComposeRequest) -> bool:
    return bool(request.sigkeys) and set(request.sigkeys) != {""}


def _signed(
    selection: Selection, selector: Selector, pool: RpmPool, request: ComposeRequest, fetcher: Fetcher
) -> Selection:
    """Return the selection with the copies that are signed with the most preferred keys."""
    parts = [selection.packages, selection.debug, selection.sources]
    wanted = {package.nevra for part in parts for package in part}
    copies: dict[str, list[RpmPackage]] = {}
    for solvable in pool.solvables():
        package = selector.describe(solvable)
        if package.nevra in wanted:
            copies.setdefault(package.nevra, []).append(package)
    signed = []
    for part in parts:
        chosen = signatures.choose([copies[package.nevra] for package in part], request.sigkeys, fetcher)
        signed.append(tuple(dataclasses.replace(package, sigkey=key) for package, key in chosen))
    return dataclasses.replace(selection, packages=signed[0], debug=signed[1], sources=signed[2])


def _check_addresses(selections: Mapping[str, Selection], fetcher: Fetcher) -> None:
    """Refuse packages that a repository says are somewhere where a request could not send us."""
    for selection in selections.values():
        for package in (*selection.packages, *selection.debug, *selection.sources):
            rest = package.url.removeprefix(package.repo)
            if rest == package.url or "%" in rest or ".." in rest.split("/"):
                check_address(package.url, fetcher.allowed)


def _check_found(request: ComposeRequest, selections: Mapping[str, Selection]) -> None:
    """Raise ComposeError for a package that was asked for and is nowhere."""
    found = {word for selection in selections.values() for word in selection.found}
    missing = [word for word in request.packages if word not in found]
    if missing:
        raise ComposeError(
            f"no repository has {'the package' if len(missing) == 1 else 'the packages'} {', '.join(missing)}",
            code="compose.packages",
            hint="is the name right, and is it built for one of the arches?",
        )


def _locked(
    selections: Mapping[str, Selection],
    source: RpmSource,
    revision: int | None,
    repositories: Mapping[str, Repository],
    fetcher: Fetcher,
) -> Lock:
    """Return the manifest and the places. What ``repositories`` (by URL) say of packages may be carried over."""
    pipelines: list[dict[str, Any]] = []
    items: dict[str, dict[str, str]] = {}
    trees: list[Tree] = []
    inline = _inline(source.metadata)

    def add(name: str, path: str, arch: str, packages: Sequence[RpmPackage], category: str) -> None:
        # One package may come from two repositories.
        distinct = {package.path: package for package in reversed(packages)}
        ordered = [distinct[path] for path in sorted(distinct)]
        items.update({package.checksum: {"url": package.url} for package in ordered})
        metadata = inline if category == "binary" else {}
        carry = carried.worthwhile(ordered, repositories, fetcher)
        items.update({file.checksum: {"url": file.address} for files in carry for file in files.values()})
        pipelines.append(_pipeline(name, ordered, metadata, carry))
        locked = tuple(
            LockedPackage(p.checksum, p.path, p.nevra, "" if p.is_source else p.srpm, p.sigkey, category)
            for p in ordered
        )
        trees.append(Tree(name, path, arch, locked))

    sources: dict[str, RpmPackage] = {}
    for arch, selection in selections.items():
        add(f"{arch}-os", f"{arch}/os", arch, selection.packages, "binary")
        add(f"{arch}-debug", f"{arch}/debug/tree", arch, selection.debug, "debug")
        sources.update({package.nevra: package for package in selection.sources})
    add("source", "source/tree", "src", list(sources.values()), "source")
    manifest: dict[str, Any] = {"version": "2", "pipelines": pipelines, "sources": {}}
    if items:
        manifest["sources"]["org.osbuild.curl"] = {"items": items}
    if inline:
        manifest["sources"]["org.osbuild.inline"] = {
            "items": {checksum: item for checksum, (item, _) in inline.items()}
        }
    epoch = max((pipeline["source-epoch"] for pipeline in pipelines), default=0)
    return Lock("rpm", manifest, tuple(trees), tuple(selections), revision, epoch)


def _pipeline(
    name: str,
    packages: Sequence[RpmPackage],
    metadata: Mapping[str, tuple[dict[str, str], str]],
    carry: Sequence[Mapping[str, MetadataFile]],
) -> dict[str, Any]:
    """Return the pipeline that writes the metadata of one repository."""
    options: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    if packages:
        options["packages"] = {package.checksum: package.path for package in packages}
        inputs["packages"] = _files([package.checksum for package in packages])
    if metadata:
        options["metadata"] = {checksum: kind for checksum, (_, kind) in metadata.items()}
        inputs["metadata"] = _files(list(metadata))
    if carry:
        options[carried.NAME] = [{kind: file.checksum for kind, file in files.items()} for files in carry]
        inputs[carried.NAME] = _files(
            list(dict.fromkeys(file.checksum for files in carry for file in files.values()))
        )
    stage: dict[str, Any] = {"type": carried.STAGE, "options": options}
    if inputs:
        stage["inputs"] = inputs
    newest = max((package.built for package in packages), default=0)
    return {"name": name, "source-epoch": newest, "stages": [stage]}


def _files(checksums: Sequence[str]) -> dict[str, Any]:
    return {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(checksums)}


def _inline(metadata: Mapping[str, str]) -> dict[str, tuple[dict[str, str], str]]:
    """Return the items of an inline source for ``metadata``, and their types, by checksum."""
    import base64
    import hashlib

    return {
        "sha256:" + hashlib.sha256(text.encode()).hexdigest(): (
            {"encoding": "base64", "data": base64.b64encode(text.encode()).decode()},
            kind,
        )
        for kind, text in metadata.items()
    }
