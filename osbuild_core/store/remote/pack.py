"""Writes what changed in a tree as the members of a tar."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from osbuild_core.store import inodeflags
from osbuild_core.store.remote.changes import Changes
from osbuild_core.store.remote.member import CHUNK, OVERLAY, Member, Segments, kind_of
from osbuild_core.store.remote.tarwriter import stored_size, write_end, write_member, write_padding


class Oddities(NamedTuple):
    """What an overlay takes for its own: ``plain``, a device that no overlay makes; ``nested``, attributes that it
    makes under another name."""

    plain: bool
    nested: bool


def pack(
    tree: str, changes: Changes, out: BinaryIO, *, flags: bool, check: Callable[[], None] = lambda: None
) -> Oddities:
    """Write ``changes`` of ``tree``; with ``flags`` there may be immutable or append-only files.

    ``check`` is called now and then, and may raise. Raises OSError.
    """
    first_names: dict[tuple[int, int], str] = {}
    plain = nested = False
    for path, there in changes.ordered():
        check()
        if not there:
            write_member(out, Member(path, "gone"))
            continue
        status = os.lstat(f"{tree}/{path}")
        file = (status.st_dev, status.st_ino)
        linked = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        if linked and file in first_names:
            write_member(out, Member(path, "same", target=first_names[file]))
            continue
        if linked:
            first_names[file] = path
        member = _member(tree, path, status, flags)
        plain = plain or (member.kind == "character" and member.device == 0)
        nested = nested or any(name.startswith(OVERLAY) for name in member.xattrs)
        write_member(out, member)
        if member.kind == "file":
            _write_data(f"{tree}/{path}", member, out, check)
        if path in changes.opaque:
            write_member(out, Member(path, "opaque"))
    write_end(out)
    return Oddities(plain, nested)


def _member(tree: str, path: str, status: os.stat_result, flags: bool) -> Member:
    full = f"{tree}/{path}"
    kind = kind_of(status.st_mode)
    regular = kind == "file"
    return Member(
        path,
        kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if regular else 0,
        target=os.readlink(full) if kind == "symlink" else "",
        device=status.st_rdev if kind in ("block", "character") else 0,
        xattrs={
            name: os.getxattr(full, name, follow_symlinks=False)
            for name in os.listxattr(full, follow_symlinks=False)
        },
        flags=inodeflags.read(full) if flags and kind in ("file", "directory") else 0,
        segments=_segments(full, status) if regular and status.st_blocks * 512 < status.st_size else None,
    )


def _segments(path: str, status: os.stat_result) -> Segments | None:
    """Return the parts of a file that have data; None where it has no holes after all (it is compressed)."""
    segments: list[tuple[int, int]] = []
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        end = 0
        while end < status.st_size:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(fd, start, os.SEEK_HOLE)
            segments.append((start, min(end, status.st_size) - start))
    finally:
        os.close(fd)
    return None if segments == [(0, status.st_size)] else segments


def _write_data(path: str, member: Member, out: BinaryIO, check: Callable[[], None]) -> None:
    with open(path, "rb", buffering=0) as file:
        for offset, length in member.segments if member.segments is not None else [(0, member.size)]:
            if offset:
                file.seek(offset)
            left = length
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise OSError(errno.EIO, "the file is shorter than it says", path)
                out.write(data)
                left -= len(data)
                if left:
                    check()
    write_padding(out, stored_size(member))
