"""ISO images of a compose's repositories: its manifest makes them, checksums and metadata go with them.

A tree of a repository has no packages, which are links to the store beside it. So for an image there are two
pipelines more: the same repository with its packages, and the image of that.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.configuration import ComposeSettings, Signs
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Lock, LockedImage
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

ISO = "iso"
"""The result, and the directory of images."""

FILE = "image.iso"
"""What an image is called in the tree of its pipeline. In the compose its name has the id of that."""

CHECKSUMS = "CHECKSUM"
_INLINE = "org.osbuild.inline"
_PROGRAM = "xorrisofs"
_PATH = "/usr/sbin:/usr/bin"
"""Where stages look for programs."""

_NOT_MADE = {
    "boot.iso": "it starts an installer, and no stage makes one (org.osbuild.bootiso.mono, org.osbuild.lorax-script)",
    "ostree": "it is a commit of an installed system, and no stage makes one (org.osbuild.ostree.commit)",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image that is there. ``path`` is that below the variant, ``size`` is bytes, ``mtime`` seconds since 1970."""

    path: str
    arch: str
    volume: str
    size: int
    mtime: int
    sha256: str


def check_results(request: ComposeRequest) -> None:
    """Raise ComposeError ``compose.unsupported`` for results that cannot be made of what is asked for."""
    for name in sorted(request.results & set(_NOT_MADE)):
        raise _unsupported(
            f"no stage makes the result {name} of a compose: {_NOT_MADE[name]}",
            "ask for the repository, and for iso; other images are built from a manifest or a raw_config",
        )
    if ISO not in request.results:
        return
    if request.source_type is SourceType.pulp:
        raise _unsupported(
            "no result iso of content sets: their compose points to packages and has none",
            "ask for the repository only",
        )
    if request.source_type is SourceType.raw_config:
        raise _unsupported(
            "no result iso of a raw_config: what is made is up to its template",
            "have the template use the stage org.osbuild.xorrisofs",
        )


def check_program(request: ComposeRequest) -> None:
    """Raise ComposeError ``compose.dependency`` where this machine cannot make the images that are asked for."""
    if ISO in request.results and shutil.which(_PROGRAM, path=_PATH) is None:
        raise ComposeError(
            f"the result iso needs the program {_PROGRAM}, which this machine does not have",
            code="compose.dependency",
            hint="install the package xorriso where composes are made",
            place=("results",),
        )


def with_images(lock: Lock, settings: ComposeSettings) -> Lock:
    """Return ``lock`` with an image of each repository of binary packages, and the pipelines that make it."""
    assert lock.manifest is not None
    made = {pipeline["name"]: pipeline for pipeline in lock.manifest["pipelines"]}
    sources = dict(lock.manifest["sources"])
    images: list[LockedImage] = []
    for tree in lock.trees:
        if lock.kind == "rpm" and tree.path != f"{tree.arch}/os":
            continue
        name, folder = (f"{tree.arch}-iso", f"{tree.arch}/{ISO}") if lock.kind == "rpm" else (ISO, ISO)
        words = (settings.release_name, settings.release_version, lock.extra.get("suite", tree.arch))
        image = LockedImage(name, folder, tree.arch, _volume(words))
        content = _content(image, made[tree.pipeline])
        if lock.kind == "debian":
            checksum, item = _inline(" ".join(words) + "\n")
            sources[_INLINE] = {"items": {checksum: item}}
            content["stages"] += _disc(checksum)
        images.append(image)
        made[content["name"]] = content
        made[name] = _image(image, content)
    manifest = {**lock.manifest, "pipelines": list(made.values()), "sources": sources}
    return dataclasses.replace(lock, manifest=manifest, images=tuple(images))


def _volume(words: Iterable[str]) -> str:
    """Return a volume id: of ISO 9660's characters, and a dash that everybody uses."""
    return re.sub(r"[^A-Z0-9_-]", "_", "-".join(words).upper())[:32]


def _content(image: LockedImage, repository: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pipeline of what the pipeline ``repository`` makes, with its packages."""
    (stage,) = repository["stages"]
    whole = {**stage, "options": {**stage.get("options", {}), "copy_packages": True}}
    return {**repository, "name": f"{image.pipeline}-tree", "stages": [whole]}


def _image(image: LockedImage, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pipeline of the image of what the pipeline ``content`` makes."""
    tree = {
        "type": "org.osbuild.tree",
        "origin": "org.osbuild.pipeline",
        "references": [f"name:{content['name']}"],
    }
    stage = {
        "type": "org.osbuild.xorrisofs",
        "inputs": {"tree": tree},
        "options": {"filename": FILE, "volid": image.volume, "rational_rock": True, "isolevel": 3},
    }
    return {"name": image.pipeline, "source-epoch": content["source-epoch"], "stages": [stage]}


def _inline(text: str) -> tuple[str, dict[str, str]]:
    """Return the checksum of a text, and its item of an inline source."""
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    return f"sha256:{digest}", {"encoding": "base64", "data": base64.b64encode(data).decode()}


def _disc(checksum: str) -> list[dict[str, Any]]:
    """Return the stages that write the file by which apt-cdrom knows a disc of packages."""
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [checksum]}
    path = {"from": f"input://info/{checksum}", "to": "tree:///.disk/info"}
    return [
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/.disk"}]}},
        {"type": "org.osbuild.copy", "inputs": {"info": files}, "options": {"paths": [path]}},
    ]


def finish(lock: Lock, root: Path, id: str, variant: str, signer: Signs | None) -> list[Image]:
    """Give the images below ``root`` their names, and checksums beside them; return what is to be known of them."""
    images = []
    for locked in lock.images:
        folder = root / locked.path
        file = folder / f"{id}-{variant}-{locked.arch}-dvd1.iso"
        os.rename(folder / FILE, file)
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        status = file.stat()
        checksums = folder / CHECKSUMS
        checksums.write_text(f"# {file.name}: {status.st_size} bytes\nSHA256 ({file.name}) = {sha256}\n")
        if signer is not None:
            signer.detached(checksums, checksums.with_name(f"{CHECKSUMS}.asc"))
        path = file.relative_to(root).as_posix()
        images.append(Image(path, locked.arch, locked.volume, status.st_size, int(status.st_mtime), sha256))
    return images


def _unsupported(message: str, hint: str) -> ComposeError:
    return ComposeError(message, code="compose.unsupported", hint=hint, place=("results",))
