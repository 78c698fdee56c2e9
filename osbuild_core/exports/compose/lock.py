"""A compose before it is built: its manifest and what goes where. All that it takes to make it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.compose.errors import ComposeError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package file. ``path`` is relative to its tree; the rest is for metadata of the compose.

    ``nevra`` and ``srpm`` are ``name-epoch:version-release.arch``; for Debian ``name=version`` and empty.
    """

    checksum: str
    path: str
    nevra: str
    srpm: str = ""
    sigkey: str | None = None
    category: str = "binary"


@dataclass(frozen=True, slots=True)
class Tree:
    """A repository: the tree of ``pipeline`` with ``packages`` beside it, at ``path`` below ``Temporary``."""

    pipeline: str
    path: str
    arch: str
    packages: tuple[LockedPackage, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedImage:
    """An ISO image: what ``pipeline`` makes, in the directory ``path`` below ``Temporary``; its id is ``volume``."""

    pipeline: str
    path: str
    arch: str
    volume: str


@dataclass(frozen=True, slots=True)
class Lock:
    """``kind`` is rpm, debian, pulp or image. ``images`` are those that were asked for.

    ``epoch`` is the time of the newest of what is in it (seconds since 1970).
    """

    kind: str
    manifest: Mapping[str, Any] | None = None
    trees: tuple[Tree, ...] = ()
    arches: tuple[str, ...] = ()
    revision: int | None = None
    epoch: int = 0
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    images: tuple[LockedImage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the lock as JSON. The manifest in it is the same object."""
        # Not dataclasses.asdict, which takes longer to copy what JSON can hold anyway than the rest of a compose.
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["trees"] = [_tree_json(tree) for tree in self.trees]
        images = [dataclasses.asdict(image) for image in plain.pop("images")]
        if images:
            # Programs that know of none read the locks of composes that have none.
            plain["images"] = images
        return {"format": FORMAT, **plain, "arches": list(self.arches)}

    def packages(self) -> int:
        """Return how many packages the compose has."""
        return sum(len(tree.packages) for tree in self.trees)


_PACKAGE = tuple(field.name for field in dataclasses.fields(LockedPackage))


def _tree_json(tree: Tree) -> dict[str, Any]:
    packages = [{name: getattr(package, name) for name in _PACKAGE} for package in tree.packages]
    return {"pipeline": tree.pipeline, "path": tree.path, "arch": tree.arch, "packages": packages}


def from_json(document: Mapping[str, Any]) -> Lock:
    """Return the lock in ``document``. Raises ComposeError ``compose.request`` for one that is not of us."""
    if document.get("format") != FORMAT:
        raise ComposeError("what was locked is of another version of this program", code="compose.request")
    fields = {key: value for key, value in document.items() if key != "format"}
    fields["trees"] = tuple(
        Tree(**{**tree, "packages": tuple(LockedPackage(**package) for package in tree["packages"])})
        for tree in fields.get("trees", ())
    )
    fields["arches"] = tuple(fields.get("arches", ()))
    fields["images"] = tuple(LockedImage(**image) for image in fields.get("images", ()))
    return Lock(**fields)
