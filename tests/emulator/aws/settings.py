"""What a test may set, as one object that travels as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

REGIONS = (
    "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2"
    " ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6"
    " ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2"
    " eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 me-west-1 mx-central-1 sa-east-1"
    " sa-west-1 us-central-1 us-east-1 us-east-2 us-south-1 us-west-1 us-west-2"
).split()
"""38 regions of the partition ``aws``. Two of them are invented, so that clients ask instead of knowing."""


@dataclass
class Rule:
    """Requests to which something happens; a field that is None matches everything."""

    error: str
    """An error code, or one of ``throttle``, ``expired`` (each in the words of the service that is
    asked), ``lost`` (carried out, then the connection is cut), ``cut`` (cut without being carried out)."""
    message: str = "refused by a rule of the emulator"
    service: str | None = None
    action: str | None = None
    region: str | None = None
    key: str | None = None
    """The access key id that signed."""
    skip: int = 0
    """So many matching requests pass before the rule begins."""
    times: int | None = None
    """It happens so many times; None is without end."""
    share: float = 1.0
    """The share of the matching requests, drawn with the seed."""
    seen: int = 0
    done: int = 0

    def matches(self, service: str, action: str, region: str, key: str) -> bool:
        wanted = (self.service, self.action, self.region, self.key)
        found = (service, action, region, key)
        return all(want is None or want == have for want, have in zip(wanted, found, strict=True))


@dataclass
class Hold:
    """Where the client of one access key is stopped for good, so that a test can kill it there."""

    key: str
    at: int
    """The number of the request, counted from 1 for this key."""
    performed: bool
    """Whether that request is carried out before its answer is withheld."""


@dataclass
class Settings:
    """The circumstances."""

    regions: list[str] = field(default_factory=lambda: list(REGIONS))
    not_opted_in: list[str] = field(default_factory=list)
    """Regions that exist but are not enabled for the account."""
    latency: float = 0.0
    """Seconds that every request takes at least."""
    pending: dict[str, float] = field(default_factory=dict)
    """Seconds that a ``snapshot`` (after CompleteSnapshot), ``copy``, ``import`` or ``image`` is pending."""
    invisible: float = 0.0
    """Seconds until a new image or snapshot is seen by describe calls: AWS is consistent in the end only."""
    image_access: dict[str, str] = field(default_factory=dict)
    """Region to the state of block public access for images; ``unblocked`` where it is not set."""
    snapshot_access: dict[str, str] = field(default_factory=dict)
    """The same for snapshots."""
    kms_keys: list[str] | None = None
    """The key ids, ARNs and aliases that exist; None accepts every one."""
    refused_keys: list[str] = field(default_factory=list)
    """Access key ids that do not exist."""
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Marketplace entity id to its details."""
    seed: int = 0
    rules: list[Rule] = field(default_factory=list)
    hold: Hold | None = None

    def update(self, changes: dict[str, Any]) -> None:
        """Take over ``changes``; a name that there is not is an error, not nothing."""
        known = {item.name for item in fields(self)}
        if not changes.keys() <= known:
            raise KeyError(f"no settings {sorted(changes.keys() - known)}")
        for name, value in changes.items():
            match name:
                case "rules":
                    self.rules = [Rule(**rule) for rule in value]
                case "hold":
                    self.hold = Hold(**value) if value else None
                case _:
                    setattr(self, name, value)

    def document(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return asdict(self)
