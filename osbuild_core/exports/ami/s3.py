"""The image as an object in a bucket, under its SHA256: awspub's key, so that each finds what the other has uploaded,
whole or in part."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.exports.ami.events import RegionState, UploadFinished, UploadProgress, UploadStarted, Warned
from osbuild_core.exports.ami.names import SOURCE_PREFIX
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.s3.parts import OBJECT_TAGS, object_tags
from osbuild_core.exports.s3.upload import Uploader

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context


class S3:
    """The bucket of the configuration."""

    def __init__(self, context: Context) -> None:
        self._context = context
        if context.configuration.s3 is None:
            raise AwsError(
                "no bucket is named", code="ami.config", hint="give s3: bucket_name", place=("awspub", "s3")
            )
        self._conf = context.configuration.s3
        self.bucket = self._conf.bucket_name
        self._bucket = context.bucket(self.bucket)

    @property
    def bucket_region(self) -> str:
        """Where the bucket is. Raises AwsError ``aws.bucket`` where there is none that we may use."""
        return self._bucket.region

    @property
    def key(self) -> str:
        """The key of the image's object."""
        return self._context.source_sha256

    def upload_file(self, source_path: str | Path | None = None) -> str:
        """Upload the image, as far as it is not there already; return the key. Raises AwsError.

        ``source_path`` is that of the configuration; it is there because awspub has it.
        """
        context = self._context
        if source_path is not None and Path(source_path).resolve() != context.source.path.resolve():
            raise AwsError(
                "only the image of the configuration can be uploaded",
                code="aws.source",
                hint="name it as source: path",
            )
        # Where it comes from is what finds it again.
        origin = [key for key in context.tags_dict if key.startswith(SOURCE_PREFIX)]
        tags, left_out = object_tags(context.tags_dict, origin)
        if left_out:
            names = ", ".join(left_out)
            context.emit(
                Warned(f"the object has no tags {names}: S3 takes {OBJECT_TAGS}, and not all characters")
            )
        uploader = Uploader(
            self._bucket,
            context.state,
            tags=tags,
            pace=context.pace,
            concurrency=self._conf.upload_multipart_concurrency,
        )
        watcher = _Watcher(context, self.bucket_region)
        if uploader.upload(context.source, self.key, watcher):
            context.emit(UploadFinished(self.bucket_region, watcher.count))
        else:
            context.emit(RegionState(self.bucket_region, "in the bucket already", self.key))
        return self.key

    def delete(self, key: str) -> bool:
        """Delete the object ``key`` and every upload of it that is open; tell whether there was something."""
        return self._bucket.delete(key)


class _Watcher:
    """Tells the progress of the upload as events."""

    def __init__(self, context: Context, region: str) -> None:
        self._context = context
        self._region = region
        self._lock = threading.Lock()
        self._total = 0
        self.count = 0

    def begun(self, total: int, done: int) -> None:
        self._total, self.count = total, 0
        self._context.emit(UploadStarted("s3", self._region, total, done))

    def sent(self, length: int) -> None:
        with self._lock:
            self.count += length
            now = self.count
        self._context.emit(UploadProgress(self._region, now, self._total))
