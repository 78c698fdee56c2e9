"""What a test sees of the world besides AWS's own calls."""

from __future__ import annotations

import hashlib
from typing import Any

from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.ssm.models import ssm_backends

from .world import ACCOUNT, Block, Image, Region, Snapshot, Task, World


def state(world: World) -> dict[str, Any]:
    """Return everything that there is, for JSON; what is not visible yet is there too."""
    with world.lock:
        return {
            "regions": {name: _region(world, world.region(name)) for name in world.settings.regions},
            "buckets": _buckets(),
            "change_sets": {
                key: {"applied": item["applied"], "changes": item["changes"]}
                for key, item in world.change_sets.items()
            },
            "entities": world.settings.entities,
        }


def _region(world: World, region: Region) -> dict[str, Any]:
    now = world.clock.now()
    return {
        "images": {item.id: _image(item, now) for item in region.images.values()},
        "snapshots": {item.id: _snapshot(item, now) for item in region.snapshots.values()},
        "tasks": {item.id: _task(item, now) for item in region.tasks.values()},
        "parameters": _parameters(region.name),
        "topics": _topics(region.name),
        "messages": region.messages,
    }


def _image(item: Image, now: float) -> dict[str, Any]:
    return {
        "name": item.name,
        "state": item.state(now),
        "description": item.description,
        "architecture": item.architecture,
        "boot_mode": item.boot_mode,
        "tpm": item.tpm,
        "imds": item.imds,
        "ena": item.ena,
        "sriov": item.sriov,
        "uefi_data": item.uefi_data,
        "billing_products": item.billing_products,
        "root_device_name": item.root_device_name,
        "mappings": item.mappings,
        "tags": item.tags,
        "permissions": sorted(item.permissions, key=str),
        "deprecated": item.deprecated.isoformat() if item.deprecated else None,
        "protected": item.protected,
        "disabled": item.disabled,
    }


def _snapshot(item: Snapshot, now: float) -> dict[str, Any]:
    return {
        "state": item.state(now),
        "failed": item.failed,
        "size": item.size,
        "origin": item.origin,
        "description": item.description,
        "tags": item.tags,
        "parent": item.parent,
        "source": item.source,
        "encrypted": item.encrypted,
        "kms_key": item.kms_key,
        "users": sorted(item.users),
        "groups": sorted(item.groups),
        "blocks": len(item.blocks),
        "written": len(item.written),
        "content": _content(item.blocks),
    }


def _task(item: Task, now: float) -> dict[str, Any]:
    return {
        "state": item.state(now),
        "failed": item.failed,
        "snapshot": item.snapshot,
        "tags": item.tags,
        "format": item.detail["Format"],
    }


def _parameters(region: str) -> dict[str, Any]:
    found = ssm_backends[ACCOUNT]
    if region not in found:
        return {}
    return {
        name: {
            "value": versions[-1].value,
            "type": versions[-1].parameter_type,
            "data_type": versions[-1].data_type,
            "description": versions[-1].description,
            "version": versions[-1].version,
        }
        for name, versions in found[region]._parameters.items()
        if versions and not name.startswith("/aws/")
    }


def _topics(region: str) -> list[str]:
    found = sns_backends[ACCOUNT]
    return list(found[region].topics) if region in found else []


def _buckets() -> dict[str, Any]:
    found = s3_backends[ACCOUNT]["aws"]
    return {
        name: {
            "region": bucket.region_name,
            "objects": {
                key: {"size": item.size, "tags": found.tagger.get_tag_dict_for_resource(item.arn)}
                for key, item in bucket.keys.items()
            },
            "uploads": {
                identifier: {"key": item.key_name, "parts": len(item.parts)}
                for identifier, item in bucket.multiparts.items()
            },
        }
        for name, bucket in found.buckets.items()
    }


def _content(blocks: dict[int, Block]) -> str:
    """Return a digest of where which data is: the same for a snapshot and its copies."""
    text = "".join(f"{index}:{blocks[index].checksum};" for index in sorted(blocks))
    return hashlib.sha256(text.encode()).hexdigest()
