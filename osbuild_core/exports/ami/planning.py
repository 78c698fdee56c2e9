"""What has to be done: worked out from the configuration and from what was found, without doing any of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from osbuild_core.exports.ami.drift import Drift
from osbuild_core.exports.ami.observe import Observed

Key = tuple[str, str]
"""Region and name of a snapshot."""


class WantedImage(NamedTuple):
    """An image of the configuration: the snapshot that it stands on, where it is to be, to whom it is open."""

    name: str
    snapshot: str
    regions: tuple[str, ...]
    encrypted: bool = False
    billing: tuple[str, ...] = ()
    share: tuple[str, ...] = ()


class SnapshotStep(NamedTuple):
    """How a region gets a snapshot.

    ``action``: ``exists``, ``wait`` (it is being made), ``resume`` (an upload that was interrupted), ``upload``
    (EBS direct), ``import`` (by way of S3) or ``copy`` (of ``origin``).
    """

    region: str
    name: str
    action: str
    id: str = ""
    origin: Key | None = None

    @property
    def key(self) -> Key:
        """Where and which."""
        return self.region, self.name


class ImageStep(NamedTuple):
    """How a region gets an image: it ``exists`` or is to be registered; how it differs, to whom it is opened."""

    region: str
    name: str
    snapshot: str
    action: str
    id: str = ""
    drift: tuple[Drift, ...] = ()
    share: tuple[str, ...] = ()


class Plan(NamedTuple):
    """The steps of ``create``. ``origins`` are the snapshots that others are copied from, usually a single one."""

    method: str
    origins: tuple[SnapshotStep, ...]
    snapshots: tuple[SnapshotStep, ...]
    images: tuple[ImageStep, ...]
    failed: dict[str, str] = {}  # noqa: RUF012

    def regions(self) -> list[str]:
        """Return the regions in which there is something to do or to look at."""
        names = [step.region for step in self.images] + [step.region for step in self.snapshots]
        return list(dict.fromkeys(names))

    def to_json(self) -> dict[str, Any]:
        """Return the plan for ``--json``."""
        return {
            "method": self.method,
            "snapshots": [
                {
                    "region": step.region,
                    "name": step.name,
                    "action": step.action,
                    "id": step.id or None,
                    "from": step.origin and step.origin[0],
                }
                for step in self.snapshots
            ],
            "images": [
                {
                    "region": step.region,
                    "name": step.name,
                    "action": step.action,
                    "id": step.id or None,
                    "snapshot": step.snapshot,
                    "share": list(step.share),
                    "drift": [
                        {
                            "error": drift.error.name,
                            "wanted": drift.wanted,
                            "found": drift.found,
                            "correctable": drift.correctable,
                        }
                        for drift in step.drift
                    ],
                }
                for step in self.images
            ],
            "failed": self.failed,
        }

    def lines(self) -> Iterator[str]:
        """Yield the plan as people read it: a line for each region and image, and one for each difference."""
        for step in self.snapshots:
            mark = {"exists": "=", "wait": "="}.get(step.action, "+")
            about = f" from {step.origin[0]}" if step.origin else ""
            about += f" ({step.id})" if step.id else ""
            yield f"{mark} {step.region}: snapshot {step.name[:12]}: {step.action}{about}"
        for image in self.images:
            mark = "=" if image.action == "exists" else "+"
            if any(drift.correctable for drift in image.drift):
                mark = "~"
            about = f" ({image.id})" if image.id else f" on snapshot {image.snapshot[:12]}"
            shared = f", share with {', '.join(image.share)}" if image.share else ""
            yield f"{mark} {image.region}: image {image.name}: {image.action}{about}{shared}"
            for drift in image.drift:
                what = "set right" if drift.correctable else "differs, needs a new image"
                yield f"    {drift.error.value}: {drift.wanted!r} wanted, {drift.found!r} found: {what}"
        for region, reason in self.failed.items():
            yield f"! {region}: {reason}"


def make_plan(
    wanted: list[WantedImage],
    observed: Mapping[str, Observed],
    *,
    method: str,
    source_region: str,
    unfinished: frozenset[str] = frozenset(),
    drift: Mapping[tuple[str, str], tuple[Drift, ...]] | None = None,
    failed: Mapping[str, str] | None = None,
) -> Plan:
    """Return what leads from ``observed`` to ``wanted``.

    ``source_region`` is where an upload ends; ``unfinished`` has the ids of snapshots to which blocks are still
    to be written. Regions that were not observed are left out. Images that are there twice, too: that is for
    the caller to report.
    """
    drifts = drift or {}
    images: list[ImageStep] = []
    needed: list[Key] = []
    for image in wanted:
        for region in image.regions:
            seen = observed.get(region)
            if seen is None or image.name in seen.twice:
                continue
            found = seen.images.get(image.name)
            action, there = ("exists", found.id) if found else ("register", "")
            differences = drifts.get((region, image.name), ())
            images.append(
                ImageStep(region, image.name, image.snapshot, action, there, differences, image.share)
            )
            if found is None:
                needed.append((region, image.snapshot))
    # By way of S3, what is copied is also where it was imported, as awspub has it.
    if method == "s3" and source_region in observed:
        needed += [
            (source_region, name) for _, name in needed if name not in observed[source_region].snapshots
        ]
    snapshots = _Snapshots(wanted, observed, method, source_region, unfinished)
    steps = {key: step for key in dict.fromkeys(needed) if (step := snapshots.existing(key)) is not None}
    missing = sorted(set(needed) - steps.keys(), key=lambda key: (snapshots.rank(key), needed.index(key)))
    for key in missing:
        steps[key] = snapshots.provide(key)
    steps |= {origin.key: origin for origin in snapshots.origins}
    order = [
        *(origin.key for origin in snapshots.origins if origin.key not in needed),
        *dict.fromkeys(needed),
    ]
    return Plan(
        method,
        tuple(snapshots.origins),
        tuple(steps[key] for key in order),
        tuple(images),
        dict(failed or {}),
    )


class _Snapshots:
    """Finds for each snapshot that is missing what it can be copied from.

    What is encrypted cannot become readable again; what an image with billing products stands on passes them on
    to its copies. So neither is an origin for what is not like it.
    """

    def __init__(
        self,
        wanted: list[WantedImage],
        observed: Mapping[str, Observed],
        method: str,
        source_region: str,
        unfinished: frozenset[str],
    ) -> None:
        self._kinds = {image.snapshot: (image.encrypted, image.billing) for image in wanted}
        self._observed = observed
        self._method = method
        self._source_region = source_region
        self._unfinished = unfinished
        self.origins: list[SnapshotStep] = []

    def existing(self, key: Key) -> SnapshotStep | None:
        """Return the step for a snapshot that is there, or being made by AWS."""
        found = self._observed[key[0]].snapshots.get(key[1]) if key[0] in self._observed else None
        if found is None or found.id in self._unfinished:
            return None
        return SnapshotStep(*key, "exists" if found.state == "completed" else "wait", found.id)

    def rank(self, key: Key) -> tuple[bool, bool, bool]:
        """Those come first that others can be copied from."""
        encrypted, billing = self._kinds[key[1]]
        return encrypted, bool(billing), key[0] != self._source_region

    def provide(self, key: Key) -> SnapshotStep:
        """Return the step for a snapshot that is missing."""
        origin = self._origin(key[1])
        if origin is None:
            origin = self._new(key[1])
        if origin not in self.origins:
            self.origins.append(origin)
        return origin if origin.key == key else SnapshotStep(*key, "copy", origin=origin.key)

    def _origin(self, name: str) -> SnapshotStep | None:
        encrypted, billing = self._kinds[name]

        def fits(other: str) -> bool:
            other_encrypted, other_billing = self._kinds[other]
            return (encrypted or not other_encrypted) and other_billing in ((), billing)

        for origin in self.origins:
            if fits(origin.name):
                return origin
        regions = [self._source_region, *(one for one in self._observed if one != self._source_region)]
        there = [self.existing((region, other)) for region in regions for other in self._kinds if fits(other)]
        return min((step for step in there if step), key=lambda step: step.action != "exists", default=None)

    def _new(self, name: str) -> SnapshotStep:
        region = self._source_region
        begun = self._observed[region].snapshots.get(name) if region in self._observed else None
        if begun is not None:
            return SnapshotStep(region, name, "resume", begun.id)
        return SnapshotStep(region, name, "import" if self._method == "s3" else "upload")
