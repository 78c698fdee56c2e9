"""A compose of a tree that a pipeline has made: the repositories in it are found by their metadata."""

from __future__ import annotations

import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

from osbuild_core.exports.compose import building, unpacking
from osbuild_core.exports.compose import place as places
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.layout import Made, lay_out
from osbuild_core.exports.compose.lock import Lock, LockedPackage, Tree
from osbuild_core.exports.compose.place import Place
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmmd import read_repository
from osbuild_core.exports.compose.rpmpackage import full_nevra, is_debug
from osbuild_core.exports.compose.vocabulary import SourceType

_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"


@dataclass(frozen=True, slots=True)
class Published:
    """A compose of a finished tree. Paths are relative to the target directory."""

    made: Made
    packages: int
    arches: tuple[str, ...]


def publish_tree(
    tree: Path,
    sources: Path | None,
    place: Place,
    settings: ComposeSettings,
    *,
    compose_type: str = "test",
    cancelled: Callable[[], bool] = lambda: False,
) -> Published:
    """Make the compose of the repositories in ``tree``, in ``place``.

    Packages are linked from ``sources`` (the store's ``org.osbuild.files``), or copied where they are in the tree.
    An archive of Debian is the tree itself; repositories of RPM packages are at ``ARCH/os``, ``ARCH/debug/tree`` and
    ``source/tree``. One that is the tree itself is that of x86_64. Raises ComposeError.
    """
    lock = read_tree(tree)
    request = ComposeRequest(SourceType.repo, compose_type=compose_type, arches=lock.arches)

    def fill(root: Path, meanwhile: Callable[[], None]) -> None:
        for one in lock.trees:
            source = tree / one.pipeline
            shutil.copytree(source, root / one.path, symlinks=True, dirs_exist_ok=True)
        building.link_packages(lambda checksum: _found(checksum, sources), list(_missing(lock, root)), root)
        meanwhile()

    with places.claimed(place) as work:
        made = lay_out(request, lock, place, settings, work, fill)
        if cancelled():
            raise ComposeError("the compose was cancelled", code="compose.cancelled")
        places.publish(place, work, made.compose_id)
    return Published(made, lock.packages(), lock.arches)


def _missing(lock: Lock, root: Path) -> Iterator[Tree]:
    """Yield the trees with the packages that the tree itself did not have."""
    for tree in lock.trees:
        lacking = tuple(one for one in tree.packages if not (root / tree.path / one.path).is_file())
        yield Tree(tree.pipeline, tree.path, tree.arch, lacking)


def _found(checksum: str, sources: Path | None) -> str:
    path = None if sources is None else f"{sources}/{checksum}"
    if path is None or not os.path.isfile(path):
        raise ComposeError(
            f"the store does not have the package {checksum}",
            code="compose.packages",
            hint="fetch it anew (build --fetch-only), or have the stage copy packages into the tree (copy_packages)",
        )
    return path


def read_tree(tree: Path) -> Lock:
    """Return what is in the repositories of a finished tree. Raises ComposeError ``compose.source``."""
    suites = sorted((tree / "dists").glob("*/Release"))
    if suites:
        return _read_debian(tree, suites[0])
    found = sorted(path.parent.parent for path in tree.rglob("repodata/repomd.xml"))
    if not found:
        raise ComposeError(
            "there is no repository in the tree",
            code="compose.source",
            hint="make one with the stage org.osbuild.createrepo or org.osbuild.deb-repository",
        )
    trees = tuple(_read_rpm(tree, repository) for repository in found)
    arches = tuple(sorted({one.arch for one in trees} - {"src"}))
    return Lock("rpm", None, trees, arches or ("x86_64",))


def _read_rpm(tree: Path, repository: Path) -> Tree:
    path = repository.relative_to(tree).as_posix()
    parts = path.split("/")
    arch = "x86_64" if path == "." else "src" if parts[0] == "source" else parts[0]
    fetcher = Fetcher(("/",), tree)
    primary = read_repository(str(repository), fetcher).files["primary"].address
    packages = tuple(_packages(Path(primary.removeprefix("file://"))))
    return Tree(path, f"{arch}/os" if path == "." else path, arch, packages)


def _packages(primary: Path) -> Iterator[LockedPackage]:
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser()
    try:
        for block in unpacking.blocks(primary):
            parser.feed(block)
            for _, element in cast(Iterator[tuple[str, ElementTree.Element]], parser.read_events()):
                if element.tag == f"{_COMMON}package":
                    yield _package(element)
                    element.clear()
        parser.close()
    except ElementTree.ParseError as error:
        raise ComposeError(f"{primary.name} cannot be read: {error}", code="compose.source") from None


def _package(element: ElementTree.Element) -> LockedPackage:
    name, arch = (element.findtext(_COMMON + tag) or "" for tag in ("name", "arch"))
    version = element.find(f"{_COMMON}version")
    checksum = element.find(f"{_COMMON}checksum")
    location = element.find(f"{_COMMON}location")
    assert version is not None and checksum is not None and location is not None
    epoch = version.get("epoch") or "0"
    nevra = full_nevra(name, f"{epoch}:{version.get('ver')}-{version.get('rel')}", arch)
    source = element.findtext(f"{_COMMON}format/{_RPM}sourcerpm") or ""
    category = "source" if arch in ("src", "nosrc") else "debug" if is_debug(name) else "binary"
    srpm = ""
    if category != "source":
        stem = source.removesuffix(".src.rpm").removesuffix(".nosrc.rpm") or f"{name}-{version.get('ver')}-0"
        of, number, release = stem.rsplit("-", 2)
        srpm = full_nevra(of, f"{epoch}:{number}-{release}", "src")
    digest = f"{checksum.get('type')}:{(checksum.text or '').strip()}"
    return LockedPackage(digest, location.get("href", ""), nevra, srpm, None, category)


def _read_debian(tree: Path, release: Path) -> Lock:
    from debian.deb822 import Deb822

    fields = Deb822(release.read_text())
    components, architectures = fields.get("Components", "").split(), fields.get("Architectures", "").split()
    packages: dict[str, LockedPackage] = {}
    for index in sorted(release.parent.glob("*/binary-*/Packages.xz")):
        text = lzma.decompress(index.read_bytes()).decode()
        for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
            path = stanza["Filename"]
            title = f"{stanza['Package']}={stanza['Version']}"
            packages[path] = LockedPackage(f"sha256:{stanza['SHA256']}", path, title)
    extra = {"suite": release.parent.name, "components": components}
    return Lock(
        "debian", None, (Tree(".", "", "all", tuple(packages.values())),), tuple(architectures), extra=extra
    )
