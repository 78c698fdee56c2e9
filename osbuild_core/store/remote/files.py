"""Source files in the remote cache: under the names that they have in a store, ``sources/<type>/<checksum>``."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from osbuild_core.model.errors import StoreError
from osbuild_core.store.failure import reported
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.failure import remote_error
from osbuild_core.store.remote.member import CHUNK, damaged
from osbuild_core.store.sources import FILES, SourceCache

_CHECKSUM = re.compile(r"(md5|sha1|sha256|sha384|sha512):[0-9a-f]+")


def _name(checksum: str) -> str | None:
    return f"sources/{FILES}/{checksum}" if _CHECKSUM.fullmatch(checksum) else None


def pull_file(access: Access, sources: SourceCache, scratch: Path, checksum: str) -> bool:
    """Bring a source file into the store, if the cache has it, by way of the directory ``scratch``.

    What does not have the checksum is warned of, and no more. Raises StoreError for troubles of the store,
    Cancelled.
    """
    name = _name(checksum)
    if name is None or not access.readable:
        return False
    new = scratch / checksum
    try:
        if not _copy(access, name, new, checksum):
            return False
    except StoreError as error:
        if error.code == "remote.damaged":
            access.warn(f"{error.detail} ({checksum}): it is not used")
            access.discard([name])
        elif error.code.startswith("remote."):
            access.trouble(error)
        else:
            raise
        return False
    with reported("keeping a source file"):
        sources.file(checksum).parent.mkdir(parents=True, exist_ok=True)
        os.rename(new, sources.file(checksum))
    return True


def _copy(access: Access, name: str, new: Path, checksum: str) -> bool:
    blob = access.open(name)
    if blob is None:
        return False
    algorithm, _, wanted = checksum.partition(":")
    digest = hashlib.new(algorithm)
    with blob, open(new, "wb") as file:
        while True:
            try:
                data = access.patience.call(lambda _: blob.read(CHUNK))
            except OSError as error:
                raise remote_error(error, "reading from the remote cache") from error
            if not data:
                break
            digest.update(data)
            with reported("keeping a source file"):
                file.write(data)
    if digest.hexdigest() != wanted:
        raise damaged("a source file does not have its checksum")
    return True


def push_file(access: Access, sources: SourceCache, checksum: str) -> int | None:
    """Put a source file into the cache; returns its size, None where it is there, is not ours, or cannot go there.

    Raises Cancelled.
    """
    name = _name(checksum)
    path = sources.file(checksum)
    if name is None or not access.writable or not path.is_file() or path.is_symlink():
        return None
    try:
        if access.exists(name) or not access.put(name, path):
            return None
        return path.stat().st_size
    except StoreError as error:
        access.trouble(error)
    except OSError:
        # Evicted meanwhile.
        pass
    return None
