"""``verify``: is what is there what the configuration says? Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami.drift import Drift, ImageVerificationErrors, compare, image_tags
from osbuild_core.exports.ami.observe import FoundSnapshot, find_snapshots
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.ami.run import all_failures, failure_document
from osbuild_core.exports.ami.survey import look
from osbuild_core.exports.aws.errors import AwsError

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context


@dataclass(frozen=True)
class Verification:
    """``images`` is {image: {region: differences}}; a region without any is as it should be."""

    images: dict[str, dict[str, tuple[Drift, ...]]] = field(default_factory=dict)
    failed: dict[str, tuple[AwsError, ...]] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether all images could be looked at, and are as they should be."""
        return not self.failed and not any(d for regions in self.images.values() for d in regions.values())

    def errors(self) -> dict[str, dict[str, list[ImageVerificationErrors]]]:
        """Return {image: {region: errors}}."""
        return {
            name: {region: [drift.error for drift in drifts] for region, drifts in regions.items()}
            for name, regions in self.images.items()
        }

    def lines(self) -> Iterator[str]:
        """Yield a line for each image and region, and one for each difference."""
        for name, regions in self.images.items():
            for region, drifts in regions.items():
                yield f"{region}: {name}: {'as it should be' if not drifts else f'{len(drifts)} differences'}"
                for drift in drifts:
                    yield f"    {drift.error.name}: {drift.wanted} wanted, {drift.found} found"

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "images": {
                name: {
                    region: [
                        {"error": drift.error.name, "wanted": drift.wanted, "found": drift.found}
                        for drift in drifts
                    ]
                    for region, drifts in regions.items()
                }
                for name, regions in self.images.items()
            },
            "failed": {region: failure_document(errors) for region, errors in self.failed.items()},
        }


def verify_images(context: Context, group: str | None = None) -> Verification:
    """Compare the images with their configuration. The image file may be gone: then its digest is not compared."""
    survey = look(context, group)
    has_source = context.configuration.source.path.is_file()
    common = context.tags_dict if has_source else context.configuration.tags
    sha256 = context.source_sha256 if has_source else None

    def work(region: str) -> dict[str, tuple[Drift, ...]]:
        seen = survey.observed[region]
        roots = [image.snapshot for image in seen.images.values() if image.snapshot]
        client = context.clients("ec2", region)
        snapshots = {one.id: one for one in find_snapshots(client, "snapshot-id", roots)}
        return {
            name: compare(
                name,
                survey.images[name],
                found,
                tags=image_tags(common, survey.images[name]),
                architecture=context.configuration.source.architecture,
                snapshot=snapshots.get(found.snapshot, _gone(found.snapshot)),
                sha256=sha256,
            )
            for name, found in seen.images.items()
        }

    outcomes = in_each(survey.observed, work, pace=context.pace, doing="look at the images")
    failed = all_failures(survey)
    for region, error in outcomes.errors.items():
        failed.setdefault(region, []).append(error)
    images = {
        name: {
            region: outcomes.results[region].get(name, (_absent(),))
            for region in survey.regions[name]
            if region in outcomes.results and name not in survey.observed[region].twice
        }
        for name in survey.images
    }
    return Verification(images, {region: tuple(errors) for region, errors in sorted(failed.items())})


def _absent() -> Drift:
    return Drift(ImageVerificationErrors.NOT_EXIST, "an image", "none")


def _gone(snapshot: str) -> FoundSnapshot:
    return FoundSnapshot(snapshot, "", "gone", False, False, "", {})
