"""The keys of KMS that snapshots are encrypted with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osbuild_core.exports.ami.names import ROOT, kms_key
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.aws.errors import FATAL, AwsError, from_aws, of_aws

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image
    from osbuild_core.exports.ami.context import Context
    from osbuild_core.exports.ami.survey import Survey
    from osbuild_core.exports.aws.clients import Clients


def key_arn(clients: Clients, region: str, key: str) -> str:
    """Return the ARN of a key that may be named by id or alias, which EBS direct alone does not take.

    Raises AwsError.
    """
    if ":key/" in key:
        return key
    try:
        return str(clients("kms", region).describe_key(KeyId=key)["KeyMetadata"]["Arn"])
    except Exception as error:
        if not from_aws(error):
            raise
        raise of_aws(error, f"find the key {key}", region=region) from error


def check_keys(context: Context, survey: Survey) -> None:
    """Raise AwsError where a key of an image that is to be made is not there or cannot be used.

    Before anything is sent: AWS would refuse it only after that.
    """
    wanted = {
        region: [
            name
            for name, image in survey.images.items()
            if image.kms_key_id is not None and region in survey.regions[name] and name not in seen.images
        ]
        for region, seen in survey.observed.items()
    }

    def work(region: str) -> None:
        for name in wanted[region]:
            _check_key(context.clients, region, name, survey.images[name])

    regions = [region for region, names in wanted.items() if names]
    outcomes = in_each(regions, work, pace=context.pace, doing="look for keys")
    for error in outcomes.errors.values():
        raise error


def _check_key(clients: Clients, region: str, name: str, image: Image) -> None:
    """Check one key. Who may not ask learns it from the attempt."""
    key = kms_key(image.kms_key_id, region)
    if key is None:
        return
    place = (ROOT, "images", name, "kms_key_id")
    try:
        state = clients("kms", region).describe_key(KeyId=key)["KeyMetadata"].get("KeyState", "Enabled")
    except Exception as error:
        if not from_aws(error):
            raise
        hint = f"create it in {region}, or take an alias or a multi-region key that every region has"
        failure = of_aws(error, f"find the key {key}", region=region, place=place, hint=hint)
        if failure.code == "aws" or failure.code in FATAL:
            raise failure from error
        return
    if state != "Enabled":
        raise AwsError(
            f"the key {key} in {region} is not enabled ({state})",
            code="ami.key",
            hint="enable it, or take another one",
            place=place,
        )
