"""Names and tags by which what was made is found again; the same as awspub's, so that each finds the other's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

ROOT = "awspub"
"""The key under which a configuration stands; others beside it belong to other tools."""

SOURCE_PREFIX = "awspub:source:"
SHA256_TAG = SOURCE_PREFIX + "sha256"
DIRECT_UPLOAD = "osbuild-core direct upload"
"""How the description of a snapshot begins whose blocks we write ourselves."""

REMOVAL_TAG = "osbuild-core:cleanup"
"""Tag of a snapshot that goes with its image; its value is the image's name."""

KEEP_TAG = "osbuild-core:keep:"
"""With a group's name: tag of the images that ``keep`` counts."""

SENT_TAG = "osbuild-core:sns:"
"""With a topic's name: tag of an image whose notification was sent; its value tells which."""


def digest(text: str) -> str:
    """Return the SHA256 of ``text``, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def snapshot_name(
    source_sha256: str,
    image_name: str,
    *,
    separate: bool = False,
    billing_products: Iterable[str] = (),
    kms_key_id: str | None = None,
) -> str:
    """Return the tag ``Name`` of the snapshot that ``image_name`` stands on.

    Images from one source share a snapshot, unless one wants its own, has billing products or is encrypted.
    """
    name = source_sha256
    if separate:
        name += digest(image_name)
    for product in billing_products:
        name += digest(product)
    if kms_key_id is not None:
        name += digest(kms_key_id)
    return name if name == source_sha256 else digest(name)


def kms_key(key: str | None, region: str) -> str | None:
    """Return the key that encrypts in ``region``: that of an alias or a multi-region key is in every region."""
    if key is None or not key.startswith("arn:"):
        return key
    parts = key.split(":", 5)
    if len(parts) == 6 and parts[5].startswith(("alias/", "key/mrk-")):
        parts[3] = region
    return ":".join(parts)


def client_token(*parts: Any) -> str:
    """Return a token (64 characters) that is the same for the same request, and only for that."""
    return digest(json.dumps(parts, sort_keys=True, default=str))
