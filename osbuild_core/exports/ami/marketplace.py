"""New versions of products in the AWS Marketplace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami.names import client_token
from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws, of_aws

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Marketplace
    from osbuild_core.exports.ami.context import Context

REGION = "us-east-1"
"""Where the catalog is, and where an image has to be that it takes."""

PARTITION = "aws"
CATALOG = "AWSMarketplace"


def version_details(conf: Marketplace, image_id: str) -> dict[str, Any]:
    """Return the details of the change that adds a version."""
    options: dict[str, Any] = {
        "AmiSource": {
            "AmiId": image_id,
            "AccessRoleArn": conf.access_role_arn,
            "UserName": conf.user_name,
            "OperatingSystemName": conf.os_name,
            "OperatingSystemVersion": conf.os_version,
            "ScanningPort": conf.scanning_port,
        },
        "UsageInstructions": conf.usage_instructions,
        "RecommendedInstanceType": conf.recommended_instance_type,
        "SecurityGroups": [
            {
                "FromPort": group.from_port,
                "ToPort": group.to_port,
                "IpProtocol": group.ip_protocol,
                "IpRanges": group.ip_ranges,
            }
            for group in conf.security_groups or ()
        ],
    }
    return {
        "Version": {"VersionTitle": conf.version_title, "ReleaseNotes": conf.release_notes},
        "DeliveryOptions": [{"Details": {"AmiDeliveryOptionDetails": options}}],
    }


class ImageMarketplace:
    """The product of an image."""

    def __init__(self, context: Context, image_name: str) -> None:
        conf = context.configuration.images[image_name].marketplace
        if conf is None:
            raise AwsError(
                "it has no marketplace",
                code="ami.config",
                hint="add marketplace to the image",
                place=("awspub", "images", image_name),
            )
        self._context = context
        self._place = ("awspub", "images", image_name, "marketplace")
        self.conf = conf

    def request_new_version(self, image_id: str) -> str | None:
        """Ask for a version with ``image_id``; return the id of the change, None where there is such a version.

        AWS takes hours for it: that is not waited for. Raises AwsError.
        """
        conf = self.conf
        client = self._context.clients("marketplace-catalog", REGION)
        try:
            if conf.version_title in self._titles(client):
                return None
            details = version_details(conf, image_id)
            answer = client.start_change_set(
                Catalog=CATALOG,
                ChangeSet=[
                    {
                        "ChangeType": "AddDeliveryOptions",
                        "Entity": {"Type": "AmiProduct@1.0", "Identifier": conf.entity_id},
                        "Details": json.dumps(details),
                    }
                ],
                # The same for the same version, should the answer of this request be lost.
                ClientRequestToken=client_token("StartChangeSet", conf.entity_id, details),
            )
        except Exception as error:
            if not from_aws(error):
                raise
            if aws_code(error) == "ResourceInUseException":
                raise AwsError(
                    f"another change of the product {conf.entity_id} is going on",
                    code="aws.busy",
                    hint="run again when AWS has finished it",
                    place=self._place,
                    retryable=True,
                ) from error
            hint = f"check entity_id ({conf.entity_id}) and the product's state in the Marketplace"
            raise of_aws(
                error, "request a new version", region=REGION, place=self._place, hint=hint
            ) from error
        return str(answer["ChangeSetId"])

    def _titles(self, client: Any) -> set[str]:
        answer = client.describe_entity(Catalog=CATALOG, EntityId=self.conf.entity_id)
        details = answer.get("DetailsDocument") or json.loads(answer.get("Details") or "{}")
        return {str(version.get("VersionTitle")) for version in details.get("Versions", ())}
