"""EC2's calls on snapshots."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from .errors import Refused
from .filters import matches, page
from .request import Ec2Request
from .world import ACCOUNT, Image, Region, Snapshot, World, pairs


def get(region: Region, identifier: str | None) -> Snapshot:
    """Return a snapshot or refuse."""
    snapshot = region.snapshots.get(identifier or "")
    if snapshot is None:
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{identifier}' does not exist.")
    return snapshot


def completed(world: World, region: Region, identifier: str | None) -> Snapshot:
    """Return a snapshot that is ready to be used, or refuse."""
    snapshot = get(region, identifier)
    state = snapshot.state(world.clock.now())
    if state != "completed":
        raise Refused("IncorrectState", f"Snapshot ({identifier}) is in {state} state, expected completed")
    return snapshot


def users_of(region: Region, identifier: str) -> list[Image]:
    """Return the images that stand on a snapshot."""
    return [image for image in region.images.values() if identifier in image.snapshots]


def copied(
    world: World, source: Snapshot, region: Region, *, encrypted: bool, kms_key: str | None, **rest: Any
) -> Snapshot:
    """Make a copy of ``source`` in ``region``."""
    visible, ready = world.times("copy")
    snapshot = Snapshot(
        id=world.new_id("snap-"),
        region=region.name,
        size=source.size,
        origin="copy",
        created=world.clock.date(),
        visible_at=visible,
        ready_at=ready,
        blocks=source.blocks,
        source=source.id,
        encrypted=encrypted or source.encrypted,
        kms_key=kms_key or (source.kms_key if source.encrypted else None),
        failed=world.known_key(kms_key),
        **rest,
    )
    region.snapshots[snapshot.id] = snapshot
    return snapshot


def described(world: World, snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as DescribeSnapshots shows it."""
    now = world.clock.now()
    state = snapshot.state(now)
    return {
        "SnapshotId": snapshot.id,
        "OwnerId": ACCOUNT,
        "State": state,
        "StateMessage": snapshot.failed if state == "error" else None,
        "Progress": "100%" if state == "completed" else "0%",
        "StartTime": snapshot.created,
        "VolumeId": "vol-ffffffff",
        "VolumeSize": snapshot.size,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "KmsKeyId": snapshot.kms_key,
        "Tags": pairs(snapshot.tags),
        "StorageTier": "standard",
    }


