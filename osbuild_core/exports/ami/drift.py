"""Where an AMI is not what the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.exports.ami.names import KEEP_TAG, SHA256_TAG, SOURCE_PREFIX, snapshot_name
from osbuild_core.exports.ami.observe import FoundImage, FoundSnapshot

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image


class ImageVerificationErrors(StrEnum):
    """What may be wrong with an image."""

    NOT_EXIST = "image does not exist"
    STATE_NOT_AVAILABLE = "image not available"
    ROOT_DEVICE_TYPE = "root device type mismatch"
    ROOT_DEVICE_VOLUME_TYPE = "root device volume type mismatch"
    ROOT_DEVICE_VOLUME_SIZE = "root device volume size mismatch"
    ROOT_DEVICE_SNAPSHOT_NOT_COMPLETE = "root device snapshot not complete"
    ROOT_DEVICE_SNAPSHOT = "root device snapshot mismatch"
    ROOT_DEVICE_NAME = "root device name mismatch"
    ARCHITECTURE = "architecture mismatch"
    DESCRIPTION = "description mismatch"
    BOOT_MODE = "boot mode mismatch"
    TAGS = "tags mismatch"
    TPM_SUPPORT = "tpm support mismatch"
    IMDS_SUPPORT = "imds support mismatch"
    BILLING_PRODUCTS = "billing products mismatch"
    DEPRECATION = "deprecation date mismatch"
    ENCRYPTION = "encryption mismatch"


class Drift(NamedTuple):
    """One difference. ``correctable`` ones are set right by ``create``, the others need a new image."""

    error: ImageVerificationErrors
    wanted: str
    found: str
    correctable: bool = False


def image_tags(common: Mapping[str, str], image: Image) -> dict[str, str]:
    """Return the tags of an AMI: what all resources have, its own, and what ``keep`` finds it by."""
    keep = {f"{KEEP_TAG}{group}": "" for group in image.groups or ()} if image.keep is not None else {}
    return {**common, **image.tags, **keep}


def missing_tags(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that are to be set. Where the image came from is not written anew."""
    return {
        key: value
        for key, value in wanted.items()
        if found.get(key) != value and not (key.startswith(SOURCE_PREFIX) and key in found)
    }


def wanted_deprecation(image: Image) -> datetime | None:
    """Return the date of deprecation in UTC, to the minute, which is what EC2 keeps."""
    when = image.deprecate_at
    if when is None:
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.replace(second=0, microsecond=0)


def _found_deprecation(facts: Mapping[str, Any]) -> datetime | None:
    text = str(facts.get("DeprecationTime") or "")
    try:
        found = datetime.fromisoformat(text).replace(second=0, microsecond=0)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def compare(
    name: str,
    image: Image,
    found: FoundImage,
    *,
    tags: Mapping[str, str],
    architecture: str,
    snapshot: FoundSnapshot | None = None,
    sha256: str | None = None,
) -> tuple[Drift, ...]:
    """Return how ``found`` differs from ``image``.

    ``tags`` are those it is to have; ``snapshot`` is its root snapshot, where that was looked up; ``sha256`` is
    the digest of the source, where that is known.
    """
    errors, facts, root = ImageVerificationErrors, found.facts, found.root
    drifts: list[Drift] = []

    def differ(
        error: ImageVerificationErrors, wanted: object, there: object, correctable: bool = False
    ) -> None:
        if wanted != there:
            drifts.append(Drift(error, _text(wanted), _text(there), correctable))

    differ(errors.STATE_NOT_AVAILABLE, "available", facts.get("State"))
    differ(errors.ARCHITECTURE, architecture, facts.get("Architecture"))
    differ(
        errors.DESCRIPTION, image.description or "", facts.get("Description") or "", bool(image.description)
    )
    differ(errors.BOOT_MODE, image.boot_mode, facts.get("BootMode"))
    differ(errors.TPM_SUPPORT, image.tpm_support, facts.get("TpmSupport"))
    differ(errors.IMDS_SUPPORT, image.imds_support, facts.get("ImdsSupport"))
    differ(errors.ROOT_DEVICE_TYPE, "ebs", facts.get("RootDeviceType"))
    differ(errors.ROOT_DEVICE_NAME, image.root_device_name, facts.get("RootDeviceName"))
    differ(errors.ROOT_DEVICE_VOLUME_TYPE, image.root_device_volume_type, root.get("VolumeType"))
    differ(errors.ROOT_DEVICE_VOLUME_SIZE, image.root_device_volume_size, root.get("VolumeSize"))
    if image.deprecate_at is not None:
        differ(errors.DEPRECATION, wanted_deprecation(image), _found_deprecation(facts), True)
    lacking = missing_tags(tags, found.tags)
    if lacking:
        there = {key: found.tags[key] for key in lacking if key in found.tags}
        drifts.append(Drift(errors.TAGS, _text(lacking), _text(there), True))
    if snapshot is not None:
        differ(errors.ROOT_DEVICE_SNAPSHOT_NOT_COMPLETE, "completed", snapshot.state)
        differ(errors.ENCRYPTION, image.kms_key_id is not None, snapshot.encrypted)
        _compare_snapshot(name, image, found, snapshot, sha256, drifts)
    return tuple(drifts)


def _compare_snapshot(
    name: str,
    image: Image,
    found: FoundImage,
    snapshot: FoundSnapshot,
    sha256: str | None,
    drifts: list[Drift],
) -> None:
    """Compare by the snapshot's name, into which the source, the billing products and the key go."""
    if found.root.get("SnapshotId") != snapshot.id or not snapshot.name:
        return
    digest = sha256 or found.tags.get(SHA256_TAG)
    if not digest:
        return

    def expected(billing: list[str]) -> str:
        return snapshot_name(
            digest,
            name,
            separate=image.separate_snapshot,
            billing_products=billing,
            kms_key_id=image.kms_key_id,
        )

    billing = image.billing_products or []
    if snapshot.name == expected(billing):
        return
    error = ImageVerificationErrors.ROOT_DEVICE_SNAPSHOT
    if billing and snapshot.name == expected([]):
        error = ImageVerificationErrors.BILLING_PRODUCTS
    drifts.append(Drift(error, expected(billing), snapshot.name))


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items()) or "none"
    return str(value)
