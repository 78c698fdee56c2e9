"""What there is: regions with their images, snapshots and import tasks, and the clock.

States follow from the clock: nothing runs in the background, so a test may also move the clock.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from moto.core import DEFAULT_ACCOUNT_ID

from .errors import Refused
from .settings import Settings

ACCOUNT = DEFAULT_ACCOUNT_ID
BLOCK = 512 * 1024
GIB = 1024**3

TAG_LIMIT = 50
FOREVER = float("inf")


class Block(NamedTuple):
    """One block of a snapshot and the base64 of its SHA-256."""

    data: bytes
    checksum: str


def checksum_of(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class Clock:
    """Seconds that can be moved forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.monotonic() + self.offset

    def date(self) -> datetime.datetime:
        """Return the date and time of the emulated world, in UTC and naive as moto has them."""
        moved = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.offset)
        return moved.replace(tzinfo=None)


@dataclass
class Snapshot:
    """An EBS snapshot, wherever it comes from."""

    id: str
    region: str
    size: int
    """GiB."""
    origin: str
    """``direct``, ``copy`` or ``import``."""
    created: datetime.datetime
    visible_at: float
    ready_at: float
    """When it is completed; `FOREVER` while blocks are still written."""
    blocks: dict[int, Block]
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    source: str | None = None
    encrypted: bool = False
    kms_key: str | None = None
    failed: str | None = None
    """Why it ends in the state ``error``."""
    users: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    written: dict[int, Block] = field(default_factory=dict)
    """What was put by EBS direct, without the parent's blocks."""
    timeout: float = FOREVER
    """Seconds without a new block after which an upload fails."""
    touched: float = 0.0

    @property
    def uploading(self) -> bool:
        return self.ready_at == FOREVER and self.failed is None

    def state(self, now: float) -> str:
        if self.uploading and now > self.touched + self.timeout:
            self.failed, self.ready_at = "no block was written for too long", self.touched + self.timeout
        if now < self.ready_at:
            return "pending"
        return "error" if self.failed else "completed"


@dataclass
class Image:
    """An AMI."""

    id: str
    region: str
    name: str
    created: datetime.datetime
    visible_at: float
    ready_at: float
    architecture: str
    boot_mode: str | None
    root_device_name: str
    mappings: list[dict[str, Any]]
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    permissions: list[dict[str, str]] = field(default_factory=list)
    ena: bool = False
    sriov: str | None = None
    tpm: str | None = None
    imds: str | None = None
    uefi_data: str | None = None
    billing_products: list[str] = field(default_factory=list)
    source: tuple[str, str] | None = None
    deprecated: datetime.datetime | None = None
    protected: bool = False
    disabled: bool = False

    def state(self, now: float) -> str:
        if now < self.ready_at:
            return "pending"
        return "disabled" if self.disabled else "available"

    @property
    def snapshots(self) -> list[str]:
        """The ids of the snapshots that it is made of."""
        return [item["Ebs"]["SnapshotId"] for item in self.mappings if item.get("Ebs", {}).get("SnapshotId")]

    @property
    def public(self) -> bool:
        return {"Group": "all"} in self.permissions


@dataclass
class Task:
    """A task of ImportSnapshot."""

    id: str
    region: str
    done_at: float
    snapshot: str | None
    """The snapshot that is there when it is done, None if it fails."""
    failed: str | None
    detail: dict[str, Any]
    description: str
    tags: dict[str, str]
    cancelled: bool = False

    def state(self, now: float) -> str:
        if self.cancelled:
            return "deleted"
        if now < self.done_at:
            return "active"
        return "deleted" if self.failed else "completed"


@dataclass
class Region:
    """What there is in one region."""

    name: str
    images: dict[str, Image] = field(default_factory=dict)
    gone_images: set[str] = field(default_factory=set)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    tokens: dict[tuple[str, str], tuple[dict[str, Any], str]] = field(default_factory=dict)
    """(action, client token) to the parameters of that time and the id that came of them."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What was published to SNS."""


class World:
    """Everything, with one lock for all changes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings = Settings()
        self.clock = Clock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, the settings too."""
        self.settings = Settings()
        self.clock.offset = 0.0
        self.regions: dict[str, Region] = {}
        self.change_sets: dict[str, dict[str, Any]] = {}
        self.last_id = 0

    def region(self, name: str) -> Region:
        with self.lock:
            return self.regions.setdefault(name, Region(name))

    def new_id(self, prefix: str) -> str:
        """Return an id in AWS's form: no two are alike, and they do not sort by age."""
        with self.lock:
            self.last_id += 1
            return prefix + hashlib.sha256(f"{prefix}{self.last_id}".encode()).hexdigest()[:17]

    def times(self, kind: str) -> tuple[float, float]:
        """Return from when on a new thing is seen, and from when on it is ready."""
        now = self.clock.now()
        return now + self.settings.invisible, now + self.settings.pending.get(kind, 0.0)

    def known_key(self, key: str | None) -> str | None:
        """Return why a snapshot with this KMS key fails later, None if the key exists."""
        keys = self.settings.kms_keys
        if key is None or keys is None or key in keys:
            return None
        return "Given key ID is not accessible"

    def once(
        self, region: Region, action: str, token: str | None, parameters: dict[str, Any], mismatch: str
    ) -> str | None:
        """Return what the same request made before, None if it is new.

        Raises: Refused with the code ``mismatch`` if the token was used with other parameters.
        """
        found = region.tokens.get((action, token)) if token else None
        if found is None:
            return None
        if found[0] != parameters:
            raise Refused(mismatch, "The client token was used before with different parameters.")
        return found[1]

    def remember(
        self, region: Region, action: str, token: str | None, parameters: dict[str, Any], made: str
    ) -> None:
        """Keep what a request with a client token made."""
        if token:
            region.tokens[action, token] = (parameters, made)


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS writes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def checked_tags(pairs: list[dict[str, str]], present: dict[str, str] | None = None) -> dict[str, str]:
    """Return the tags of a request as a dictionary.

    Raises: Refused for what AWS does not take: too many, reserved or repeated keys, too long ones.
    """
    tags: dict[str, str] = {}
    for pair in pairs:
        key, value = pair.get("Key"), pair.get("Value", "")
        if not key or len(key) > 128:
            raise Refused(
                "InvalidParameterValue", "Tag key exceeds the maximum length of 128 characters or is empty"
            )
        if len(value) > 256:
            raise Refused("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
        if key.lower().startswith("aws:"):
            raise Refused(
                "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"
            )
        if key in tags:
            raise Refused("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        tags[key] = value
    if len({**(present or {}), **tags}) > TAG_LIMIT:
        raise Refused("TagLimitExceeded", f"More than {TAG_LIMIT} tags specified")
    return tags
