"""The JSON of a cache entry: what the object is, what it stands on, where its layer is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osbuild_core.store.remote.member import damaged

FORMAT = 1
LONGEST = 64 << 20
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Record:
    """``document`` is the engine's. ``tree`` tells this tree from another one that was built for the same key,
    ``parent_tree`` the one that the layer lies on; ``parent`` None: the layer is a whole tree.

    ``layer`` is the SHA-256 of the compressed tar, ``size`` its length and ``unpacked`` the tar's, in bytes.
    ``plain`` trees are never stacked on. ``flagged`` ones may have immutable or append-only files, ``nested`` ones
    have attributes that an overlay would take for its own.
    """

    key: str
    parent: str | None
    tree: str
    parent_tree: str | None
    document: Mapping[str, Any]
    layer: str
    size: int
    unpacked: int
    plain: bool = False
    flagged: bool = False
    nested: bool = False

    @property
    def layer_name(self) -> str:
        """The name of the blob with the layer."""
        return f"layers/{self.layer}.tar.zst"


def record_name(key: str) -> str:
    """Return the name of the blob with the record of ``key``."""
    return f"objects/{key}.json"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def encode(record: Record) -> bytes:
    """Return ``record`` as JSON, with a digest of itself."""
    content: dict[str, Any] = {"format": FORMAT}
    content |= {name: getattr(record, name) for name in Record.__slots__}
    return json.dumps(content | {"digest": _digest(content)}, indent=1).encode()


def decode(text: bytes, key: str) -> Record | None:
    """Return the record of ``key``; None where it is of another format. Raises StoreError (``remote.damaged``)."""
    try:
        content = json.loads(text)
        digest = content.pop("digest")
        if content["format"] != FORMAT:
            return None
        if digest != _digest(content):
            raise damaged("its record does not have the digest that it should have")
        del content["format"]
        record = Record(**content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged("its record is not what a cache has") from None
    if not _valid(record, key):
        raise damaged("its record is not what a cache has")
    return record


def _valid(record: Record, key: str) -> bool:
    return (
        record.key == key
        and isinstance(record.document, dict)
        and isinstance(record.tree, str)
        and isinstance(record.layer, str)
        and _KEY.fullmatch(record.layer) is not None
        and isinstance(record.size, int)
        and (
            record.parent is None or (isinstance(record.parent, str) and isinstance(record.parent_tree, str))
        )
        and isinstance(record.plain, bool)
        and isinstance(record.flagged, bool)
        and isinstance(record.nested, bool)
    )
