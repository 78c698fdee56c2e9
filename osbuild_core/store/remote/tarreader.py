"""Reads the tar of a cache entry, strictly: whatever is not as we write it is damage."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from osbuild_core.store.remote.member import (
    BLOCK,
    CHUNK,
    FLAGS,
    GONE,
    KINDS,
    LONGEST_HEADER,
    MAGIC,
    OPAQUE,
    USTAR,
    XATTR,
    Kind,
    Member,
    Segments,
    damaged,
)


class Reader:
    """Reads what the writer wrote, and nothing else. Raises StoreError (``remote.damaged``)."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield the members. What is not read of a file's data is passed over."""
        while True:
            while self.data():
                pass
            block = self._exactly(BLOCK)
            if not block.strip(b"\0"):
                if self._source.read(CHUNK).strip(b"\0"):
                    raise damaged("something follows its end")
                return
            records: dict[bytes, bytes] = {}
            fields = _fields(block)
            if fields.kind == b"x":
                if fields.size > LONGEST_HEADER:
                    raise damaged("a header is too long")
                records = _records(self._exactly(fields.size + -fields.size % BLOCK)[: fields.size])
                fields = _fields(self._exactly(BLOCK))
            yield self._member(fields, records)

    def data(self) -> bytes:
        """Return the next part of the file's data; empty at its end."""
        if not self._left:
            if self._padding:
                self._exactly(self._padding)
                self._padding = 0
            return b""
        data = self._source.read(min(CHUNK, self._left))
        if not data:
            raise damaged("it ends too early")
        self._left -= len(data)
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise damaged("it ends too early")
        return data

    def _member(self, fields: _Fields, records: Mapping[bytes, bytes]) -> Member:
        size = _decimal_number(records[b"size"]) if b"size" in records else fields.size
        name = os.fsdecode(records.get(b"path", fields.name))
        kind = KINDS.get(fields.kind)
        if kind is None:
            raise damaged(f"a member has the type {fields.kind!r}")
        if size and kind != "file":
            raise damaged("data follows what is no file")
        if records.get(b"OSBUILD.type") == b"socket":
            kind = "socket"
        path, kind = _path_and_kind(name, kind, literal=b"OSBUILD.literal" in records)
        self._left, self._padding = size, -size % BLOCK
        segments = None
        if b"GNU.sparse.major" in records:
            segments, size = self._sparse(records)
        return Member(
            path,
            kind,
            fields.mode,
            _decimal_number(records[b"uid"]) if b"uid" in records else fields.uid,
            _decimal_number(records[b"gid"]) if b"gid" in records else fields.gid,
            _nanoseconds(records[b"mtime"]) if b"mtime" in records else fields.mtime * 1_000_000_000,
            size,
            os.fsdecode(records.get(b"linkpath", fields.link)),
            fields.device,
            {_unescaped(k): value for k, value in records.items() if k.startswith(XATTR)},
            _flags(records.get(b"SCHILY.fflags", b"")),
            segments,
        )

    def _sparse(self, records: Mapping[bytes, bytes]) -> tuple[Segments, int]:
        """Read the map of a sparse file; returns that and the size that the file has in the tree."""
        text = b""
        numbers: list[int] = []
        while True:
            if self._left < BLOCK:
                raise damaged("a sparse file has no map")
            text += self._exactly(BLOCK)
            self._left -= BLOCK
            *whole, rest = text.split(b"\n")
            if whole:
                count = _decimal_number(whole[0])
                if len(whole) > 2 * count:
                    numbers = [_decimal_number(number) for number in whole[1 : 2 * count + 1]]
                    break
        if rest.strip(b"\0") or len(whole) != 2 * count + 1:
            raise damaged("the map of a sparse file is wrong")
        segments = list(zip(numbers[::2], numbers[1::2], strict=True))
        size = _decimal_number(records.get(b"GNU.sparse.realsize", b"-"))
        end = 0
        for offset, length in segments:
            if offset < end or offset + length > size:
                raise damaged("the map of a sparse file is wrong")
            end = offset + length
        if sum(length for _, length in segments) != self._left:
            raise damaged("the map of a sparse file is wrong")
        return segments, size


class _Fields(NamedTuple):
    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    device: int


def _fields(block: bytes) -> _Fields:
    (name, mode, uid, gid, size, mtime, checksum, kind, link, magic, version, *_, major, minor, _) = (
        USTAR.unpack(block)
    )
    if (magic, version) != MAGIC or _octal(checksum) != sum(block) - sum(checksum) + 8 * 0x20:
        raise damaged("a header is wrong")
    return _Fields(
        name.partition(b"\0")[0],
        kind,
        _octal(mode),
        _octal(uid),
        _octal(gid),
        _octal(size),
        _octal(mtime),
        link.partition(b"\0")[0],
        os.makedev(_octal(major), _octal(minor)),
    )


def _octal(field: bytes) -> int:
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        raise damaged("a number is wrong") from None


def _decimal_number(text: bytes) -> int:
    if not text.isdigit():
        raise damaged("a number is wrong")
    return int(text)


def _nanoseconds(text: bytes) -> int:
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    value = _decimal_number(whole) * 1_000_000_000 + _decimal_number(fraction.ljust(9, b"0")[:9])
    return -value if text.startswith(b"-") else value


def _records(body: bytes) -> dict[bytes, bytes]:
    records = {}
    position = 0
    while position < len(body):
        space = body.find(b" ", position, position + 20)
        if space < 0:
            raise damaged("a header is wrong")
        end = position + _decimal_number(body[position:space])
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if end > len(body) or body[end - 1 : end] != b"\n" or not equals:
            raise damaged("a header is wrong")
        records[key] = value
        position = end
    return records


def _unescaped(key: bytes) -> str:
    return os.fsdecode(key.removeprefix(XATTR).replace(b"%3D", b"=").replace(b"%25", b"%"))


def _flags(text: bytes) -> int:
    flags = 0
    for name in filter(None, text.decode(errors="replace").split(",")):
        if name not in FLAGS:
            raise damaged(f"there is no inode flag {name}")
        flags |= FLAGS[name]
    return flags


def _path_and_kind(name: str, kind: Kind, *, literal: bool) -> tuple[str, Kind]:
    """Return what the name of a member says; no part of the path leads out of the tree."""
    if kind == "directory":
        name = "" if name == "./" else name.removesuffix("/")
        if name == "":
            return "", kind
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise damaged(f"it has the path {name!r}")
    if kind == "file" and not literal and parts[-1].startswith(GONE):
        if parts[-1] == OPAQUE:
            return "/".join(parts[:-1]), "opaque"
        parts[-1] = parts[-1].removeprefix(GONE)
        if parts[-1] in ("", ".", ".."):
            raise damaged(f"it has the path {name!r}")
        return "/".join(parts), "gone"
    return name, kind
