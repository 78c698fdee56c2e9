"""AMIs: registered with all that they are to have, set right where that is possible, removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami.drift import missing_tags, wanted_deprecation
from osbuild_core.exports.ami.observe import FoundImage, find_images
from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws, of_aws
from osbuild_core.exports.aws.pace import Pace, wait_for
from osbuild_core.exports.aws.tags import tag_list, tag_specification

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image as ImageConfiguration

AVAILABLE_SECONDS = 3600.0
UNSEEN_SECONDS = 60.0
UNSEEN = 8
"""Answers that may not know an image yet which was just made."""


def registration(
    name: str,
    image: ImageConfiguration,
    *,
    architecture: str,
    snapshot: str,
    tags: Mapping[str, str],
    uefi_data: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of RegisterImage. The ephemeral disks are those that awspub adds."""
    request: dict[str, Any] = {
        "Name": name,
        "Description": image.description or "",
        "Architecture": architecture,
        "RootDeviceName": image.root_device_name,
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device_name,
                "Ebs": {
                    "SnapshotId": snapshot,
                    "VolumeType": image.root_device_volume_type,
                    "VolumeSize": image.root_device_volume_size,
                },
            },
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral1"},
        ],
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "VirtualizationType": "hvm",
        "BootMode": image.boot_mode,
        "TagSpecifications": tag_specification("image", tags),
    }
    if image.tpm_support is not None:
        request["TpmSupport"] = image.tpm_support
    if image.imds_support is not None:
        request["ImdsSupport"] = image.imds_support
    if uefi_data is not None:
        request["UefiData"] = uefi_data
    if image.billing_products:
        request["BillingProducts"] = image.billing_products
    return request


def register(pace: Pace, client: Any, request: Mapping[str, Any], region: str) -> str:
    """Register an image, or find the one that an interrupted or repeated request has made; return its id."""
    name = request["Name"]
    place = ("awspub", "images", name)
    try:
        return str(client.register_image(**request)["ImageId"])
    except Exception as error:
        if not from_aws(error):
            raise
        failure = of_aws(error, "register the image", region=region, place=place)
        if aws_code(error) != "InvalidAMIName.Duplicate":
            raise failure from error

    def made() -> str | None:
        there = list(find_images(client, "name", [name]))
        return there[0].id if len(there) == 1 else None

    # What was just made may not be seen for a while.
    try:
        return wait_for(made, pace=pace, timeout=UNSEEN_SECONDS, what=name)
    except AwsError as error:
        if error.code == "aws.timeout":
            raise failure from None
        raise


def set_right(
    client: Any, found: FoundImage, image: ImageConfiguration, tags: Mapping[str, str]
) -> list[str]:
    """Set of an image what can be set later: tags, description; return the names of what was changed."""
    changed = []
    lacking = missing_tags(tags, found.tags)
    if lacking:
        client.create_tags(Resources=[found.id], Tags=tag_list(lacking))
        changed.append("tags")
    description = image.description or ""
    if description != (found.facts.get("Description") or "") and description:
        client.modify_image_attribute(ImageId=found.id, Description={"Value": description})
        changed.append("description")
    return changed


def wait_available(pace: Pace, client: Any, region: str, images: Iterable[FoundImage | str]) -> None:
    """Wait until the images are available, with one request for them: before that they cannot be changed.

    Those that are known to be available are not asked for. Raises AwsError.
    """
    wanted = [
        one if isinstance(one, str) else one.id
        for one in images
        if isinstance(one, str) or one.facts.get("State") != "available"
    ]
    if not wanted:
        return
    unseen = 0

    def available() -> bool | None:
        nonlocal unseen
        try:
            found = client.describe_images(ImageIds=wanted)["Images"]
        except Exception as error:
            unseen += 1
            if aws_code(error) != "InvalidAMIID.NotFound" or unseen > UNSEEN:
                raise
            return None
        for one in found:
            if one["State"] in ("failed", "error", "invalid", "deregistered"):
                said = one.get("StateReason", {}).get("Message") or one["State"]
                raise AwsError(
                    f"{one['ImageId']} in {region} failed: {said}",
                    code="ami.image",
                    hint="deregister it, and run again",
                    place=("awspub", "images", one.get("Name", "")),
                )
        states = [one["State"] for one in found]
        return True if len(states) == len(wanted) and set(states) == {"available"} else None

    wait_for(available, pace=pace, timeout=AVAILABLE_SECONDS, what=f"the images in {region}")


def deprecate(client: Any, image_id: str, image: ImageConfiguration) -> None:
    """Give an image the date of deprecation that the configuration has."""
    when = wanted_deprecation(image)
    if when is not None:
        client.enable_image_deprecation(ImageId=image_id, DeprecateAt=when)


def deregister(client: Any, image_id: str, region: str) -> None:
    """Remove an image; that it is gone already is as good. Raises AwsError."""
    try:
        client.deregister_image(ImageId=image_id)
    except Exception as error:
        if not from_aws(error):
            raise
        if aws_code(error) not in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
            raise of_aws(error, f"deregister {image_id}", region=region) from error


def missing(name: str, region: str) -> AwsError:
    """Return the error for an image that should be there."""
    return AwsError(
        f"there is no such image in {region}",
        code="ami.missing-image",
        hint="make it first: osbuild-core ami create",
        place=("awspub", "images", name),
    )
