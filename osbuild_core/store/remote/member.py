"""The tar of a cache entry: POSIX.1-2001 (pax) members, so that GNU tar, bsdtar and Python read it as well.

Beyond plain tar, with keywords that other programs know:
``SCHILY.xattr.NAME`` extended attributes (ACLs, capabilities and labels are such), ``GNU.sparse.*`` 1.0 holes,
``mtime`` to the nanosecond, ``SCHILY.fflags`` inode flags (``schg`` immutable, ``sappnd`` append-only). As in OCI
layers an empty file ``.wh.NAME`` says that NAME of the parent's is gone, and ``.wh..wh..opq`` that nothing of the
parent's directory is left. Two keywords are ours: ``OSBUILD.literal`` for a file whose name begins with ``.wh.``
itself, and ``OSBUILD.type=socket``, for which tar has no type.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from osbuild_core.model.errors import StoreError
from osbuild_core.store import inodeflags

BLOCK = 512
CHUNK = 1 << 20
OVERLAY = "trusted.overlay."
GONE = ".wh."
OPAQUE = ".wh..wh..opq"

LONGEST_HEADER = 64 << 20
USTAR = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")
MAGIC = (b"ustar\0", b"00")
XATTR = b"SCHILY.xattr."

Kind = Literal[
    "file", "directory", "symlink", "fifo", "socket", "block", "character", "same", "gone", "opaque"
]

TYPES: dict[Kind, bytes] = {
    "file": b"0",
    "same": b"1",
    "symlink": b"2",
    "character": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
    "socket": b"0",
    "gone": b"0",
    "opaque": b"0",
}
KINDS = {TYPES[kind]: kind for kind in TYPES if kind not in ("socket", "gone", "opaque")}
_KIND_OF_MODE: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
}
FLAGS = {"schg": inodeflags.IMMUTABLE, "sappnd": inodeflags.APPEND}

Segments = Sequence[tuple[int, int]]
"""(offset, length) of the parts of a sparse file that have data, in order."""


class Member(NamedTuple):
    """One thing in the tree, or gone from it. ``path`` is relative to the root, which is ``""``.

    ``target`` is where a symbolic link leads to, or the path that a hard link (kind ``same``) shares its file
    with. ``mtime`` is in nanoseconds since 1970, ``device`` as in ``st_rdev``. ``segments`` None: no holes.
    """

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: str = ""
    device: int = 0
    xattrs: Mapping[str, bytes] = {}
    flags: int = 0
    segments: Segments | None = None


def kind_of(mode: int) -> Kind:
    """Return the kind of what has the ``st_mode``."""
    return _KIND_OF_MODE[stat.S_IFMT(mode)]


def damaged(reason: str) -> StoreError:
    """Return the error for an entry that is not what we write."""
    return StoreError(f"a cache entry is damaged: {reason}", code="remote.damaged")
