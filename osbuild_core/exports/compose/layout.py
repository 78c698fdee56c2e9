"""Puts a compose together: trees of the engine, links to packages, metadata, signatures, as ODCS lays them out."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.exports.compose import building
from osbuild_core.exports.compose.composeinfo import VARIANT, compose_id, write_images, write_metadata
from osbuild_core.exports.compose.configuration import ComposeSettings, Signs
from osbuild_core.exports.compose.debian import architectures
from osbuild_core.exports.compose.images import Image, finish
from osbuild_core.exports.compose.lock import Lock
from osbuild_core.exports.compose.place import COMPOSE, TREE, Place
from osbuild_core.exports.compose.repofile import repo_file, sources_file
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmpackage import basearch
from osbuild_core.exports.compose.signing import Signer

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made; paths are relative to the target directory."""

    compose_id: str
    result_repo: str
    result_repofile: str
    images: tuple[Image, ...] = ()


Fill = Callable[[Path, Callable[[], None]], None]
"""Puts the trees of a compose with their packages below a directory, and calls a function meanwhile or then."""


def lay_out(
    request: ComposeRequest, lock: Lock, place: Place, settings: ComposeSettings, work: Path, fill: Fill
) -> Made:
    """Make ``work/compose``. Raises ComposeError."""
    root = work / (COMPOSE if lock.kind == "image" else TREE)
    root.mkdir(parents=True)
    signer = settings.signer
    if signer is None and settings.signing_key:
        signer = Signer(settings.signing_key, settings.gnupg_home)
    identity = compose_id(request, place, settings)
    metadata = work / COMPOSE / "metadata"
    fill(root, lambda: write_metadata(request, lock, identity, settings, metadata))
    images = finish(lock, root, identity.id, VARIANT, signer)
    write_images(images, lock, identity, metadata)
    if lock.kind == "image":
        return Made(identity.id, "", "")
    repo = f"{place.name}/{TREE}"
    ending = "repo"
    if lock.kind == "debian":
        ending = "sources"
        text = _finish_debian(lock, root, place.url_of(repo), signer)
    elif lock.kind == "pulp":
        text = lock.extra["repo"]
    else:
        text = _finish_rpm(lock, root, place, signer)
    (root / f"{place.name}.{ending}").write_text(text)
    return Made(identity.id, repo, f"{repo}/{place.name}.{ending}", tuple(images))


def building_fill(
    lock: Lock, settings: ComposeSettings, work: Path, say: Say, cancelled: Callable[[], bool]
) -> Fill:
    """Return what has the engine make the trees of ``lock``, and links the packages into them."""

    def fill(root: Path, meanwhile: Callable[[], None]) -> None:
        if lock.manifest is None:
            meanwhile()
            return
        output = work / "output"
        with building.opened(settings, say, cancelled) as session, building.held(session, lock.trees):
            parts = [(tree.pipeline, tree.path) for tree in lock.trees]
            parts += [(image.pipeline, image.path) for image in lock.images]
            loaded = building.fetch(session, lock.manifest, say)
            folder = session.store.sources.file("")
            # The build is for the most part waited for.
            with ThreadPoolExecutor(1) as beside:
                links = beside.submit(
                    building.link_packages, lambda name: f"{folder}/{name}", lock.trees, root
                )
                rest = beside.submit(meanwhile)
                building.build(session, loaded, [pipeline for pipeline, _ in parts], output)
            linked, copied = links.result()
            rest.result()
            for pipeline, path in parts:
                _move_into(output / pipeline, root / path)
        say(f"{linked} packages are links to the store" + (f", {copied} copies" if copied else ""))

    return fill


def _move_into(source: Path, target: Path) -> None:
    """Move what is in ``source`` into ``target``, which may have something already."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.listdir(source)):
        os.rename(source / entry, target / entry)


def _finish_debian(lock: Lock, root: Path, url: str, signer: Signs | None) -> str:
    suite = lock.extra["suite"]
    release = root / "dists" / suite / "Release"
    key = None
    if signer is not None:
        signer.clear(release, release.with_name("InRelease"))
        signer.detached(release, release.with_name("Release.gpg"))
        key = signer.public_key()
    has_sources = any(package.category == "source" for tree in lock.trees for package in tree.packages)
    components = lock.extra["components"]
    return sources_file(url, suite, components, architectures(lock.arches), key, sources=has_sources)


def _finish_rpm(lock: Lock, root: Path, place: Place, signer: Signs | None) -> str:
    for tree in lock.trees:
        repomd = root / tree.path / "repodata" / "repomd.xml"
        if signer is not None and repomd.is_file():
            signer.detached(repomd, repomd.with_name("repomd.xml.asc"))
            repomd.with_name("repomd.xml.key").write_text(signer.public_key())
    for arch in lock.arches:
        base = root / basearch(arch)
        if not base.exists():
            # Where dnf looks on such a machine, as the file says $basearch.
            base.symlink_to(arch)
    return repo_file(place.name, place.url_of(f"{place.name}/{TREE}"))
