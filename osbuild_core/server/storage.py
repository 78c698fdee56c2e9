"""Composes in S3-compatible storage: ``PREFIXodcs-ID.ATTEMPT/…``, where an attempt is what one lease has made.

Nobody but who has a lease writes below its attempt, and the database says which attempt counts. So what a worker has
put there that lost its lease is never seen; maintenance removes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws
from osbuild_core.exports.aws.pace import Pace
from osbuild_core.exports.aws.workers import for_each
from osbuild_core.exports.s3.bucket import Bucket
from osbuild_core.exports.s3.files import HOME
from osbuild_core.exports.s3.upload import CONCURRENCY
from osbuild_core.server.files import opened
from osbuild_core.server.refusal import Refusal

if TYPE_CHECKING:
    from osbuild_core.server.settings import ServerSettings
    from osbuild_core.server.settings import Storage as StorageSettings

T = TypeVar("T")
LOG = re.compile(r"[^/]+\.log")
"""The files of a compose that are there before it is done, and when it has failed."""

_ATTEMPT = re.compile(r"odcs-([0-9]{1,18})\.([0-9]+\.[0-9]+)/")
_CHUNK = 256 << 10
_AT_ONCE = 1000
_SIGNED_SECONDS = 3600
_ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object. ``tag`` is its ETag, quoted."""

    key: str
    size: int
    tag: str
    modified: datetime


