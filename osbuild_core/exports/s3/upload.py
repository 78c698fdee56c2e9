"""One file becomes one object: what is there already is not sent again, be it the whole or some parts."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from osbuild_core.exports.aws.errors import aws_code, from_aws
from osbuild_core.exports.aws.file import LocalFile, Scan
from osbuild_core.exports.aws.pace import Pace
from osbuild_core.exports.aws.state import State
from osbuild_core.exports.aws.workers import for_each
from osbuild_core.exports.s3.bucket import Bucket
from osbuild_core.exports.s3.parts import (
    PART,
    composite_checksum,
    in_base64,
    part_digests,
    part_size,
    same_checksum,
)

ATTEMPTS = 3
CONCURRENCY = 8
KIND = "objects"
"""Of the state: with which properties an upload was begun, which S3 does not tell."""


class Watcher(Protocol):
    """Who hears how far it is. Any thread may call ``sent``."""

    def begun(self, total: int, done: int) -> None:
        """``total`` bytes are to be sent, of which ``done`` are there."""

    def sent(self, length: int) -> None:
        """``length`` more bytes are there."""


class _Upload(NamedTuple):
    """A multipart upload: {part number: ETag} of the parts that are there as they should be.

    ``usable`` where it would become the object that is wanted.
    """

    id: str
    parts: dict[int, str]
    usable: bool = True
    tagged: bool = False


class _Pieces(NamedTuple):
    """What the file is made of."""

    scan: Scan
    digests: list[bytes]
    sizes: list[int]


class Uploader:
    """Brings files into ``bucket``, all with the same ``tags`` and ``properties`` (arguments of PutObject and
    CreateMultipartUpload, such as ``StorageClass``)."""

    def __init__(
        self,
        bucket: Bucket,
        state: State,
        *,
        tags: Mapping[str, str],
        properties: Mapping[str, Any] | None = None,
        pace: Pace,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._bucket = bucket
        self._state = state
        self._tags = tags
        self._properties = dict(properties or {})
        self._pace = pace
        self._concurrency = concurrency

    def upload(self, file: LocalFile, key: str, watcher: Watcher) -> bool:
        """Upload a file in parts, as far as it is not there; tell whether anything was sent. Raises AwsError."""

        def attempt() -> bool:
            pieces = _pieces(file)
            there = self._bucket.checksum(key)
            if there is not None and same_checksum(there, composite_checksum(pieces.digests)):
                self._bucket.tag(key, self._tags)
                return False
            self._in_parts(file, key, pieces, watcher)
            return True

        return self._attempts(attempt)

    def put(self, file: LocalFile, key: str, watcher: Watcher) -> bool:
        """Upload a file of at most :data:`PART` bytes in one request, if it is not there; tell whether it was sent.

        Raises AwsError.
        """

        def attempt() -> bool:
            data = file.read(0, PART)
            file.check()
            checksum = in_base64(hashlib.sha256(data).digest())
            if self._bucket.checksum(key) == checksum:
                self._bucket.tag(key, self._tags)
                return False
            watcher.begun(len(data), 0)
            self._bucket.client.put_object(
                Bucket=self._bucket.name,
                Key=key,
                Body=data,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum,
                **self._tagging(),
                **self._properties,
            )
            watcher.sent(len(data))
            return True

        return self._attempts(attempt)

    def _attempts(self, attempt: Any) -> bool:
        for number in range(1, ATTEMPTS + 1):
            try:
                return bool(attempt())
            except Exception as error:
                # Another run has completed or aborted the upload that we were adding to.
                if aws_code(error) == "NoSuchUpload" and number < ATTEMPTS:
                    continue
                if not from_aws(error):
                    raise
                raise self._bucket.failure(error, "upload to") from error
        raise AssertionError("unreachable")

    def _tagging(self) -> dict[str, str]:
        return {"Tagging": urlencode(self._tags)} if self._tags else {}

    def _in_parts(self, file: LocalFile, key: str, pieces: _Pieces, watcher: Watcher) -> None:
        uploads = self._open_uploads(key, pieces)
        usable = [one for one in uploads if one.usable]
        upload = max(usable, key=lambda one: len(one.parts), default=None) or self._begin(key)
        parts = self._send(file, key, upload, pieces, watcher)
        file.check()
        self._bucket.client.complete_multipart_upload(
            Bucket=self._bucket.name,
            Key=key,
            UploadId=upload.id,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": n + 1, "ETag": parts[n + 1], "ChecksumSHA256": in_base64(digest)}
                    for n, digest in enumerate(pieces.digests)
                ]
            },
        )
        if not upload.tagged:
            self._bucket.tag(key, self._tags)
        for other in uploads:
            if other.id != upload.id:
                self._bucket.abort(key, other.id)

    def _begin(self, key: str) -> _Upload:
        answer = self._bucket.client.create_multipart_upload(
            Bucket=self._bucket.name,
            Key=key,
            ChecksumAlgorithm="SHA256",
            **self._tagging(),
            **self._properties,
        )
        if self._properties:
            self._state.write(KIND, _name(answer["UploadId"]), self._fingerprint())
        return _Upload(answer["UploadId"], {}, tagged=True)

    def _fingerprint(self) -> bytes:
        return json.dumps(self._properties, sort_keys=True).encode()

    def _open_uploads(self, key: str, pieces: _Pieces) -> list[_Upload]:
        found = []
        for one in self._bucket.open_uploads(key):
            if self._properties and self._state.read(KIND, _name(one.id)) != self._fingerprint():
                found.append(_Upload(one.id, {}, usable=False))
                continue
            parts = {
                part.number: part.etag
                for part in self._bucket.parts(key, one.id)
                if part.number <= len(pieces.digests)
                and part.checksum == in_base64(pieces.digests[part.number - 1])
                and part.size == pieces.sizes[part.number - 1]
            }
            # Which checksum the object will have is settled when an upload begins.
            found.append(_Upload(one.id, parts, usable=bool(parts) or one.algorithm == "SHA256"))
        return found

    def _send(
        self, file: LocalFile, key: str, upload: _Upload, pieces: _Pieces, watcher: Watcher
    ) -> dict[int, str]:
        """Send the parts that are missing; return {part number: ETag} of all."""
        client = self._bucket.client
        parts = dict(upload.parts)
        missing = [index for index in range(len(pieces.digests)) if index + 1 not in parts]
        watcher.begun(file.size, file.size - sum(pieces.sizes[index] for index in missing))
        lock = threading.Lock()

        def send(index: int) -> None:
            answer = client.upload_part(
                Bucket=self._bucket.name,
                Key=key,
                UploadId=upload.id,
                PartNumber=index + 1,
                Body=file.block(pieces.scan, index),
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=in_base64(pieces.digests[index]),
            )
            with lock:
                parts[index + 1] = answer["ETag"]
            watcher.sent(pieces.sizes[index])

        for_each(missing, send, count=min(self._concurrency, max(1, len(missing))), pace=self._pace)
        return parts


def _pieces(file: LocalFile) -> _Pieces:
    scan = file.scan(part_size(file.size))
    digests = part_digests(scan, file.size)
    sizes = [min(scan.block_size, file.size - index * scan.block_size) for index in range(len(digests))]
    return _Pieces(scan, digests, sizes)


def _name(upload_id: str) -> str:
    return hashlib.sha256(upload_id.encode()).hexdigest()
