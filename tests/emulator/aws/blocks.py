"""The EBS direct API: snapshots written and read block by block."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from moto.core.responses import ActionResult
from moto.ebs.responses import EBSResponse

from .errors import Refused
from .filters import page
from .world import (
    ACCOUNT,
    BLOCK,
    FOREVER,
    GIB,
    Block,
    Region,
    Snapshot,
    World,
    checked_tags,
    checksum_of,
    pairs,
)


def get(region: Region, identifier: str) -> Snapshot:
    snapshot = region.snapshots.get(identifier)
    if snapshot is None:
        text = f"The snapshot '{identifier}' does not exist."
        raise Refused("ResourceNotFoundException", text, "SNAPSHOT_NOT_FOUND")
    return snapshot


def linear_checksum(blocks: dict[int, Block]) -> str:
    """Return the checksum of a snapshot: SHA-256 over the blocks' checksums in their order."""
    parts = b"".join(base64.b64decode(blocks[index].checksum) for index in sorted(blocks))
    return base64.b64encode(hashlib.sha256(parts).digest()).decode()


def invalid(reason: str, text: str) -> Refused:
    return Refused("ValidationException", text, reason)


class BlockCalls(EBSResponse):
    """One request to the EBS direct API."""

    world: World

    @property
    def here(self) -> Region:
        return self.world.region(self.region)

    def start_snapshot(self) -> ActionResult:
        names = "VolumeSize", "ParentSnapshotId", "Tags", "Description", "Encrypted", "KmsKeyArn", "Timeout"
        asked = {name: self._get_param(name) for name in names}
        size, token, minutes = asked["VolumeSize"], self._get_param("ClientToken"), asked["Timeout"] or 60
        if not isinstance(size, int) or not 1 <= size <= 65536:
            raise invalid("INVALID_VOLUME_SIZE", f"The volume size {size} is not between 1 and 65536 GiB")
        if not 10 <= minutes <= 4320:
            raise invalid("INVALID_PARAMETER_VALUE", "Timeout has to be between 10 and 4320 minutes")
        if asked["KmsKeyArn"] and not asked["Encrypted"]:
            raise invalid("INVALID_PARAMETER_VALUE", "KmsKeyArn requires Encrypted")
        if asked["ParentSnapshotId"] and asked["Encrypted"] is not None:
            raise invalid("INVALID_PARAMETER_VALUE", "Encrypted cannot be given together with a parent")
        try:
            tags = checked_tags(asked["Tags"] or [])
        except Refused as error:
            raise invalid("INVALID_TAG", error.message) from None
        with self.world.lock:
            known = self.world.once(self.here, "StartSnapshot", token, asked, "ConflictException")
            if known and known in self.here.snapshots:
                return ActionResult(self._started(self.here.snapshots[known]))
            parent = self._parent(asked["ParentSnapshotId"], size)
            now = self.world.clock.now()
            snapshot = Snapshot(
                id=self.world.new_id("snap-"),
                region=self.here.name,
                size=size,
                origin="direct",
                created=self.world.clock.date(),
                visible_at=self.world.times("snapshot")[0],
                ready_at=FOREVER,
                blocks=dict(parent.blocks) if parent else {},
                description=asked["Description"] or "",
                tags=tags,
                parent=parent.id if parent else None,
                encrypted=bool(asked["Encrypted"]) or bool(parent and parent.encrypted),
                kms_key=asked["KmsKeyArn"] or (parent.kms_key if parent else None),
                timeout=minutes * 60.0,
                touched=now,
            )
            self.here.snapshots[snapshot.id] = snapshot
            self.world.remember(self.here, "StartSnapshot", token, asked, snapshot.id)
            return ActionResult(self._started(snapshot))

    def _parent(self, identifier: str | None, size: int) -> Snapshot | None:
        if identifier is None:
            return None
        parent = get(self.here, identifier)
        if parent.state(self.world.clock.now()) != "completed":
            raise invalid("INVALID_SNAPSHOT_ID", "The parent snapshot is not completed")
        if size < parent.size:
            raise invalid("INVALID_VOLUME_SIZE", f"The volume is smaller than its parent's {parent.size} GiB")
        return parent

    def _started(self, snapshot: Snapshot) -> dict[str, Any]:
        return {
            "SnapshotId": snapshot.id,
            "OwnerId": ACCOUNT,
            "Status": snapshot.state(self.world.clock.now()),
            "StartTime": snapshot.created,
            "VolumeSize": snapshot.size,
            "BlockSize": BLOCK,
            "Tags": pairs(snapshot.tags),
            "Description": snapshot.description,
            "ParentSnapshotId": snapshot.parent,
            "KmsKeyArn": snapshot.kms_key,
        }

    def _open(self) -> Snapshot:
        """Return the snapshot of the request, which still takes blocks."""
        snapshot = get(self.here, self._get_param("SnapshotId"))
        snapshot.state(self.world.clock.now())
        if not snapshot.uploading or snapshot.origin != "direct":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot {snapshot.id} does not take blocks any more")
        return snapshot

    def put_snapshot_block(self) -> ActionResult:
        data, index, length = (
            self._get_param("BlockData"),
            self._get_param("BlockIndex"),
            self._get_param("DataLength"),
        )
        if isinstance(data, str):
            data = data.encode("latin-1")
        if length != BLOCK or len(data) != BLOCK:
            raise invalid("INVALID_BLOCK", f"A block has {BLOCK} bytes, not {len(data)} of {length}")
        if self._get_param("ChecksumAlgorithm") != "SHA256":
            raise invalid("INVALID_PARAMETER_VALUE", "ChecksumAlgorithm has to be SHA256")
        checksum = checksum_of(data)
        if self._get_param("Checksum") != checksum:
            raise invalid("INVALID_BLOCK", "The checksum does not match the data")
        if not 0 <= (self._get_param("Progress") or 0) <= 100:
            raise invalid("INVALID_PARAMETER_VALUE", "Progress has to be between 0 and 100")
        with self.world.lock:
            snapshot = self._open()
            if not 0 <= int(index) < snapshot.size * GIB // BLOCK:
                raise invalid("INVALID_BLOCK", f"Block {index} is outside of the volume")
            block = Block(data, checksum)
            snapshot.blocks[int(index)] = snapshot.written[int(index)] = block
            snapshot.touched = self.world.clock.now()
        return ActionResult({"Checksum": checksum, "ChecksumAlgorithm": "SHA256"})

    def complete_snapshot(self) -> ActionResult:
        with self.world.lock:
            snapshot = self._open()
            if self._get_param("ChangedBlocksCount") != len(snapshot.written):
                text = f"{len(snapshot.written)} blocks were written, not {self._get_param('ChangedBlocksCount')}"
                raise invalid("INVALID_PARAMETER_VALUE", text)
            if (given := self._get_param("Checksum")) is not None:
                how = self._get_param("ChecksumAlgorithm"), self._get_param("ChecksumAggregationMethod")
                if how != ("SHA256", "LINEAR"):
                    raise invalid("INVALID_PARAMETER_VALUE", "The checksum has to be SHA256 and LINEAR")
                if given != linear_checksum(snapshot.written):
                    raise invalid("INVALID_BLOCK", "The checksum of the snapshot does not match its blocks")
            snapshot.ready_at = self.world.times("snapshot")[1]
            snapshot.failed = self.world.known_key(snapshot.kms_key)
            state = snapshot.state(self.world.clock.now())
        return ActionResult({"Status": state})

    def _readable(self, identifier: str) -> Snapshot:
        snapshot = get(self.here, identifier)
        if snapshot.state(self.world.clock.now()) != "completed":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot {identifier} is not completed")
        return snapshot

    def _token(self, snapshot: Snapshot, index: int) -> str:
        seed = f"{snapshot.id}:{index}:{snapshot.blocks[index].checksum}"
        return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()

    def list_snapshot_blocks(self) -> ActionResult:
        start = self._get_param("StartingBlockIndex") or 0
        with self.world.lock:
            snapshot = self._readable(self._get_param("SnapshotId"))
            items = [
                {"BlockIndex": index, "BlockToken": self._token(snapshot, index)}
                for index in sorted(snapshot.blocks)
                if index >= start
            ]
        return self._listed("Blocks", items, snapshot)

    def list_changed_blocks(self) -> ActionResult:
        start = self._get_param("StartingBlockIndex") or 0
        with self.world.lock:
            first = self._readable(self._get_param("FirstSnapshotId"))
            second = self._readable(self._get_param("SecondSnapshotId"))
            items = []
            for index in sorted(first.blocks.keys() | second.blocks.keys()):
                if index < start or first.blocks.get(index) == second.blocks.get(index):
                    continue
                item: dict[str, Any] = {"BlockIndex": index}
                if index in first.blocks:
                    item["FirstBlockToken"] = self._token(first, index)
                if index in second.blocks:
                    item["SecondBlockToken"] = self._token(second, index)
                items.append(item)
        return self._listed("ChangedBlocks", items, second)

    def _listed(self, name: str, items: list[dict[str, Any]], snapshot: Snapshot) -> ActionResult:
        try:
            shown, token = page(
                items, self._get_param("MaxResults"), self._get_param("NextToken"), (100, 10000)
            )
        except Refused as error:
            raise invalid("INVALID_PAGE_TOKEN", error.message) from None
        return ActionResult(
            {
                name: shown,
                "NextToken": token,
                "ExpiryTime": self.world.clock.date(),
                "VolumeSize": snapshot.size,
                "BlockSize": BLOCK,
            }
        )

    def get_snapshot_block(self) -> ActionResult:
        with self.world.lock:
            snapshot, index = (
                self._readable(self._get_param("SnapshotId")),
                int(self._get_param("BlockIndex")),
            )
            if index not in snapshot.blocks:
                raise Refused("ResourceNotFoundException", f"There is no block {index}", "SNAPSHOT_NOT_FOUND")
            if self._get_param("BlockToken") != self._token(snapshot, index):
                raise invalid("INVALID_BLOCK_TOKEN", "The block token does not belong to the block")
            block = snapshot.blocks[index]
        return ActionResult(
            {
                "DataLength": BLOCK,
                "BlockData": block.data,
                "Checksum": block.checksum,
                "ChecksumAlgorithm": "SHA256",
            }
        )


def blocks_class(world: World) -> type[BlockCalls]:
    """Return the class that answers the EBS direct API's requests on ``world``."""

    class Ebs(BlockCalls):
        pass

    Ebs.world = world
    return Ebs
