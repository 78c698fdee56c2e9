"""The parts of an object and their checksums. Part size and checksum are awspub's, so that each finds the other's."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from osbuild_core.exports.aws.file import ZERO, Scan

PART = 8 << 20
PARTS = 10_000
"""Parts that an upload may have."""

OBJECT_TAGS = 10


def part_size(size: int) -> int:
    """Return the length of the parts of an object of ``size`` bytes: 8 MiB, or as many times that as needed."""
    return PART * max(1, -(-size // (PART * PARTS)))


def part_digests(scan: Scan, size: int) -> list[bytes]:
    """Return the SHA256 of each part; unlike in a scan also of those that are zeros only."""
    last = len(scan.blocks) - 1
    return [
        digest
        if digest != ZERO
        else _zeros_digest(size - index * scan.block_size if index == last else scan.block_size)
        for index, digest in enumerate(scan.blocks)
    ]


@lru_cache(maxsize=4)
def _zeros_digest(length: int) -> bytes:
    return hashlib.sha256(bytes(length)).digest()


def in_base64(digest: bytes) -> str:
    """Return a checksum as S3 has it."""
    return base64.b64encode(digest).decode()


def composite_checksum(digests: list[bytes]) -> str:
    """Return the checksum that S3 has for an object of parts with ``digests``."""
    return f"{in_base64(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def same_checksum(found: str, wanted: str) -> bool:
    """Compare two checksums of objects in parts; not every implementation appends the number of parts."""
    return found in (wanted, wanted.partition("-")[0])


def object_tags(tags: Mapping[str, str], first: Collection[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Return the tags that an object can have, those with the keys ``first`` before others, and the keys of those
    that it cannot: S3 takes ten, and not all characters."""
    allowed = {k: v for k, v in tags.items() if not re.search(r"[^\w\s+\-=.:/@]", k + v)}
    kept = sorted(allowed, key=lambda key: key not in first)[:OBJECT_TAGS]
    return {key: allowed[key] for key in kept}, [key for key in tags if key not in kept]