class SnapshotCalls(Ec2Request):
    """What DescribeSnapshots and its kin do here."""

    def copy_snapshot(self) -> ActionResult:
        self.error_on_dryrun()
        tags = self.tags_for("snapshot")
        encrypted, kms_key = self._get_bool_param("Encrypted", False), self._get_param("KmsKeyId")
        if kms_key and not encrypted:
            raise Refused("InvalidParameterDependency", "KmsKeyId requires Encrypted to be set")
        name = self._get_param("SourceRegion")
        if name not in self.world.settings.regions:
            raise Refused("InvalidParameterValue", f"Invalid source region {name}")
        with self.world.lock:
            source = completed(self.world, self.world.region(name), self._get_param("SourceSnapshotId"))
            text = self._get_param("Description", f"[Copied {source.id} from {name}]")
            made = copied(
                self.world,
                source,
                self.here,
                encrypted=encrypted,
                kms_key=kms_key,
                description=text,
                tags=tags,
            )
        return ActionResult({"SnapshotId": made.id, "Tags": pairs(tags)})

    def describe_snapshots(self) -> ActionResult:
        wanted, ids = self._filters_from_querystring(), self._get_param("SnapshotIds", [])
        owners, others = self._get_param("OwnerIds", []), self._get_param("RestorableByUserIds", [])
        now = self.world.clock.now()
        with self.world.lock:
            there = [item for item in self.here.snapshots.values() if item.visible_at <= now]
            for missing in set(ids) - {item.id for item in there}:
                raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{missing}' does not exist.")
            found = [item for item in there if not ids or item.id in ids]
            if (owners and not {"self", ACCOUNT} & set(owners)) or (
                others and not {"self", ACCOUNT} & set(others)
            ):
                found = []
            shown = [
                described(self.world, item)
                for item in found
                if matches(wanted, self.snapshot_fields(item), item.tags)
            ]
        if ids and self._get_param("MaxResults"):
            raise Refused("InvalidParameterCombination", "SnapshotIds and MaxResults exclude each other")
        items, token = page(shown, self._get_param("MaxResults"), self._get_param("NextToken"), (5, 1000))
        return ActionResult({"Snapshots": items, "NextToken": token})

    def snapshot_fields(self, item: Snapshot) -> dict[str, Any]:
        """What the filters of DescribeSnapshots look at."""
        return {
            "snapshot-id": item.id,
            "status": item.state(self.world.clock.now()),
            "owner-id": ACCOUNT,
            "description": item.description,
            "encrypted": item.encrypted,
            "volume-size": str(item.size),
            "start-time": item.created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "progress": None,
            "volume-id": "vol-ffffffff",
            "owner-alias": None,
            "storage-tier": "standard",
        }

    def delete_snapshot(self) -> EmptyResult:
        self.error_on_dryrun()
        with self.world.lock:
            snapshot = get(self.here, self._get_param("SnapshotId"))
            for image in users_of(self.here, snapshot.id):
                text = f"The snapshot {snapshot.id} is currently in use by {image.id}"
                raise Refused("InvalidSnapshot.InUse", text)
            del self.here.snapshots[snapshot.id]
        return EmptyResult()

    def describe_snapshot_attribute(self) -> ActionResult:
        if self._get_param("Attribute") != "createVolumePermission":
            raise Refused("InvalidParameterValue", "only createVolumePermission is emulated")
        with self.world.lock:
            snapshot = get(self.here, self._get_param("SnapshotId"))
            given = [{"Group": group} for group in sorted(snapshot.groups)]
            given += [{"UserId": user} for user in sorted(snapshot.users)]
        return ActionResult({"SnapshotId": snapshot.id, "CreateVolumePermissions": given})

    def modify_snapshot_attribute(self) -> EmptyResult:
        self.error_on_dryrun()
        change = self._get_param("CreateVolumePermission", {})
        add, remove = list(change.get("Add", [])), list(change.get("Remove", []))
        given = [{"UserId": user} for user in self._get_param("UserIds", [])]
        given += [{"Group": group} for group in self._get_param("GroupNames", [])]
        if given:
            match self._get_param("OperationType"):
                case "add":
                    add += given
                case "remove":
                    remove += given
                case other:
                    raise Refused("InvalidParameterValue", f"invalid operation type {other}")
        if not add and not remove:
            raise Refused("MissingParameter", "The request must contain permissions to add or to remove")
        with self.world.lock:
            snapshot = get(self.here, self._get_param("SnapshotId"))
            self._check_sharing(snapshot, add + remove, public={"Group": "all"} in add)
            for item in add:
                snapshot.users.update({item["UserId"]} if "UserId" in item else ())
                snapshot.groups.update({item["Group"]} if "Group" in item else ())
            for item in remove:
                snapshot.users.discard(item.get("UserId", ""))
                snapshot.groups.discard(item.get("Group", ""))
        return EmptyResult()

    def _check_sharing(self, snapshot: Snapshot, items: list[dict[str, str]], public: bool) -> None:
        for item in items:
            user, group = item.get("UserId"), item.get("Group")
            if user is not None and not (len(user) == 12 and user.isdigit()):
                raise Refused("InvalidUserID.Malformed", f"Invalid user id: {user}")
            if group is not None and group != "all":
                raise Refused("InvalidGroup.NotFound", f"The group '{group}' is not known")
        if snapshot.state(self.world.clock.now()) == "error":
            raise Refused("IncorrectState", f"Snapshot ({snapshot.id}) is in error state")
        if public and snapshot.encrypted:
            raise Refused("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
        if public and self.world.settings.snapshot_access.get(self.here.name, "unblocked") != "unblocked":
            raise Refused(
                "OperationNotPermitted", "Block public access for snapshots is enabled in this Region"
            )

    def get_snapshot_block_public_access_state(self) -> ActionResult:
        state = self.world.settings.snapshot_access.get(self.here.name, "unblocked")
        return ActionResult({"State": state, "ManagedBy": "account"})

    def get_ebs_encryption_by_default(self) -> ActionResult:
        return ActionResult({"EbsEncryptionByDefault": False})

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        return ActionResult({"KmsKeyId": "alias/aws/ebs"})
