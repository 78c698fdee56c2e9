"""EC2's import of snapshots from objects in S3."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from .errors import Refused
from .filters import matches, page
from .request import Ec2Request
from .world import ACCOUNT, BLOCK, GIB, Block, Snapshot, Task, World, checksum_of

FORMATS = {"raw": "raw", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx"}
"""What ImportSnapshot takes, and what qemu-img calls it."""


class NotADisk(Exception):
    """The object is not what it was said to be; AWS says so in the task, not at once."""


def blocks_of(path: Path) -> dict[int, Block]:
    """Return the blocks of a raw image that are not zero."""
    found: dict[int, Block] = {}
    with path.open("rb") as file:
        for index in range(-(-path.stat().st_size // BLOCK)):
            data = file.read(BLOCK)
            if data.count(0) != len(data):
                data = data.ljust(BLOCK, b"\0")
                found[index] = Block(data, checksum_of(data))
    return found


def detected(data: bytes) -> str:
    """Return the format that the bytes of an object are in."""
    if data.startswith(b"KDMV"):
        return "vmdk"
    if data.startswith(b"vhdxfile"):
        return "vhdx"
    if data.startswith(b"conectix") or data[-512:].startswith(b"conectix"):
        return "vhd"
    if data.startswith(b"QFI\xfb"):
        return "qcow2"
    return "raw"


def disk(data: bytes, kind: str) -> tuple[int, dict[int, Block]]:
    """Return the size in GiB and the blocks of the disk in an object.

    Raises: NotADisk if it is not in the format that was named.
    """
    found = detected(data)
    if found != kind:
        raise NotADisk(
            f"ClientError: Disk validation failed [Unsupported {kind.upper()} file: it is {found}]"
        )
    with tempfile.TemporaryDirectory(prefix="emulator-import-") as directory:
        source, raw = Path(directory, "source"), Path(directory, "raw")
        source.write_bytes(data)
        if kind == "raw":
            raw = source
        else:
            command = ["qemu-img", "convert", "-f", FORMATS[kind], "-O", "raw", str(source), str(raw)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise NotADisk(f"ClientError: Disk validation failed [{done.stderr.strip()}]")
        size = raw.stat().st_size
        return max(1, -(-size // GIB)), blocks_of(raw)


def described(world: World, task: Task, state: str | None = None) -> dict[str, Any]:
    """Return a task as DescribeImportSnapshotTasks shows it, in the state that it has or the one given."""
    state = state or task.state(world.clock.now())
    detail = {**task.detail, "Description": task.description, "Status": state}
    match state:
        case "active":
            detail |= {"Progress": "19", "StatusMessage": "converting"}
        case "completed":
            detail |= {"SnapshotId": task.snapshot}
        case _:
            detail |= {"StatusMessage": task.failed or "cancelled by user"}
    tags = [{"Key": key, "Value": value} for key, value in task.tags.items()]
    return {
        "ImportTaskId": task.id,
        "Description": task.description,
        "SnapshotTaskDetail": detail,
        "Tags": tags,
    }


class ImportCalls(Ec2Request):
    """What ImportSnapshot and its kin do here."""

    def import_snapshot(self) -> ActionResult:
        self.error_on_dryrun()
        tags = self.tags_for("import-snapshot-task")
        container = self._get_param("DiskContainer") or {}
        kind, place = str(container.get("Format", "")).lower(), container.get("UserBucket") or {}
        if kind not in FORMATS:
            raise Refused("InvalidParameter", f"The disk format {kind or 'none'} is not supported")
        role = self._get_param("RoleName", "vmimport")
        if all(known.name != role for known in iam_backends[ACCOUNT]["aws"].roles.values()):
            text = f"The service role {role} provided does not exist or does not have sufficient permissions"
            raise Refused("InvalidParameter", text)
        encrypted, kms_key = self._get_bool_param("Encrypted", False), self._get_param("KmsKeyId")
        if kms_key and not encrypted:
            raise Refused("InvalidParameterDependency", "KmsKeyId requires Encrypted to be set")
        token = self._get_param("ClientToken")
        asked = {"bucket": place.get("S3Bucket"), "key": place.get("S3Key"), "format": kind, "kms": kms_key}
        with self.world.lock:
            known = self.world.once(self.here, "ImportSnapshot", token, asked, "IdempotentParameterMismatch")
            if known:
                return ActionResult(described(self.world, self.here.tasks[known]))
        data = self._object(place)
        failed, size, blocks = None, 1, {}
        try:
            size, blocks = disk(data, kind)
        except NotADisk as error:
            failed = str(error)
        detail = {
            "DiskImageSize": float(len(data)),
            "Format": kind.upper(),
            "UserBucket": place,
            "Encrypted": encrypted,
            "KmsKeyId": kms_key,
        }
        with self.world.lock:
            task = Task(
                id=self.world.new_id("import-snap-"),
                region=self.here.name,
                done_at=self.world.times("import")[1],
                snapshot=None,
                failed=failed or self.world.known_key(kms_key),
                detail=detail,
                description=self._get_param("Description", ""),
                tags=tags,
            )
            if task.failed is None:
                task.snapshot = self._snapshot(task, size, blocks, encrypted, kms_key).id
            self.here.tasks[task.id] = task
            self.world.remember(self.here, "ImportSnapshot", token, asked, task.id)
            # However quick it is, what is asked for has only begun.
            return ActionResult(described(self.world, task, "active"))

    def _snapshot(
        self, task: Task, size: int, blocks: dict[int, Block], encrypted: bool, kms_key: str | None
    ) -> Snapshot:
        """Make the snapshot that appears, without a tag, when the task is done."""
        snapshot = Snapshot(
            id=self.world.new_id("snap-"),
            region=self.here.name,
            size=size,
            origin="import",
            created=self.world.clock.date(),
            visible_at=task.done_at,
            ready_at=task.done_at + self.world.settings.pending.get("snapshot", 0.0),
            blocks=blocks,
            description=f"Created by AWS-VMImport service for {task.id}",
            encrypted=encrypted,
            kms_key=kms_key,
        )
        self.here.snapshots[snapshot.id] = snapshot
        return snapshot

    def _object(self, place: dict[str, str]) -> bytes:
        """Return the bytes of the object that is imported."""
        backend = s3_backends[ACCOUNT]["aws"]
        name, key = place.get("S3Bucket", ""), place.get("S3Key", "")
        try:
            bucket = backend.get_bucket(name)
        except MissingBucket:
            raise Refused("InvalidParameter", f"The S3 bucket does not exist: {name}") from None
        if bucket.region_name != self.here.name:
            text = f"The bucket {name} is in {bucket.region_name}, not in {self.here.name}"
            raise Refused("InvalidParameter", text)
        found = backend.get_object(name, key)
        if found is None:
            raise Refused(
                "InvalidParameter", f"The S3 object does not exist or is not accessible: {name}/{key}"
            )
        data: bytes = found.value
        return data

    def describe_import_snapshot_tasks(self) -> ActionResult:
        wanted, ids = self._filters_from_querystring(), self._get_param("ImportTaskIds", [])
        with self.world.lock:
            for missing in set(ids) - self.here.tasks.keys():
                raise Refused("InvalidConversionTaskId.Malformed", f"The task '{missing}' does not exist")
            found = [task for task in self.here.tasks.values() if not ids or task.id in ids]
            now = self.world.clock.now()
            shown = [
                described(self.world, task)
                for task in found
                if matches(wanted, {"task-state": task.state(now)}, task.tags)
            ]
        items, token = page(shown, self._get_param("MaxResults"), self._get_param("NextToken"), (1, 1000))
        return ActionResult({"ImportSnapshotTasks": items, "NextToken": token})

    def cancel_import_task(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            task = self.here.tasks.get(self._get_param("ImportTaskId", ""))
            if task is None:
                raise Refused("InvalidConversionTaskId.Malformed", "The task does not exist")
            before = task.state(self.world.clock.now())
            if before == "completed":
                raise Refused("IncorrectState", f"The task {task.id} is completed")
            task.cancelled = True
            self.here.snapshots.pop(task.snapshot or "", None)
        return ActionResult({"ImportTaskId": task.id, "PreviousState": before, "State": "deleting"})
