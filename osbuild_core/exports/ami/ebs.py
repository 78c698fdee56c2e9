"""EBS direct: a raw image straight into a snapshot, block by block; no bucket, no role, no import.

Holes and blocks of zeros are not sent. What AWS has confirmed is in a journal, so that an upload that was
interrupted goes on; without the journal a token finds the snapshot again, and its blocks are sent once more.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.exports.ami import journal
from osbuild_core.exports.ami.encryption import key_arn
from osbuild_core.exports.ami.events import RegionState, UploadFinished, UploadProgress, UploadStarted, Warned
from osbuild_core.exports.ami.names import DIRECT_UPLOAD, SHA256_TAG, client_token
from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws, of_aws
from osbuild_core.exports.aws.file import ZERO, Scan, known_blocks
from osbuild_core.exports.aws.pace import wait_for
from osbuild_core.exports.aws.tags import tag_list, tag_mapping
from osbuild_core.exports.aws.workers import for_each

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context

BLOCK = 512 * 1024
GIB = 1 << 30
TIMEOUT_MINUTES = 24 * 60
"""How long AWS waits for the next block before it gives the snapshot up."""

GENERATIONS = 20
_REFUSALS = frozenset({"ResourceNotFoundException", "ValidationException", "ConflictException"})
_SETTLE_SECONDS = 60.0
COMPLETION_SECONDS = 4 * 3600.0
_PARENT = ("awspub", "ebs", "parent_snapshot")


class _Gone(Exception):
    """The snapshot that we were writing to cannot be finished any more."""


class _Base(NamedTuple):
    """What a snapshot stands on: another one, and its blocks where they are known."""

    id: str = ""
    blocks: tuple[bytes, ...] | None = None


def upload(
    context: Context,
    name: str,
    region: str,
    *,
    kms_key_id: str | None = None,
    adopt: str | None = None,
) -> str:
    """Write the image into a snapshot with the tag ``Name`` ``name``; return its id. It may still be pending.

    ``adopt`` is a snapshot of that name which somebody began. Raises AwsError.
    """
    scan = context.scan(BLOCK)
    left = journal.read(context.state, region, name)
    generation = 0
    if left is not None and left.header.sha256 == scan.sha256:
        generation = left.header.generation
    else:
        left = None
    for _ in range(GENERATIONS):
        try:
            if left is not None:
                book = journal.Journal.create(context.state, left.header, left.blocks)
                base = _known_base(context, left.header.parent)
                everything = False
            else:
                base = _Base() if adopt else _configured_base(context, region, kms_key_id)
                snapshot = adopt or _start(context, name, region, kms_key_id, base, generation)
                header = journal.Header(name, region, scan.sha256, snapshot, generation, base.id)
                book = journal.Journal.create(context.state, header, {})
                # Whoever began it may have had a parent.
                everything = adopt is not None and context.configuration.ebs.parent_snapshot is not None
            try:
                _write(context, book, scan, base, everything=everything, adopted=adopt is not None)
                return book.header.snapshot
            finally:
                book.close()
        except _Gone:
            context.emit(RegionState(region, "starting the upload anew", name))
            journal.remove(context.state, region, name)
            left, adopt, generation = None, None, generation + 1
    raise AwsError(
        f"cannot upload to {region}: no snapshot stays open",
        code="ami.snapshot",
        hint="see the snapshots' state",
    )


def _start(
    context: Context, name: str, region: str, kms_key_id: str | None, base: _Base, generation: int
) -> str:
    request: dict[str, Any] = {
        "VolumeSize": -(-context.source.size // GIB),
        "Description": f"{DIRECT_UPLOAD} of {context.source_sha256}",
        "Timeout": TIMEOUT_MINUTES,
        "Tags": tag_list({**context.tags_dict, "Name": name}),
    }
    if base.id:
        request["ParentSnapshotId"] = base.id
    elif kms_key_id is not None:
        request |= {"Encrypted": True, "KmsKeyArn": key_arn(context.clients, region, kms_key_id)}
    token = client_token("StartSnapshot", region, generation, request)
    try:
        answer = context.clients("ebs", region).start_snapshot(**request, ClientToken=token)
    except Exception as error:
        if not from_aws(error):
            raise
        raise of_aws(error, "start a snapshot", region=region) from error
    context.emit(RegionState(region, "snapshot started", name, answer["SnapshotId"]))
    if answer["Status"] == "error":
        raise _Gone
    return str(answer["SnapshotId"])


def _configured_base(context: Context, region: str, kms_key_id: str | None) -> _Base:
    """Return the parent snapshot of the configuration, if its blocks are known and it can be one."""
    parent = context.configuration.ebs.parent_snapshot
    if parent is None:
        return _Base()
    try:
        found = context.clients("ec2", region).describe_snapshots(SnapshotIds=[parent])["Snapshots"][0]
    except Exception as error:
        if not from_aws(error):
            raise
        hint = f"name one in {region}, where the image goes up, or leave it out"
        raise of_aws(error, f"find the snapshot {parent}", region=region, place=_PARENT, hint=hint) from error
    base = _known_base(context, parent, tag_mapping(found.get("Tags")).get(SHA256_TAG, ""))
    reason = None
    if found["State"] != "completed":
        reason = "is not completed"
    elif found["VolumeSize"] * GIB > -(-context.source.size // GIB) * GIB:
        reason = "is larger than the image"
    elif kms_key_id is not None and not found.get("Encrypted"):
        reason = "is not encrypted"
    elif base.blocks is None:
        reason = "was not uploaded from this machine, so what differs is not known"
    if reason is None:
        return base
    context.emit(Warned(f"{parent} {reason}: the whole image is uploaded"))
    return _Base()


def _known_base(context: Context, parent: str, sha256: str = "") -> _Base:
    if not parent:
        return _Base()
    if not sha256:
        kept = context.state.read("parents", parent)
        sha256 = kept.decode("ascii", "replace") if kept else ""
    else:
        context.state.write("parents", parent, sha256.encode())
    return _Base(parent, known_blocks(context.state, sha256, BLOCK) if sha256 else None)


def changed_blocks(scan: Scan, base: tuple[bytes, ...] | None, *, everything: bool) -> list[int]:
    """Return the blocks that have to be written over a snapshot with the blocks ``base`` (None: an empty one).

    Of a longer one also those behind the end of the image; ``everything``: up to the end of the volume.
    """
    if everything:
        return list(range(-(-len(scan.blocks) * scan.block_size // GIB) * (GIB // scan.block_size)))
    if base is None:
        return scan.data_blocks()
    pairs = itertools.zip_longest(scan.blocks, base, fillvalue=ZERO)
    return [index for index, (new, old) in enumerate(pairs) if new != old]


def _write(
    context: Context, book: journal.Journal, scan: Scan, base: _Base, *, everything: bool, adopted: bool
) -> None:
    """Send the blocks that the journal lacks, then complete the snapshot. Raises AwsError, _Gone."""
    header = book.header
    everything = everything or (bool(base.id) and base.blocks is None)
    wanted = changed_blocks(scan, base.blocks, everything=everything)
    missing = [index for index in wanted if index not in book.blocks]
    total = len(wanted) * BLOCK
    done = total - len(missing) * BLOCK
    context.emit(UploadStarted("ebs", header.region, total, done))
    try:
        _put_all(context, book, scan, missing, total)
        context.source.check()
        written = {index: book.blocks[index] for index in sorted(book.blocks)}
        request: dict[str, Any] = {"SnapshotId": header.snapshot, "ChangedBlocksCount": len(written)}
        if written:
            request |= {
                "Checksum": _base64(hashlib.sha256(b"".join(written.values())).digest()),
                "ChecksumAlgorithm": "SHA256",
                "ChecksumAggregationMethod": "LINEAR",
            }
        context.clients("ebs", header.region).complete_snapshot(**request)
    except Exception as error:
        if not from_aws(error):
            raise
        failure = of_aws(error, f"write to {header.snapshot}", region=header.region)
        if aws_code(error) not in _REFUSALS:
            raise failure from error
        # Where it may have been completed unseen, that may take its time.
        answer = getattr(error, "response", {}).get("ResponseMetadata", {})
        unseen = adopted or not missing or answer.get("RetryAttempts", 0) > 0
        _settle(context, header, failure, timeout=COMPLETION_SECONDS if unseen else _SETTLE_SECONDS)
    book.seal()
    context.emit(UploadFinished(header.region, len(missing) * BLOCK))


def _put_all(context: Context, book: journal.Journal, scan: Scan, missing: list[int], total: int) -> None:
    client = context.clients("ebs", book.header.region)
    sent = itertools.count(BLOCK, BLOCK)

    def put(index: int) -> None:
        data = context.source.block(scan, index) if index < len(scan.blocks) else b""
        if len(data) < BLOCK:
            data += bytes(BLOCK - len(data))
        digest = hashlib.sha256(data).digest()
        client.put_snapshot_block(
            SnapshotId=book.header.snapshot,
            BlockIndex=index,
            BlockData=data,
            DataLength=BLOCK,
            Checksum=_base64(digest),
            ChecksumAlgorithm="SHA256",
        )
        book.add(index, digest)
        context.emit(UploadProgress(book.header.region, next(sent), total))

    count = min(context.configuration.ebs.concurrency, max(1, len(missing)))
    for_each(missing, put, count=count, pace=context.pace)


def _settle(context: Context, header: journal.Header, failure: AwsError, *, timeout: float) -> None:
    """Find out what a refusal means. Returns where the snapshot is completed all the same.

    Raises _Gone where it has failed or is not there, ``failure`` where it is still open.
    """
    client = context.clients("ec2", header.region)

    def state() -> str | None:
        try:
            found = client.describe_snapshots(SnapshotIds=[header.snapshot])["Snapshots"]
        except Exception as error:
            if aws_code(error).startswith("InvalidSnapshot"):
                return "gone"
            if not from_aws(error):
                raise
            raise of_aws(error, f"look at {header.snapshot}", region=header.region) from error
        now = str(found[0]["State"]) if found else "gone"
        return None if now == "pending" else now

    try:
        now = wait_for(state, pace=context.pace, timeout=timeout, what=header.snapshot)
    except AwsError as error:
        if error.code == "aws.timeout":
            raise failure from None
        raise
    if now == "error":
        client.delete_snapshot(SnapshotId=header.snapshot)
    if now != "completed":
        raise _Gone


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
