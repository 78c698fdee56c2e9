"""Snapshots: imported from S3, copied to other regions, waited for. All have their name as the tag ``Name``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami.events import RegionState
from osbuild_core.exports.ami.names import client_token
from osbuild_core.exports.ami.observe import find_snapshots, found_snapshot, observe
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.aws.errors import THROTTLED, AwsError, aws_code, from_aws, is_transient, of_aws
from osbuild_core.exports.aws.pace import wait_for
from osbuild_core.exports.aws.tags import tag_list, tag_mapping, tag_specification

if TYPE_CHECKING:
    from osbuild_core.exports.ami.context import Context

COMPLETION_SECONDS = 4 * 3600.0
IMPORT_SECONDS = 4 * 3600.0
COPY_ATTEMPTS = 8
LOST_LOOKS = 4
"""How often a copy is looked for whose request was not answered: it may take a while to be seen."""

UNSEEN = 8
"""Answers that may not know a snapshot yet which was just made."""

FORGOTTEN = 3
"""Imports that died and are not listed any more, at most; one more is taken for how every import ends."""

_DEAD = frozenset({"deleted", "deleting", "error"})


class Snapshot:
    """The snapshots of an image."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def tags(self, name: str) -> dict[str, str]:
        """Return the tags of a snapshot."""
        return {**self._context.tags_dict, "Name": name}

    def create(self, ec2client: Any, snapshot_name: str, *, kms_key_id: str | None = None) -> str:
        """Return the id of the snapshot of that name, made from the object in S3 where there is none.

        It is completed, tagged and in the client's region. Raises AwsError.
        """
        region = ec2client.meta.region_name
        found = observe(ec2client, (), [snapshot_name]).snapshots.get(snapshot_name)
        snapshot = found.id if found else self._import(ec2client, region, snapshot_name, kms_key_id)
        self.wait(ec2client, region, {snapshot_name: snapshot})
        return snapshot

    def _import(self, client: Any, region: str, name: str, kms_key_id: str | None) -> str:
        tasks = self._tasks(client, name)
        alive = [task for task in tasks if _status(task) not in _DEAD | {"completed"}]
        done = [task for task in tasks if _status(task) == "completed"]
        snapshot = next(self._untagged(client, done), None)
        if snapshot is None:
            task = (
                alive[0]["ImportTaskId"]
                if alive
                else self._begin_import(client, region, name, kms_key_id, len(tasks))
            )
            snapshot = self._wait_for_import(client, region, task)
        client.create_tags(Resources=[snapshot], Tags=tag_list(self.tags(name)))
        return snapshot

    @staticmethod
    def _tasks(client: Any, name: str) -> list[dict[str, Any]]:
        pages = client.get_paginator("describe_import_snapshot_tasks").paginate(
            Filters=[{"Name": "tag:Name", "Values": [name]}]
        )
        tasks = [task for page in pages for task in page.get("ImportSnapshotTasks", ())]
        # Not every implementation knows the filter.
        tasks = [task for task in tasks if tag_mapping(task.get("Tags")).get("Name") == name]
        return sorted(tasks, key=lambda task: str(task["ImportTaskId"]))

    @staticmethod
    def _untagged(client: Any, tasks: list[dict[str, Any]]) -> Iterator[str]:
        """Yield snapshots that were imported, but not given their name before the run was interrupted."""
        for task in tasks:
            snapshot = task.get("SnapshotTaskDetail", {}).get("SnapshotId")
            if not snapshot:
                continue
            try:
                found = client.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
            except Exception as error:
                if aws_code(error).startswith("InvalidSnapshot"):
                    continue
                raise
            if found and found[0]["State"] in ("pending", "completed") and not found_snapshot(found[0]).name:
                yield str(snapshot)

    def nameless(self, client: Any, name: str) -> list[str]:
        """Return the snapshots that were imported as ``name``, but never given that name."""
        return list(self._untagged(client, self._tasks(client, name)))

    def cancel_imports(self, client: Any, name: str) -> list[str]:
        """End the imports as ``name`` that are going on; return their ids."""
        cancelled = []
        for task in self._tasks(client, name):
            if _status(task) in _DEAD | {"completed"}:
                continue
            try:
                client.cancel_import_task(ImportTaskId=task["ImportTaskId"])
            except Exception as error:
                # It has ended meanwhile.
                if aws_code(error) not in ("IncorrectState", "InvalidConversionTaskId.Malformed"):
                    raise
                continue
            cancelled.append(str(task["ImportTaskId"]))
        return cancelled

    def _begin_import(
        self, client: Any, region: str, name: str, kms_key_id: str | None, generation: int
    ) -> str:
        context = self._context
        conf = context.configuration.s3
        assert conf is not None
        request: dict[str, Any] = {
            "Description": f"Import of {context.source.path.name}"[:255],
            "DiskContainer": {
                "Description": "",
                "Format": context.source.format.upper(),
                "UserBucket": {"S3Bucket": conf.bucket_name, "S3Key": context.source_sha256},
            },
            "RoleName": conf.import_role,
            "TagSpecifications": tag_specification("import-snapshot-task", self.tags(name)),
        }
        if kms_key_id is not None:
            request |= {"Encrypted": True, "KmsKeyId": kms_key_id}
        # A token of an import that is dead, and that AWS does not list any more, has that import for an answer.
        for number in range(generation, generation + FORGOTTEN + 1):
            token = client_token("ImportSnapshot", region, number, request)
            answer = client.import_snapshot(**request, ClientToken=token)
            if _status(answer) not in _DEAD:
                break
        context.emit(RegionState(region, "importing", name, answer["ImportTaskId"]))
        return str(answer["ImportTaskId"])

    def check_role(self) -> None:
        """Raise AwsError ``ami.role`` where EC2 has no role to read the bucket with; who may not ask, finds out."""
        context = self._context
        role = context.configuration.s3.import_role if context.configuration.s3 else ""
        try:
            context.clients("iam", context.home_region, once=True).get_role(RoleName=role)
        except Exception as error:
            if not from_aws(error):
                raise
            if aws_code(error) in ("NoSuchEntity", "NoSuchEntityException"):
                raise AwsError(
                    f"there is no role {role!r}, with which EC2 would read the image",
                    code="ami.role",
                    hint="create it as the documentation of VM Import says, or name another one",
                    place=("awspub", "s3", "import_role"),
                ) from error

    def _wait_for_import(self, client: Any, region: str, task_id: str) -> str:
        def snapshot() -> str | None:
            answer = client.describe_import_snapshot_tasks(ImportTaskIds=[task_id])
            for task in answer.get("ImportSnapshotTasks", ()):
                status, detail = _status(task), task.get("SnapshotTaskDetail", {})
                if status in _DEAD:
                    said = detail.get("StatusMessage") or status
                    raise AwsError(
                        f"the import {task_id} in {region} failed: {said}",
                        code="ami.import",
                        hint="check the image's format and the role's access to the bucket",
                        place=("awspub", "source", "path"),
                    )
                if status == "completed" and detail.get("SnapshotId"):
                    return str(detail["SnapshotId"])
            return None

        return wait_for(snapshot, pace=self._context.pace, timeout=IMPORT_SECONDS, what=f"import {task_id}")

    def start_copy(
        self, region: str, name: str, source_region: str, source_id: str, *, kms_key_id: str | None = None
    ) -> str:
        """Begin to copy a snapshot to ``region`` as ``name``; return the copy's id.

        This request has no token: where its answer is lost, the copy is looked for by its name.
        """
        context = self._context
        once = context.clients("ec2", region, once=True)
        request: dict[str, Any] = {
            "SourceRegion": source_region,
            "SourceSnapshotId": source_id,
            "TagSpecifications": tag_specification("snapshot", self.tags(name)),
        }
        if kms_key_id is not None:
            request |= {"Encrypted": True, "KmsKeyId": kms_key_id}
        for attempt in range(COPY_ATTEMPTS):
            try:
                snapshot = str(once.copy_snapshot(**request)["SnapshotId"])
                context.emit(RegionState(region, "copying", name, snapshot))
                return snapshot
            except Exception as error:
                if not from_aws(error):
                    raise
                if not is_transient(error) or attempt == COPY_ATTEMPTS - 1:
                    raise of_aws(error, "copy the snapshot", region=region) from error
                # What was refused was not made; what was lost may take a while to be seen.
                looks = 1 if aws_code(error) in THROTTLED else LOST_LOOKS
            context.pace.back_off(attempt)
            made = self._look_for_copy(region, name, looks=looks)
            if made is not None:
                return made
        raise AssertionError("unreachable")

    def _look_for_copy(self, region: str, name: str, *, looks: int) -> str | None:
        """Return the id of a snapshot that a request may have made whose answer did not come."""
        context = self._context
        for look in range(looks):
            if look:
                context.pace.back_off(look)
            found = find_snapshots(context.clients("ec2", region), "tag:Name", [name])
            alive = sorted((one.started, one.id) for one in found if one.state != "error")
            if alive:
                return alive[0][1]
        return None

    def copy(self, snapshot_name: str, source_region: str, destination_regions: list[str]) -> dict[str, str]:
        """Copy a snapshot to regions, where it is not there yet; return {region: id} of all, completed.

        Raises the AwsError of the first region that failed, when all others are done.
        """
        context = self._context
        origin = observe(context.clients("ec2", source_region), (), [snapshot_name]).snapshots.get(
            snapshot_name
        )
        if origin is None:
            raise AwsError(
                f"{source_region} has no snapshot {snapshot_name}",
                code="ami.snapshot",
                hint="create it first",
            )

        def work(region: str) -> str:
            client = context.clients("ec2", region)
            there = observe(client, (), [snapshot_name]).snapshots.get(snapshot_name)
            copy = there.id if there else self.start_copy(region, snapshot_name, source_region, origin.id)
            self.wait(client, region, {snapshot_name: copy})
            return copy

        outcomes = in_each(
            [region for region in destination_regions if region != source_region],
            work,
            pace=context.pace,
            doing="copy the snapshot",
        )
        for error in outcomes.errors.values():
            raise error
        return outcomes.results

    def wait(self, client: Any, region: str, snapshots: Mapping[str, str]) -> None:
        """Wait until all of {name: id} are completed, with one request for them. Raises AwsError."""
        wanted = list(dict.fromkeys(snapshots.values()))
        if not wanted:
            return
        unseen = 0

        def completed() -> bool | None:
            nonlocal unseen
            try:
                found = client.describe_snapshots(SnapshotIds=wanted)["Snapshots"]
            except Exception as error:
                unseen += 1
                if aws_code(error) != "InvalidSnapshot.NotFound" or unseen > UNSEEN:
                    raise
                return None
            for one in found:
                if one["State"] == "error":
                    self._give_up(client, region, one)
            states = [one["State"] for one in found]
            return True if len(states) == len(wanted) and set(states) == {"completed"} else None

        what = f"the snapshots in {region}"
        wait_for(completed, pace=self._context.pace, timeout=COMPLETION_SECONDS, what=what)
        for name, snapshot in snapshots.items():
            self._context.emit(RegionState(region, "snapshot ready", name, snapshot))

    @staticmethod
    def _give_up(client: Any, region: str, facts: Mapping[str, Any]) -> None:
        """Delete a snapshot that failed, so that the next run begins anew. Raises AwsError."""
        client.delete_snapshot(SnapshotId=facts["SnapshotId"])
        said = facts.get("StateMessage") or "no reason is given"
        raise AwsError(
            f"the snapshot {facts['SnapshotId']} in {region} failed: {said}",
            code="ami.snapshot",
            hint="run again to make a new one",
            retryable=True,
        )


def _status(task: Mapping[str, Any]) -> str:
    return str(task.get("SnapshotTaskDetail", {}).get("Status", ""))
