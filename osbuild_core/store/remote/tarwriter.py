"""Writes the tar of a cache entry; :mod:`osbuild_core.store.remote.member` says what is special about it."""

from __future__ import annotations

import os
from typing import BinaryIO

from osbuild_core.store.remote.member import (
    BLOCK,
    FLAGS,
    GONE,
    MAGIC,
    OPAQUE,
    TYPES,
    USTAR,
    XATTR,
    Member,
    Segments,
)


def write_member(out: BinaryIO, member: Member) -> None:
    """Write the header of ``member``. The data of a file comes next, then :func:`write_padding`."""
    path, literal = _stored_path(member)
    records: list[tuple[bytes, bytes]] = []
    name, link = os.fsencode(path), os.fsencode(member.target)
    if not _is_text(name) or not _is_text(link):
        records.append((b"hdrcharset", b"BINARY"))
    short_name = _short(records, b"path", name)
    short_link = _short(records, b"linkpath", link)
    mtime = _seconds(records, member.mtime)
    uid, gid = _number(records, b"uid", member.uid, 7), _number(records, b"gid", member.gid, 7)
    records += _attributes(member, literal)
    stored, sparse_map = member.size, b""
    if member.segments is not None:
        sparse_map = _sparse_map(member.segments)
        stored = len(sparse_map) + stored_size(member)
        sparse = ((b"major", b"1"), (b"minor", b"0"), (b"name", name), (b"realsize", b"%d" % member.size))
        records += [(b"GNU.sparse." + key, value) for key, value in sparse]
    size = _number(records, b"size", stored, 11)
    if records:
        body = b"".join(_record(key, value) for key, value in records)
        out.write(_header(b"././@PaxHeader", b"x", size=len(body)) + body)
        write_padding(out, len(body))
    header = _header(
        short_name,
        TYPES[member.kind],
        mode=member.mode & 0o7777,
        uid=uid,
        gid=gid,
        size=size,
        mtime=mtime,
        link=short_link,
        device=member.device,
    )
    out.write(header + sparse_map)


def _attributes(member: Member, literal: bool) -> list[tuple[bytes, bytes]]:
    records = [(XATTR + _escaped(key), value) for key, value in sorted(member.xattrs.items())]
    if member.flags:
        names = [name for name, bit in FLAGS.items() if member.flags & bit]
        records.append((b"SCHILY.fflags", ",".join(names).encode()))
    if literal:
        records.append((b"OSBUILD.literal", b"1"))
    if member.kind == "socket":
        records.append((b"OSBUILD.type", b"socket"))
    return records


def stored_size(member: Member) -> int:
    """Return how many bytes of a file's data follow its header and, for a sparse one, its map."""
    if member.segments is None:
        return member.size
    return sum(length for _, length in member.segments)


def write_padding(out: BinaryIO, size: int) -> None:
    """Fill up to whole blocks what had ``size`` bytes."""
    if size % BLOCK:
        out.write(bytes(BLOCK - size % BLOCK))


def write_end(out: BinaryIO) -> None:
    """Write the end of the archive."""
    out.write(bytes(2 * BLOCK))


def _stored_path(member: Member) -> tuple[str, bool]:
    directory, slash, name = member.path.rpartition("/")
    if member.kind == "gone":
        return f"{directory}{slash}{GONE}{name}", False
    if member.kind == "opaque":
        return f"{member.path}/{OPAQUE}" if member.path else OPAQUE, False
    literal = name.startswith(GONE)
    if member.kind == "directory":
        return (f"{member.path}/" if member.path else "./"), literal
    return member.path, literal


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _short(records: list[tuple[bytes, bytes]], key: bytes, value: bytes) -> bytes:
    if len(value) <= 100 and value.isascii():
        return value
    records.append((key, value))
    return value[:100]


def _number(records: list[tuple[bytes, bytes]], key: bytes, value: int, digits: int) -> int:
    if value < 8**digits:
        return value
    records.append((key, b"%d" % value))
    return 0


def _seconds(records: list[tuple[bytes, bytes]], nanoseconds: int) -> int:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if not rest and 0 <= seconds < 8**11:
        return seconds
    records.append((b"mtime", _decimal(nanoseconds)))
    return max(0, min(seconds, 8**11 - 1))


def _decimal(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, rest)


def _escaped(name: str) -> bytes:
    # As GNU tar does: the first = ends a keyword.
    return os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D")


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    # The length counts its own digits.
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def _sparse_map(segments: Segments) -> bytes:
    numbers = [len(segments), *(number for segment in segments for number in segment)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK)


def _header(
    name: bytes,
    kind: bytes,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: int = 0,
) -> bytes:
    fields = [
        name,
        b"%07o" % mode,
        b"%07o" % uid,
        b"%07o" % gid,
        b"%011o" % size,
        b"%011o" % mtime,
        b" " * 8,
        kind,
        link,
        *MAGIC,
        b"",
        b"",
        b"%07o" % os.major(device),
        b"%07o" % os.minor(device),
        b"",
    ]
    fields[6] = b"%06o\0 " % sum(USTAR.pack(*fields))
    return USTAR.pack(*fields)
