"""composeinfo.json and rpms.json of a compose, by productmd where it is about RPM packages."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.images import Image
from osbuild_core.exports.compose.lock import Lock
from osbuild_core.exports.compose.place import Place
from osbuild_core.exports.compose.request import ComposeRequest

VARIANT = "Temporary"
IMAGES = "images.json"
_SUFFIXES = {"test": ".t", "ci": ".ci", "nightly": ".n", "production": "", "development": ".d"}


@dataclass(frozen=True, slots=True)
class Identity:
    """The id of a compose and what it is made of."""

    short: str
    version: str
    date: str
    type: str
    id: str


def compose_id(request: ComposeRequest, place: Place, settings: ComposeSettings) -> Identity:
    """Return the identity of a compose that is made today."""
    date = time.strftime("%Y%m%d", time.gmtime())
    type_ = request.compose_type if request.compose_type in _SUFFIXES else "test"
    short = f"{settings.release_name}-{place.id}"
    version = settings.release_version
    return Identity(short, version, date, type_, f"{short}-{version}-{date}{_SUFFIXES[type_]}.0")


def write_metadata(
    request: ComposeRequest, lock: Lock, identity: Identity, settings: ComposeSettings, folder: Path
) -> None:
    """Write the metadata of a compose into ``folder``, but for those of images, which there need not be yet.

    Raises ComposeError ``compose.dependency``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any]
    if lock.kind == "image":
        document = {"compose": _compose(identity)}
        (folder / "compose.json").write_text(json.dumps(document, indent=2) + "\n")
        return
    if lock.kind == "debian":
        # productmd knows no packages but RPM's.
        document = {
            "compose": _compose(identity),
            "packages": _debian_files(lock, "binary"),
            "sources": _debian_files(lock, "source"),
        }
        (folder / "debs.json").write_text(json.dumps(document, indent=2) + "\n")
        return
    try:
        import productmd.composeinfo
        import productmd.rpms
    except ImportError as error:
        raise ComposeError(
            "composes of RPM packages need productmd",
            code="compose.dependency",
            hint="pip install 'osbuild-core[rpm,compose]'",
        ) from error

    info = productmd.composeinfo.ComposeInfo()
    label = _label(request)
    _fill(info.compose, id=identity.id, type=identity.type, date=identity.date, respin=0, label=label)
    _fill(info.release, name=settings.release_name, short=identity.short, version=identity.version, type="ga")
    variant = productmd.composeinfo.Variant(info)
    _fill(variant, id=VARIANT, uid=VARIANT, name=VARIANT, type="variant", arches=set(lock.arches))
    for arch in lock.arches:
        variant.paths.repository[arch] = variant.paths.os_tree[arch] = f"{VARIANT}/{arch}/os"
        variant.paths.packages[arch] = f"{VARIANT}/{arch}/os/Packages"
        variant.paths.debug_repository[arch] = variant.paths.debug_tree[arch] = f"{VARIANT}/{arch}/debug/tree"
        variant.paths.source_repository[arch] = variant.paths.source_tree[arch] = f"{VARIANT}/source/tree"
    for image in lock.images:
        variant.paths.isos[image.arch] = f"{VARIANT}/{image.path}"
    info.variants.add(variant)
    info.dump(str(folder / "composeinfo.json"))

    rpms = productmd.rpms.Rpms()
    _fill(rpms.compose, id=identity.id, type=identity.type, date=identity.date, respin=0)
    built: dict[str, set[str]] = {}
    for tree in lock.trees:
        for package in tree.packages:
            built.setdefault(package.srpm, set()).add(tree.arch)
    for tree in lock.trees:
        for package in tree.packages:
            path = f"{VARIANT}/{tree.path}/{package.path}"
            source = None if package.category == "source" else package.srpm
            # Source packages are listed with each architecture for which they were built.
            arches = sorted(built.get(package.nevra, lock.arches)) if tree.arch == "src" else [tree.arch]
            for arch in arches:
                rpms.add(VARIANT, arch, package.nevra, path, package.sigkey, package.category, source)
    # Not its own dump, which indents, and that takes as long as all the rest of a large compose.
    document = {}
    rpms.validate()
    rpms.serialize(document)
    (folder / "rpms.json").write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")


def write_images(images: Sequence[Image], lock: Lock, identity: Identity, folder: Path) -> None:
    """Write what is to be known of the images of a compose into ``folder``, if there are any."""
    if not images:
        return
    target = folder / IMAGES
    if lock.kind == "debian":
        document = {"compose": _compose(identity), "images": [_image(image) for image in images]}
        target.write_text(json.dumps(document, indent=2) + "\n")
        return
    import productmd.images

    found = productmd.images.Images()
    _fill(found.compose, id=identity.id, type=identity.type, date=identity.date, respin=0)
    for image in images:
        described = productmd.images.Image(found)
        _fill(described, **_image(image), disc_number=1, disc_count=1, subvariant=VARIANT)
        found.add(VARIANT, image.arch, described)
    found.dump(str(target))


def _compose(identity: Identity) -> dict[str, str]:
    return {"id": identity.id, "date": identity.date, "type": identity.type}


def _image(image: Image) -> dict[str, Any]:
    """Return what productmd calls the properties of an image."""
    return {
        "path": f"{VARIANT}/{image.path}",
        "mtime": image.mtime,
        "size": image.size,
        "volume_id": image.volume,
        "type": "dvd",
        "format": "iso",
        "arch": image.arch,
        "checksums": {"sha256": image.sha256},
    }


def _debian_files(lock: Lock, category: str) -> list[dict[str, str]]:
    return [
        {"name": name, "version": version, "path": package.path, "checksum": package.checksum}
        for tree in lock.trees
        for package in tree.packages
        if package.category == category
        for name, _, version in [package.nevra.partition("=")]
    ]


def _label(request: ComposeRequest) -> str | None:
    """Return the label, where it is one of those that metadata may have (``RC-1.0``)."""
    import productmd.composeinfo

    try:
        productmd.composeinfo.verify_label(request.label)
    except ValueError:
        return None
    return request.label


def _fill(part: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(part, name, value)
