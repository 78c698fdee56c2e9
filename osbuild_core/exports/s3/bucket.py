"""A bucket: where it is, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws, of_aws
from osbuild_core.exports.aws.tags import tag_list, tag_mapping
from osbuild_core.exports.s3.parts import OBJECT_TAGS
from osbuild_core.model.errors import Path as Place

if TYPE_CHECKING:
    from osbuild_core.exports.aws.clients import Clients

_ABSENT = ("404", "NoSuchKey", "NotFound")


class OpenUpload(NamedTuple):
    """An upload in parts that was not finished; ``algorithm`` is that of its checksums, "" for none."""

    id: str
    algorithm: str
    began: str


class Part(NamedTuple):
    """A part of an upload that is there."""

    number: int
    etag: str
    checksum: str
    size: int


class Bucket:
    """The bucket ``name``, first asked for in ``home``. ``place`` is where it is named, for errors."""

    def __init__(self, clients: Clients, name: str, *, home: str, place: Place = ()) -> None:
        self._clients = clients
        self._home = home
        self._place = place
        self.name = name

    @cached_property
    def region(self) -> str:
        """Where the bucket is. Raises AwsError ``aws.bucket`` where there is none that we may use."""
        client = self._clients("s3", self._home)
        try:
            answer = client.head_bucket(Bucket=self.name)
        except Exception as error:
            if not from_aws(error):
                raise
            response = getattr(error, "response", {})
            region = _header_region(response)
            if region:
                return region
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            raise self._unusable(error, status) from error
        region = answer.get("BucketRegion") or _header_region(answer)
        if not region:
            region = client.get_bucket_location(Bucket=self.name).get("LocationConstraint") or "us-east-1"
        return str(region)

    def _unusable(self, error: Exception, status: int | None) -> AwsError:
        if status == 404:
            message, hint = f"there is no bucket {self.name!r}", "create it, or correct the name"
        elif status == 403:
            message = f"the bucket {self.name!r} is not open to us"
            hint = "check its owner and its policy, and the credentials"
        else:
            return of_aws(error, f"find the bucket {self.name!r}", place=self._place)
        return AwsError(message, code="aws.bucket", hint=hint, place=self._place)

    def failure(self, error: Exception, doing: str) -> AwsError:
        """Return the error for what botocore raised while we were ``doing`` something in the bucket."""
        return of_aws(error, f"{doing} the bucket {self.name!r}", region=self.region, place=self._place)

    @property
    def client(self) -> Any:
        """The S3 client of the bucket's region."""
        return self._clients("s3", self.region)

    def checksum(self, key: str) -> str | None:
        """Return the SHA256 of the object ``key`` as S3 has it, "" for one without, None where there is no object."""
        try:
            answer = self.client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        except Exception as error:
            if aws_code(error) in _ABSENT:
                return None
            raise
        return str(answer.get("ChecksumSHA256", ""))

    def open_uploads(self, key: str) -> list[OpenUpload]:
        """Return the uploads of ``key`` that were not finished, the oldest first."""
        found = [one for name, one in self.uploads_below(key) if name == key]
        return sorted(found, key=lambda one: one.began)

    def uploads_below(self, prefix: str) -> list[tuple[str, OpenUpload]]:
        """Return (key, upload) for the uploads that were not finished of keys that begin with ``prefix``."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        return [
            (
                one["Key"],
                OpenUpload(
                    one["UploadId"], str(one.get("ChecksumAlgorithm", "")), str(one.get("Initiated", ""))
                ),
            )
            for page in pages
            for one in page.get("Uploads", ())
        ]

    def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts of an upload that are there."""
        pages = self.client.get_paginator("list_parts").paginate(
            Bucket=self.name, Key=key, UploadId=upload_id
        )
        return [
            Part(one["PartNumber"], one["ETag"], str(one.get("ChecksumSHA256", "")), one.get("Size", -1))
            for page in pages
            for one in page.get("Parts", ())
        ]

    def abort(self, key: str, upload_id: str) -> None:
        """End an upload; that it is ended already is as good."""
        try:
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)
        except Exception as error:
            if aws_code(error) != "NoSuchUpload":
                raise

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Give an object the tags that it lacks."""
        if not tags:
            return
        try:
            there = tag_mapping(self.client.get_object_tagging(Bucket=self.name, Key=key)["TagSet"])
        except Exception as error:
            if not from_aws(error) or of_aws(error, "").code != "aws.denied":
                raise
            there = {}
        if any(there.get(name) != value for name, value in tags.items()):
            others = {name: value for name, value in there.items() if name not in tags}
            merged = dict(list({**tags, **others}.items())[:OBJECT_TAGS])
            self.client.put_object_tagging(Bucket=self.name, Key=key, Tagging={"TagSet": tag_list(merged)})

    def delete(self, key: str) -> bool:
        """Delete the object ``key`` and every upload of it that is open; tell whether there was something.

        Raises AwsError.
        """
        try:
            there = False
            for upload in self.open_uploads(key):
                self.abort(key, upload.id)
                there = True
            if self.checksum(key) is None:
                return there
            self.client.delete_object(Bucket=self.name, Key=key)
            return True
        except Exception as error:
            if not from_aws(error):
                raise
            raise self.failure(error, "delete from") from error


def _header_region(answer: Mapping[str, Any]) -> str | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    return str(region) if region else None
