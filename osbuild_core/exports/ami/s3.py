"""The image as an object in a bucket: in parts, side by side, checked, and gone on with after an interruption.

Key, part size and checksum are awspub's, so that each finds what the other has uploaded, whole or in part.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from osbuild_core.exports.ami.errors import AmiError, aws_code, of_aws
from osbuild_core.exports.ami.events import RegionState, UploadFinished, UploadProgress, UploadStarted, Warned
from osbuild_core.exports.ami.names import SOURCE_PREFIX, tag_list, tag_mapping
from osbuild_core.exports.ami.regions import from_aws
from osbuild_core.exports.ami.source import ZERO, Scan
from osbuild_core.exports.ami.workers import for_each

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context

PART = 8 << 20
PARTS = 10_000
"""Parts that an upload may have."""

OBJECT_TAGS = 10
ATTEMPTS = 3
_PLACE = ("awspub", "s3", "bucket_name")


def part_size(size: int) -> int:
    """Return the length of the parts of an object of ``size`` bytes: 8 MiB, or as many times that as needed."""
    return PART * max(1, -(-size // (PART * PARTS)))


def part_digests(scan: Scan, size: int) -> list[bytes]:
    """Return the SHA256 of each part; unlike in a scan also of those that are zeros only."""
    last = len(scan.blocks) - 1
    return [
        digest
        if digest != ZERO
        else _zeros_digest(size - index * scan.block_size if index == last else scan.block_size)
        for index, digest in enumerate(scan.blocks)
    ]


@lru_cache(maxsize=4)
def _zeros_digest(length: int) -> bytes:
    return hashlib.sha256(bytes(length)).digest()


def composite_checksum(digests: list[bytes]) -> str:
    """Return the checksum that S3 has for an object of parts with ``digests``."""
    return f"{_base64(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def _same_checksum(found: str, wanted: str) -> bool:
    """Compare two checksums of objects in parts; not every implementation appends the number of parts."""
    return found in (wanted, wanted.partition("-")[0])


def object_tags(tags: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the tags that an object can have, and the keys of those that it cannot."""
    allowed = {k: v for k, v in tags.items() if not re.search(r"[^\w\s+\-=.:/@]", k + v)}
    # Where it comes from is what finds it again.
    first = sorted(allowed, key=lambda key: not key.startswith(SOURCE_PREFIX))[:OBJECT_TAGS]
    return {key: allowed[key] for key in first}, [key for key in tags if key not in first]


class _Upload(NamedTuple):
    """A multipart upload: {part number: ETag} of the parts that are there as they should be.

    ``usable`` where the object will have the checksum that we look for; that is settled when an upload begins.
    """

    id: str
    parts: dict[int, str]
    usable: bool = True
    tagged: bool = False


