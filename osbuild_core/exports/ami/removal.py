"""``cleanup``: temporary images, old ones that ``keep`` does not keep, and what they stood on.

A snapshot is marked before its image goes, so that a run which is interrupted in between is finished by the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami import journal
from osbuild_core.exports.ami.changes import Changes, Record
from osbuild_core.exports.ami.events import RegionFailed, RegionState, Warned
from osbuild_core.exports.ami.names import KEEP_TAG, REMOVAL_TAG, SHA256_TAG
from osbuild_core.exports.ami.observe import FoundImage, FoundSnapshot, Observed, find_images, find_snapshots
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.ami.registration import deregister
from osbuild_core.exports.ami.retention import superfluous
from osbuild_core.exports.ami.run import all_failures
from osbuild_core.exports.ami.s3 import S3
from osbuild_core.exports.ami.snapshot import Snapshot
from osbuild_core.exports.ami.survey import Survey, look
from osbuild_core.exports.aws.errors import AwsError, aws_code, from_aws, of_aws
from osbuild_core.exports.aws.tags import tag_list

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context


def cleanup_images(context: Context, group: str | None = None) -> Changes:
    """Remove temporary images and those that are too old, with their snapshots; public ones stay.

    Where all images of the configuration are temporary, the object in S3 goes as well, and uploads that were
    not finished. Raises AwsError for what concerns all.
    """
    survey = look(context, group)
    record = Record()
    for region, errors in all_failures(survey).items():
        record.failed(region, *errors)
    cleaner = _Cleaner(context, survey, record)
    regions = [*survey.observed, *([cleaner.origin] if cleaner.origin else [])]
    outcomes = in_each(regions, cleaner.clean, pace=context.pace, doing="remove images")
    for region, error in outcomes.errors.items():
        record.failed(region, error)
        context.emit(RegionFailed(region, error.code, error.detail))
    if not record.changes().failed:
        _remove_objects(context, cleaner.digests, record)
    return record.changes()


class _Cleaner:
    """Removes in one region after the other, or in many at once."""

    def __init__(self, context: Context, survey: Survey, record: Record) -> None:
        self._context = context
        self._survey = survey
        self._record = record
        self._temporary = {name for name, image in survey.images.items() if image.temporary}
        self._names = _snapshots_to_remove(context, self._temporary)
        self.origin = _import_region(context) if self._names else None
        self.digests: set[str] = set()

    def clean(self, region: str) -> None:
        """Remove what is to go in ``region``. Raises AwsError."""
        client = self._context.clients("ec2", region)
        seen = self._survey.observed.get(region, Observed())
        going = [one for name, one in seen.images.items() if name in self._temporary]
        going += self._too_old(client, region)
        for found in going:
            self._remove(client, region, found)
        if region == self.origin:
            self._abandon_imports(client, region)
        left = list(find_snapshots(client, "tag-key", [REMOVAL_TAG]))
        left += find_snapshots(client, "tag:Name", self._names)
        for snapshot in {one.id: one for one in left}.values():
            self._delete_snapshot(client, region, snapshot)
        for header in journal.headers(self._context.state):
            if header.region == region and header.name in self._names:
                self._delete_snapshot(client, region, _journaled(header))
                journal.remove(self._context.state, region, header.name)

    def _abandon_imports(self, client: Any, region: str) -> None:
        """End imports that an interrupted run has begun, and remove what came of them."""
        handler = Snapshot(self._context)
        for name in self._names:
            for task in handler.cancel_imports(client, name):
                self._note(name, region, f"cancelled {task}", task)
            for snapshot in handler.nameless(client, name):
                self._delete_snapshot(client, region, FoundSnapshot(snapshot, name, "", False, False, "", {}))

    def _too_old(self, client: Any, region: str) -> list[FoundImage]:
        """Return the images beyond what ``keep`` keeps of each group."""
        keeps: dict[str, int] = {}
        for name, image in self._survey.images.items():
            if image.keep is not None and region in self._survey.regions[name]:
                for one in image.groups or ():
                    keeps[one] = max(image.keep, keeps.get(one, 0))
        configured = set(self._context.configuration.images)
        found = []
        for one, keep in sorted(keeps.items()):
            there = list(find_images(client, "tag-key", [f"{KEEP_TAG}{one}"]))
            found += [old for old in superfluous(there, keep) if old.name not in configured]
        return found

    def _remove(self, client: Any, region: str, found: FoundImage) -> None:
        context, name = self._context, found.name
        if found.public:
            context.emit(Warned(f"{name} in {region} is public and stays; unpublish it first"))
            return
        self.digests.add(found.tags.get(SHA256_TAG, ""))
        if found.snapshot:
            self._mark(client, found)
        try:
            deregister(client, found.id, region)
        except AwsError:
            if found.snapshot:
                client.delete_tags(Resources=[found.snapshot], Tags=[{"Key": REMOVAL_TAG}])
            raise
        self._note(name, region, f"deregistered {found.id}", found.id)

    @staticmethod
    def _mark(client: Any, found: FoundImage) -> None:
        try:
            client.create_tags(Resources=[found.snapshot], Tags=tag_list({REMOVAL_TAG: found.name}))
        except Exception as error:
            # Somebody else's, gone, or with all the tags that it may have: then it is found by its name, or stays.
            if not from_aws(error) or of_aws(error, "").code != "aws":
                raise

    def _delete_snapshot(self, client: Any, region: str, snapshot: FoundSnapshot) -> None:
        """Delete a snapshot, unless another image stands on it."""
        name = snapshot.tags.get(REMOVAL_TAG, snapshot.name)
        try:
            client.delete_snapshot(SnapshotId=snapshot.id)
        except Exception as error:
            if not from_aws(error):
                raise
            code = aws_code(error)
            if code == "InvalidSnapshot.InUse":
                if REMOVAL_TAG in snapshot.tags:
                    client.delete_tags(Resources=[snapshot.id], Tags=[{"Key": REMOVAL_TAG}])
                return
            if code == "InvalidSnapshot.NotFound":
                return
            raise of_aws(error, f"delete {snapshot.id}", region=region) from error
        self.digests.add(snapshot.tags.get(SHA256_TAG, ""))
        self._note(name, region, f"deleted {snapshot.id}", snapshot.id)

    def _note(self, name: str, region: str, what: str, identifier: str) -> None:
        self._record.done(name, region, what)
        self._context.emit(RegionState(region, what.split(maxsplit=1)[0], name, identifier))


def _journaled(header: journal.Header) -> FoundSnapshot:
    return FoundSnapshot(
        header.snapshot, header.name, "pending", False, True, "", {SHA256_TAG: header.sha256}
    )


def _snapshots_to_remove(context: Context, temporary: Iterable[str]) -> list[str]:
    """Return the names of snapshots that only temporary images stand on, as far as the image file is there."""
    if not context.configuration.source.path.is_file():
        return []
    going = {context.snapshot_name(name) for name in temporary}
    staying = {
        context.snapshot_name(name)
        for name, image in context.configuration.images.items()
        if not image.temporary
    }
    return sorted(going - staying)


def _import_region(context: Context) -> str | None:
    """Return where images are imported, None where that is nowhere."""
    if context.configuration.s3 is None:
        return None
    try:
        return S3(context).bucket_region
    except AwsError as error:
        # Without a bucket there is no import; that it is gone is told at the end.
        if error.code != "aws.bucket":
            raise
        return None


def _remove_objects(context: Context, digests: set[str], record: Record) -> None:
    """Delete the objects of what was removed, if no image of the configuration is to stay."""
    configuration = context.configuration
    if configuration.s3 is None or not all(image.temporary for image in configuration.images.values()):
        return
    keys = digests - {""}
    if configuration.source.path.is_file():
        keys.add(context.source_sha256)
    bucket = S3(context)
    for key in sorted(keys):
        if bucket.delete(key):
            record.done(key, bucket.bucket_region, f"deleted from {bucket.bucket}")
            context.emit(RegionState(bucket.bucket_region, "object deleted", key))
