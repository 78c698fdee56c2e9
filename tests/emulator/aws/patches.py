"""What moto's own services are made to refuse and to remember, in this process only."""

from __future__ import annotations

import functools
import json
from typing import Any

import moto.core.responses
from moto.core.responses import ActionResult
from moto.core.utils import method_names_from_class
from moto.iam.models import iam_backends
from moto.s3.exceptions import BadRequest, InvalidTagError, NoSuchUpload
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import compute_checksum
from moto.sns.exceptions import InvalidParameterValue
from moto.sns.models import SNSBackend
from moto.ssm.exceptions import ValidationException
from moto.ssm.models import SimpleSystemManagerBackend

from .world import ACCOUNT, World


def apply(world: World) -> None:
    """Patch moto for a process that emulates ``world``."""
    # moto lists a class's methods by inspection for every request, which takes longer than the rest.
    moto.core.responses.method_names_from_class = functools.cache(method_names_from_class)

    put_parameter = SimpleSystemManagerBackend.put_parameter

    def checked_put(self: Any, name: str, description: str, value: str, *rest: Any, **named: Any) -> Any:
        is_image = "aws:ec2:image" in (named.get("data_type"), *rest)
        if is_image and value not in world.region(self.region_name).images:
            raise ValidationException(f"There is no image {value} in {self.region_name}")
        return put_parameter(self, name, description, value, *rest, **named)

    SimpleSystemManagerBackend.put_parameter = checked_put

    S3Response.list_parts = list_parts
    S3Backend.put_object_tagging = put_object_tagging

    complete = S3Backend.complete_multipart_upload

    def complete_with_count(self: Any, *rest: Any, **named: Any) -> Any:
        key = complete(self, *rest, **named)
        # A checksum of checksums says of how many.
        if key is not None and key.checksum_type == "COMPOSITE":
            key.checksum_value = f"{key.checksum_value}-{key.checksum_parts}"
        return key

    S3Backend.complete_multipart_upload = complete_with_count

    publish = SNSBackend.publish

    def recorded_publish(self: Any, message: str, arn: str | None = None, **named: Any) -> Any:
        if named.get("message_structure") == "json":
            texts = json.loads(message)
            if not isinstance(texts.get("default"), str):
                raise InvalidParameterValue(
                    "Invalid parameter: Message Structure - No default entry in JSON message body"
                )
        subject = named.get("subject")
        if subject is not None and not 0 < len(subject) < 100:
            raise InvalidParameterValue("Invalid parameter: Subject")
        identifier = publish(self, message, arn, **named)
        record = {
            "topic": arn,
            "subject": subject,
            "message": message,
            "structure": named.get("message_structure"),
        }
        world.region(self.region_name).messages.append(record)
        return identifier

    SNSBackend.publish = recorded_publish


def list_parts(self: Any) -> Any:
    """Answer ListParts with the parts' checksums, and with a marker that is a part's number."""
    upload_id, marker = self._get_param("uploadId"), self._get_int_param("part-number-marker", 0)
    most = min(1000, self._get_int_param("max-parts", 1000))
    uploads = self.backend.get_bucket(self.bucket_name).multiparts
    if upload_id not in uploads:
        raise NoSuchUpload(upload_id=upload_id)
    upload = uploads[upload_id]
    algorithm = upload.metadata.get("x-amz-checksum-algorithm")
    numbers = [number for number in upload.partlist if number > marker]
    shown = []
    for number in numbers[:most]:
        part = upload.parts[number]
        item = {"PartNumber": number, "LastModified": part.last_modified_ISO8601, "ETag": part.etag}
        item["Size"] = part.size
        if algorithm:
            item[f"Checksum{algorithm}"] = compute_checksum(part.value, algorithm).decode()
        shown.append(item)
    result = {
        "Bucket": self.bucket_name,
        "Key": self.parse_key_name(),
        "UploadId": upload_id,
        "ChecksumAlgorithm": algorithm,
        "ChecksumType": upload.metadata.get("x-amz-checksum-type") or ("COMPOSITE" if algorithm else None),
        "StorageClass": "STANDARD",
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1]["PartNumber"] if shown else 0,
        "MaxParts": most,
        "IsTruncated": len(numbers) > len(shown),
        "Parts": shown,
    }
    self.data["Action"] = "ListParts"
    return self.serialized(ActionResult(result))


def put_object_tagging(self: Any, key: Any, tags: dict[str, str] | None) -> Any:
    """Tag an object. moto takes every key that begins with ``aws`` for AWS's own, not only ``aws:``."""
    pairs = self.tagger.convert_dict_to_tags_input(tags)
    if len(pairs) > 10:
        raise BadRequest("Object tags cannot be greater than 10")
    if any(name.startswith("aws:") for name in tags or ()):
        raise InvalidTagError("Your TagKey cannot be prefixed with aws:")
    if problem := self.tagger.validate_tags(pairs):
        raise InvalidTagError(problem)
    self.tagger.delete_all_tags_for_resource(key.arn)
    self.tagger.tag_resource(key.arn, pairs)
    return key


def new_account() -> None:
    """Give the account what one has that imports: the role with which EC2 reads the bucket."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "vmie.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    iam_backends[ACCOUNT]["aws"].create_role("vmimport", json.dumps(policy), "/", None, "", [], "3600")
