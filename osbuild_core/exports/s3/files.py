"""Many files into one bucket: large ones in parts, small ones whole, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from osbuild_core.exports.aws.clients import Clients
from osbuild_core.exports.aws.errors import AwsError, from_aws
from osbuild_core.exports.aws.file import LocalFile
from osbuild_core.exports.aws.pace import Pace
from osbuild_core.exports.aws.state import State, default_state_dir
from osbuild_core.exports.aws.workers import for_each
from osbuild_core.exports.s3.bucket import Bucket
from osbuild_core.exports.s3.parts import PART, object_tags
from osbuild_core.exports.s3.upload import CONCURRENCY, Uploader
from osbuild_core.model.errors import Path as Place

KEY = 1024
"""Bytes that the key of an object may have."""

HOME = "us-east-1"
"""Where a bucket is asked for when no region is set: its answer says where the bucket is."""

Progress = Callable[[int, int, str], None]
"""Called with the bytes that are there, those that there will be, and a message or ""."""


class Item(NamedTuple):
    """A file of this machine, and the key that it gets."""

    path: Path
    key: str
    size: int


class Uploaded(NamedTuple):
    """``sent`` of the ``files`` were sent, the others were there; ``bytes_sent`` without headers."""

    region: str
    files: int
    sent: int
    bytes_sent: int


def upload_files(
    items: Iterable[Item],
    bucket_name: str,
    *,
    clients: Clients,
    tags: Mapping[str, str] | None = None,
    properties: Mapping[str, Any] | None = None,
    concurrency: int = CONCURRENCY,
    pace: Pace | None = None,
    progress: Progress = lambda _done, _total, _message: None,
    state_dir: Path | None = None,
    place: Place = ("bucket",),
) -> Uploaded:
    """Upload files as far as they are not there; the object of a key that is there and differs is replaced.

    ``properties`` are arguments of S3's PutObject (``StorageClass``), ``place`` is where the bucket is named.
    Uploads of the same keys that were begun earlier are gone on with or ended. Raises AwsError; what was
    uploaded before stays, and the next run goes on from there.
    """
    files = sorted(items, key=lambda item: item.key)
    check(files, tags or {})
    pace = pace or Pace()
    state = State(state_dir or default_state_dir("s3"))
    bucket = Bucket(clients, bucket_name, home=clients.default_region or HOME, place=place)
    uploader = Uploader(
        bucket, state, tags=tags or {}, properties=properties, pace=pace, concurrency=concurrency
    )
    run = _Run(files, uploader, state, progress)
    before = _half_done(bucket, files)
    small = [index for index, item in enumerate(files) if item.size <= PART]
    for_each(small, run.put, count=min(concurrency, max(1, len(small))), pace=pace)
    for item in files:
        if item.size > PART:
            run.upload(item)
    if before:
        for key, upload_id in _half_done(bucket, files):
            bucket.abort(key, upload_id)
    return Uploaded(bucket.region, len(files), run.sent, run.bytes_sent)


def check(files: Iterable[Item], tags: Mapping[str, str]) -> None:
    """Raise AwsError for what S3 would refuse in the middle."""
    seen: dict[str, Path] = {}
    for item in files:
        try:
            length = len(item.key.encode())
        except UnicodeEncodeError as error:
            raise _refused(f"the name of {item.path!r} is not UTF-8", "rename it", ("source",)) from error
        if not 0 < length <= KEY:
            message = f"the key of {item.path} has {length} bytes, 1 to {KEY} are possible"
            raise _refused(message, "take a shorter prefix", ("prefix",))
        if item.key in seen:
            message = f"{seen[item.key]} and {item.path} would get the same key"
            raise _refused(message, "rename one of them", ("source",))
        seen[item.key] = item.path
    _, impossible = object_tags(tags)
    if impossible:
        raise _refused(
            "an object cannot have this tag",
            "S3 takes ten tags, of letters, digits, spaces and + - = . : / @ _",
            ("tags", impossible[0]),
        )


def _refused(message: str, hint: str, place: Place) -> AwsError:
    return AwsError(message, code="s3.options", hint=hint, place=place)


def _half_done(bucket: Bucket, files: list[Item]) -> list[tuple[str, str]]:
    """Return (key, id) of the uploads of our keys that are open."""
    if not files:
        return []
    # One request for all of them; the files are sorted, so what the first and the last share, all share.
    first, last = files[0].key, files[-1].key
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    keys = {item.key for item in files}
    try:
        return [(key, one.id) for key, one in bucket.uploads_below(first[:length]) if key in keys]
    except Exception as error:
        if not from_aws(error):
            raise
        failure = bucket.failure(error, "look into")
        # Who may not list uploads can put files; those in parts will find out.
        if failure.code != "aws.denied":
            raise failure from error
        return []


class _Run:
    """Counts what is sent."""

    def __init__(self, files: list[Item], uploader: Uploader, state: State, progress: Progress) -> None:
        self._files = files
        self._uploader = uploader
        self._state = state
        self._progress = progress
        self._lock = threading.Lock()
        self._total = sum(item.size for item in files)
        self._done = 0
        self.sent = 0
        self.bytes_sent = 0

    def put(self, index: int) -> None:
        """Upload a small file."""
        item = self._files[index]
        with closing(LocalFile(item.path, self._state, place=("source",))) as file:
            self._finish(item, self._uploader.put(file, item.key, _Watcher(self, item)))

    def upload(self, item: Item) -> None:
        """Upload a large file."""
        with closing(LocalFile(item.path, self._state, place=("source",))) as file:
            self._finish(item, self._uploader.upload(file, item.key, _Watcher(self, item)))

    def _finish(self, item: Item, sent: bool) -> None:
        with self._lock:
            self.sent += sent
            self._done += 0 if sent else item.size
            done = self._done
        self._progress(done, self._total, "" if sent else f"{item.key} is there")

    def count(self, length: int, *, now: bool, message: str = "") -> None:
        """Note ``length`` more bytes, sent ``now`` or earlier."""
        with self._lock:
            self._done += length
            self.bytes_sent += length if now else 0
            done = self._done
        self._progress(done, self._total, message)


class _Watcher:
    """Hears the progress of one file."""

    def __init__(self, run: _Run, item: Item) -> None:
        self._run = run
        self._item = item
        self._lock = threading.Lock()
        self._counted = 0

    def begun(self, total: int, done: int) -> None:
        message = f"uploading {self._item.key}" if total > PART else ""
        # Where an upload begins anew, what was counted before counts no more.
        self._run.count(done - self._counted, now=False, message=message)
        self._counted = done

    def sent(self, length: int) -> None:
        with self._lock:
            self._counted += length
        self._run.count(length, now=True)
