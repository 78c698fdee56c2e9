"""One image of a configuration, as awspub's class of that name has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from osbuild_core.exports.aws.errors import AwsError

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image as ImageConfiguration
    from osbuild_core.exports.ami.context import Context
    from osbuild_core.exports.ami.drift import ImageVerificationErrors


class ImageInfo(NamedTuple):
    """An AMI, and the snapshot that its root device stands on (None where it is not known)."""

    image_id: str
    snapshot_id: str | None


class Image:
    """An image of the configuration of ``context``. Its methods raise AwsError where a region fails."""

    def __init__(self, context: Context, image_name: str) -> None:
        if image_name not in context.configuration.images:
            raise AwsError(
                f"there is no image {image_name!r}",
                code="ami.config",
                hint=f"there are: {', '.join(context.configuration.images)}",
                place=("awspub", "images"),
            )
        self._context = context.limited_to(image_name)
        self._image_name = image_name

    @property
    def image_name(self) -> str:
        """The name of the image."""
        return self._image_name

    @property
    def conf(self) -> ImageConfiguration:
        """The configuration of the image."""
        return self._context.configuration.images[self._image_name]

    @property
    def image_regions(self) -> list[str]:
        """The regions of the image: those of the configuration, or all that the account has enabled."""
        from osbuild_core.exports.ami.survey import account_regions, image_regions

        regions, _ = image_regions(self._context, self._image_name, self.conf, account_regions(self._context))
        return [*regions]

    @property
    def snapshot_name(self) -> str:
        """The name of the snapshot that the image stands on."""
        return self._context.snapshot_name(self._image_name)

    def create(self) -> dict[str, ImageInfo]:
        """Make the image where it is missing; return it for each region."""
        from osbuild_core.exports.ami.run import create_images

        create_images(self._context).raise_for_failures()
        return self.list()

    def list(self) -> dict[str, ImageInfo]:
        """Return the image for each region in which it is."""
        from osbuild_core.exports.ami.survey import look

        survey = look(self._context)
        for error in survey.failed.values():
            raise error
        found = {region: seen.images.get(self._image_name) for region, seen in survey.observed.items()}
        return {region: ImageInfo(one.id, one.snapshot or None) for region, one in found.items() if one}

    def publish(self) -> None:
        """Publish the image as its configuration says."""
        from osbuild_core.exports.ami.publication import publish_images

        publish_images(self._context).raise_for_failures()

    def cleanup(self) -> None:
        """Remove the image, if it is temporary."""
        from osbuild_core.exports.ami.removal import cleanup_images

        cleanup_images(self._context).raise_for_failures()

    def verify(self) -> dict[str, tuple[ImageVerificationErrors, ...]]:
        """Return what is wrong with the image in each region."""
        from osbuild_core.exports.ami.verification import verify_images

        found = verify_images(self._context)
        for errors in found.failed.values():
            raise errors[0]
        return {region: tuple(errors) for region, errors in found.errors()[self._image_name].items()}