class S3:
    """The bucket of the configuration."""

    def __init__(self, context: Context) -> None:
        self._context = context
        if context.configuration.s3 is None:
            raise AmiError(
                "no bucket is named", code="ami.config", hint="give s3: bucket_name", place=("awspub", "s3")
            )
        self._conf = context.configuration.s3
        self.bucket = self._conf.bucket_name

    @cached_property
    def bucket_region(self) -> str:
        """Where the bucket is. Raises AmiError ``ami.bucket`` where there is none that we may use."""
        context = self._context
        client = context.clients("s3", context.home_region)
        try:
            answer = client.head_bucket(Bucket=self.bucket)
        except Exception as error:
            if not from_aws(error):
                raise
            response = getattr(error, "response", {})
            region = _header_region(response)
            if region:
                return region
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404:
                message, hint = f"there is no bucket {self.bucket!r}", "create it, or correct the name"
            elif status == 403:
                message, hint = (
                    f"the bucket {self.bucket!r} is not open to us",
                    "check its owner and its policy",
                )
            else:
                raise of_aws(error, f"find the bucket {self.bucket!r}", place=_PLACE) from error
            raise AmiError(message, code="ami.bucket", hint=hint, place=_PLACE) from error
        region = answer.get("BucketRegion") or _header_region(answer)
        if not region:
            region = client.get_bucket_location(Bucket=self.bucket).get("LocationConstraint") or "us-east-1"
        return str(region)

    @property
    def _client(self) -> Any:
        return self._context.clients("s3", self.bucket_region)

    @property
    def key(self) -> str:
        """The key of the image's object."""
        return self._context.source_sha256

    def upload_file(self, source_path: str | Path | None = None) -> str:
        """Upload the image, as far as it is not there already; return the key. Raises AmiError.

        ``source_path`` is that of the configuration; it is there because awspub has it.
        """
        if source_path is not None and Path(source_path).resolve() != self._context.source.path.resolve():
            raise AmiError(
                "only the image of the configuration can be uploaded",
                code="ami.source",
                hint="name it as source: path",
            )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._upload()
                return self.key
            except Exception as error:
                # Another run has completed or aborted the upload that we were adding to.
                if aws_code(error) == "NoSuchUpload" and attempt < ATTEMPTS:
                    continue
                if not from_aws(error):
                    raise
                where = f"upload to the bucket {self.bucket!r}"
                raise of_aws(error, where, region=self.bucket_region, place=_PLACE) from error
        raise AssertionError("unreachable")

    def _upload(self) -> None:
        context = self._context
        size = context.source.size
        scan = context.scan(part_size(size))
        digests = part_digests(scan, size)
        tags, left_out = object_tags(context.tags_dict)
        if left_out:
            context.emit(
                Warned(
                    f"the object has no tags {', '.join(left_out)}: S3 takes {OBJECT_TAGS}, and not all characters"
                )
            )
        there = self._head()
        if there is not None and _same_checksum(there, composite_checksum(digests)):
            context.emit(RegionState(self.bucket_region, "in the bucket already", self.key))
            self._tag(tags)
            return
        sizes = [min(scan.block_size, size - index * scan.block_size) for index in range(len(digests))]
        uploads = self._open_uploads(digests, sizes)
        usable = [one for one in uploads if one.usable]
        best = max(usable, key=lambda one: len(one.parts), default=None)
        upload = best or self._begin(tags)
        parts = self._send_parts(upload, scan, digests, sizes)
        context.source.check()
        self._client.complete_multipart_upload(
            Bucket=self.bucket,
            Key=self.key,
            UploadId=upload.id,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": n + 1, "ETag": parts[n + 1], "ChecksumSHA256": _base64(digest)}
                    for n, digest in enumerate(digests)
                ]
            },
        )
        if not upload.tagged:
            self._tag(tags)
        for other in uploads:
            if other.id != upload.id:
                self._abort(other.id)

    def _head(self) -> str | None:
        """Return the checksum of the object, "" for one without, None where there is no object."""
        try:
            answer = self._client.head_object(Bucket=self.bucket, Key=self.key, ChecksumMode="ENABLED")
        except Exception as error:
            if aws_code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return str(answer.get("ChecksumSHA256", ""))

    def _begin(self, tags: Mapping[str, str]) -> _Upload:
        answer = self._client.create_multipart_upload(
            Bucket=self.bucket, Key=self.key, ChecksumAlgorithm="SHA256", Tagging=urlencode(tags)
        )
        return _Upload(answer["UploadId"], {}, tagged=True)

    def _open_uploads(self, digests: list[bytes], sizes: list[int]) -> list[_Upload]:
        found = []
        for upload_id, algorithm in self._open_upload_ids(self.key).items():
            pages = self._client.get_paginator("list_parts").paginate(
                Bucket=self.bucket, Key=self.key, UploadId=upload_id
            )
            parts = {}
            for part in (part for page in pages for part in page.get("Parts", ())):
                number = part["PartNumber"]
                if (
                    number <= len(digests)
                    and part.get("ChecksumSHA256") == _base64(digests[number - 1])
                    and part.get("Size") == sizes[number - 1]
                ):
                    parts[number] = part["ETag"]
            found.append(_Upload(upload_id, parts, usable=bool(parts) or algorithm == "SHA256"))
        return found

    def _open_upload_ids(self, key: str) -> dict[str, str]:
        """Return {id: checksum algorithm} of the uploads that were not finished, the oldest first."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=key)
        uploads = [one for page in pages for one in page.get("Uploads", ()) if one["Key"] == key]
        uploads.sort(key=lambda one: str(one.get("Initiated", "")))
        return {one["UploadId"]: str(one.get("ChecksumAlgorithm", "")) for one in uploads}

    def _send_parts(
        self, upload: _Upload, scan: Scan, digests: list[bytes], sizes: list[int]
    ) -> dict[int, str]:
        context, client = self._context, self._client
        region = self.bucket_region
        parts = dict(upload.parts)
        missing = [index for index in range(len(digests)) if index + 1 not in parts]
        total = sum(sizes)
        context.emit(UploadStarted("s3", region, total, total - sum(sizes[index] for index in missing)))
        lock = threading.Lock()
        sent = 0

        def send(index: int) -> None:
            nonlocal sent
            answer = client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=upload.id,
                PartNumber=index + 1,
                Body=context.source.block(scan, index),
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=_base64(digests[index]),
            )
            with lock:
                parts[index + 1] = answer["ETag"]
                sent += sizes[index]
                now = sent
            context.emit(UploadProgress(region, now, total))

        count = min(self._conf.upload_multipart_concurrency, max(1, len(missing)))
        for_each(missing, send, count=count, pace=context.pace)
        context.emit(UploadFinished(region, sent))
        return parts

    def _tag(self, tags: Mapping[str, str]) -> None:
        """Give the object the tags that it lacks."""
        client = self._client
        try:
            answer = client.get_object_tagging(Bucket=self.bucket, Key=self.key)
            there = tag_mapping(answer["TagSet"])
        except Exception as error:
            if not from_aws(error) or of_aws(error, "").code != "ami.denied":
                raise
            there = {}
        if any(there.get(key) != value for key, value in tags.items()):
            merged = dict(
                list({**tags, **{k: v for k, v in there.items() if k not in tags}}.items())[:OBJECT_TAGS]
            )
            client.put_object_tagging(Bucket=self.bucket, Key=self.key, Tagging={"TagSet": tag_list(merged)})

    def _abort(self, upload_id: str, key: str | None = None) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=key or self.key, UploadId=upload_id)
        except Exception as error:
            if aws_code(error) != "NoSuchUpload":
                raise

    def delete(self, key: str) -> bool:
        """Delete the object ``key`` and every upload of it that is open; tell whether there was something."""
        try:
            there = False
            for upload_id in self._open_upload_ids(key):
                self._abort(upload_id, key)
                there = True
            try:
                self._client.head_object(Bucket=self.bucket, Key=key)
            except Exception as error:
                if aws_code(error) not in ("404", "NoSuchKey", "NotFound"):
                    raise
                return there
            self._client.delete_object(Bucket=self.bucket, Key=key)
            return True
        except Exception as error:
            if not from_aws(error):
                raise
            where = f"delete from the bucket {self.bucket!r}"
            raise of_aws(error, where, region=self.bucket_region, place=_PLACE) from error


def _header_region(answer: Mapping[str, Any]) -> str | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    return str(region) if region else None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