class Storage:
    """The bucket and what is in it. Every method but :meth:`key` talks to it and raises AwsError."""

    def __init__(self, settings: StorageSettings) -> None:
        from osbuild_core.exports.aws.clients import BotoClients

        clients = BotoClients()
        self._bucket = Bucket(
            clients, settings.bucket, home=clients.default_region or HOME, place=("storage", "bucket")
        )
        self._prefix = settings.prefix

    def key(self, id: int, attempt: str, path: str = "") -> str:
        """Return the key of a file of a compose, or what its keys begin with."""
        # Beside each other, so that one look finds a thousand.
        return f"{self._prefix}odcs-{id}.{attempt}/{path}"

    def put(self, id: int, attempt: str, directory: Path, pace: Pace) -> None:
        """Put all files of a compose there. ``pace`` stops it (StoppedError)."""
        self._put({self.key(id, attempt, path): (directory, path) for path in _files(directory)}, pace)

    def put_logs(self, id: int, attempt: str, directory: Path, known: Mapping[str, int]) -> dict[str, int]:
        """Put the logs there whose size is not the ``known`` one; return the sizes that they had."""
        found: dict[str, int] = {}
        for file in sorted(directory.glob("*.log")):
            try:
                with _opened(directory, file.name) as stream:
                    data = stream.read()
            except FileNotFoundError:
                continue
            found[file.name] = len(data)
            if known.get(file.name) != len(data):
                request = {"Key": self.key(id, attempt, file.name), "Body": data}
                self._try("write to", partial(_put_object, bucket=self._bucket.name, request=request))
        return found

    def _put(self, files: Mapping[str, tuple[Path, str]], pace: Pace) -> None:
        items = list(files.items())

        def put(index: int) -> None:
            key, (directory, path) = items[index]
            with _opened(directory, path) as stream:
                self._try(
                    "write to",
                    # In parts where it is large.
                    lambda client: client.upload_fileobj(
                        stream, self._bucket.name, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"}
                    ),
                )

        for_each(range(len(items)), put, count=min(CONCURRENCY, max(1, len(items))), pace=pace)

    def find(self, key: str) -> Stored | None:
        """Return an object, None where there is none."""

        def head(client: Any) -> Stored | None:
            try:
                answer = client.head_object(Bucket=self._bucket.name, Key=key)
            except Exception as error:
                if aws_code(error) in _ABSENT:
                    return None
                raise
            return Stored(key, int(answer["ContentLength"]), str(answer["ETag"]), answer["LastModified"])

        return self._try("read from", head)

    def read(self, stored: Stored, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``end`` of an object, as long as it is what it was."""
        answer = self._try(
            "read from",
            lambda client: client.get_object(
                Bucket=self._bucket.name,
                Key=stored.key,
                Range=f"bytes={start}-{end - 1}",
                IfMatch=stored.tag,
            ),
        )
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(_CHUNK)

    def address(self, key: str, method: str) -> str:
        """Return an address that gives an object to who has no key, for an hour."""
        operation = "head_object" if method == "HEAD" else "get_object"
        return self._try(
            "sign for",
            lambda client: str(
                client.generate_presigned_url(
                    operation,
                    Params={"Bucket": self._bucket.name, "Key": key},
                    ExpiresIn=_SIGNED_SECONDS,
                )
            ),
        )

    def attempts(self) -> dict[int, set[str]]:
        """Return what is there: {id of a compose: attempts}."""
        found: dict[int, set[str]] = {}
        for prefix in self._below(self._prefix):
            match = _ATTEMPT.fullmatch(prefix.removeprefix(self._prefix))
            if match:
                found.setdefault(int(match[1]), set()).add(match[2])
        return found

    def _below(self, prefix: str) -> list[str]:
        return self._try(
            "look into",
            lambda client: [
                one["Prefix"]
                for page in client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket.name, Prefix=prefix, Delimiter="/"
                )
                for one in page.get("CommonPrefixes", ())
            ],
        )

    def remove(self, id: int, attempts: Iterable[str]) -> None:
        """Remove all of some attempts, uploads that were not finished included."""
        for attempt in attempts:
            self._try("delete from", partial(self._clear, prefix=self.key(id, attempt)))

    def _clear(self, client: Any, prefix: str) -> None:
        for key, upload in self._bucket.uploads_below(prefix):
            self._bucket.abort(key, upload.id)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        for start in range(0, len(keys), _AT_ONCE):
            answer = client.delete_objects(
                Bucket=self._bucket.name,
                Delete={"Objects": [{"Key": key} for key in keys[start : start + _AT_ONCE]], "Quiet": True},
            )
            for failed in answer.get("Errors", ())[:1]:
                raise AwsError(
                    f"cannot delete from the bucket {self._bucket.name!r}: {failed.get('Code')}",
                    code="aws.denied",
                    hint="check the policies of the role or user",
                    retryable=True,
                )

    def _try(self, doing: str, work: Callable[[Any], T]) -> T:
        """Return what ``work`` does with the client. Raises AwsError."""
        try:
            return work(self._bucket.client)
        except Exception as error:
            cause = error.__context__ if type(error).__name__ == "S3UploadFailedError" else None
            found = cause if isinstance(cause, Exception) else error
            if not from_aws(found):
                raise
            raise self._bucket.failure(found, doing) from error


def _put_object(client: Any, *, bucket: str, request: Mapping[str, Any]) -> None:
    client.put_object(Bucket=bucket, **request)


def storage_of(settings: ServerSettings) -> Storage | None:
    """Return where composes of the default directory are kept, None for that directory itself. Raises AwsError."""
    return None if settings.storage is None else Storage(settings.storage)


def _opened(directory: Path, path: str) -> BinaryIO:
    """Open a file of a compose. Whoever makes it may be less than we are, and change links while we look: what was
    opened has to be within. Raises FileNotFoundError."""
    try:
        return os.fdopen(opened(directory, path), "rb")
    except Refusal:
        raise FileNotFoundError(2, os.strerror(2), path) from None


def _leads_beside(path: str, base: str) -> bool:
    """Tell whether a directory is no link, or one to another below ``base`` in which it is not itself.

    Links are not followed from where a link has led: a few of them that lead to each other would have no end.
    """
    if not os.path.islink(path):
        return True
    folder = os.path.dirname(path)
    here, real = os.path.realpath(folder), os.path.realpath(path)
    return here == folder and real.startswith(base + "/") and not f"{here}/".startswith(real + "/")


def _files(directory: Path) -> Iterator[str]:
    """Yield the paths of the files of a compose; a link counts as the file or directory within that it leads to.

    What is hidden at the top is work in progress.
    """
    base = os.path.realpath(directory)
    for folder, folders, names in os.walk(base, followlinks=True):
        if folder == base:
            folders[:] = [name for name in folders if not name.startswith(".")]
        folders[:] = [name for name in folders if _leads_beside(os.path.join(folder, name), base)]
        for name in names:
            file = Path(folder, name)
            path = file.relative_to(base).as_posix()
            if file.is_file() and os.path.realpath(file).startswith(base + "/") and not path.startswith("."):
                yield path
