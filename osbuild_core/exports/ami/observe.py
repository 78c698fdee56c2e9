"""What is in a region already: images and snapshots, one request for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from osbuild_core.exports.ami.names import DIRECT_UPLOAD
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.aws.tags import tag_mapping

FILTER_VALUES = 200
"""Values that a filter of the EC2 API takes."""


class FoundImage(NamedTuple):
    """An AMI of ours; ``facts`` is what EC2 says of it. Its root device stands on ``snapshot``."""

    id: str
    name: str
    snapshot: str
    facts: dict[str, Any]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the AMI."""
        return tag_mapping(self.facts.get("Tags"))

    @property
    def public(self) -> bool:
        """Whether everybody may start it."""
        return bool(self.facts.get("Public"))

    @property
    def root(self) -> dict[str, Any]:
        """The root device's part of the block device mappings."""
        return _root(self.facts)


class FoundSnapshot(NamedTuple):
    """A snapshot of ours; ``direct`` where its blocks are written by this program."""

    id: str
    name: str
    state: str
    encrypted: bool
    direct: bool
    started: str
    tags: dict[str, str]


class Observed(NamedTuple):
    """What was found in one region: one for each name, and what is not to be used."""

    images: dict[str, FoundImage] = {}  # noqa: RUF012
    snapshots: dict[str, FoundSnapshot] = {}  # noqa: RUF012
    twice: dict[str, tuple[FoundImage, ...]] = {}  # noqa: RUF012
    spare: tuple[FoundSnapshot, ...] = ()
    failed: tuple[FoundSnapshot, ...] = ()


def observe(client: Any, image_names: Iterable[str], snapshot_names: Iterable[str] = ()) -> Observed:
    """Return what there is of ``image_names`` and ``snapshot_names``; ``client`` is an EC2 client."""
    images: dict[str, list[FoundImage]] = {}
    for image in find_images(client, "name", image_names):
        images.setdefault(image.name, []).append(image)
    usable: dict[str, list[FoundSnapshot]] = {}
    failed = []
    for snapshot in find_snapshots(client, "tag:Name", snapshot_names):
        if snapshot.state == "error":
            failed.append(snapshot)
        elif snapshot.state in ("pending", "completed"):
            usable.setdefault(snapshot.name, []).append(snapshot)
    ranked = {name: sorted(found, key=_rank) for name, found in usable.items()}
    return Observed(
        {name: found[0] for name, found in images.items() if len(found) == 1},
        {name: found[0] for name, found in ranked.items()},
        {name: tuple(found) for name, found in images.items() if len(found) > 1},
        tuple(snapshot for found in ranked.values() for snapshot in found[1:]),
        tuple(failed),
    )


def _rank(snapshot: FoundSnapshot) -> tuple[bool, str, str]:
    """The one to be used first: completed, old, and the same in every run."""
    return (snapshot.state != "completed", snapshot.started, snapshot.id)


def find_images(client: Any, key: str, values: Iterable[str]) -> Iterator[FoundImage]:
    """Yield our images for which the filter ``key`` has one of ``values``."""
    for chunk in _chunks(values):
        pages = client.get_paginator("describe_images").paginate(
            Owners=["self"], Filters=[{"Name": key, "Values": chunk}]
        )
        for page in pages:
            yield from map(found_image, page["Images"])


def found_image(facts: dict[str, Any]) -> FoundImage:
    """Return an image as EC2 describes it."""
    return FoundImage(facts["ImageId"], facts.get("Name", ""), _root(facts).get("SnapshotId", ""), facts)


def find_snapshots(client: Any, key: str, values: Iterable[str]) -> Iterator[FoundSnapshot]:
    """Yield our snapshots for which the filter ``key`` has one of ``values``."""
    for chunk in _chunks(values):
        pages = client.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=[{"Name": key, "Values": chunk}]
        )
        for page in pages:
            yield from map(found_snapshot, page["Snapshots"])


def found_snapshot(facts: dict[str, Any]) -> FoundSnapshot:
    """Return a snapshot as EC2 describes it."""
    tags = tag_mapping(facts.get("Tags"))
    return FoundSnapshot(
        facts["SnapshotId"],
        tags.get("Name", ""),
        facts["State"],
        bool(facts.get("Encrypted")),
        str(facts.get("Description", "")).startswith(DIRECT_UPLOAD),
        str(facts.get("StartTime", "")),
        tags,
    )


def duplicate(name: str, found: tuple[FoundImage, ...], region: str) -> AwsError:
    """Return the error for several images of one name."""
    ids = ", ".join(sorted(image.id for image in found))
    return AwsError(
        f"{len(found)} images in {region} have this name: {ids}",
        code="ami.duplicate-image",
        hint="deregister all but one",
        place=("awspub", "images", name),
    )


def _root(facts: dict[str, Any]) -> dict[str, Any]:
    mappings = facts.get("BlockDeviceMappings") or []
    name = facts.get("RootDeviceName")
    first = next((m for m in mappings if m.get("DeviceName") == name), mappings[0] if mappings else {})
    return dict(first.get("Ebs") or {})


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    names = list(dict.fromkeys(values))
    for start in range(0, len(names), FILTER_VALUES):
        yield names[start : start + FILTER_VALUES]
