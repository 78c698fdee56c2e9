"""The key that an RPM package is signed with, read from its first bytes (rpm's file format; RFC 4880, 9580)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.rpmpackage import RpmPackage

_LEAD = 96
_MAGIC = b"\x8e\xad\xe8\x01"
# DSA and RSA of the header, PGP and GPG of header and payload.
_TAGS = (268, 267, 1002, 1005)
_FIRST = 64 << 10
_ISSUER, _FINGERPRINT = 16, 33


def key_of(data: bytes) -> str | None:
    """Return the id (16 hexadecimal digits) of the key in the signature header, None for an unsigned package.

    ``data`` begins a package file. Raises ValueError for something else, or where it ends too early.
    """
    if data[:4] != b"\xed\xab\xee\xdb" or data[_LEAD : _LEAD + 4] != _MAGIC:
        raise ValueError("this is no RPM package")
    count, size = struct.unpack_from(">II", data, _LEAD + 8)
    table = _LEAD + 16
    store = table + 16 * count
    if len(data) < store + size:
        raise ValueError("the signature header is longer than what was read")
    found = {}
    for index in range(count):
        tag, _, offset, length = struct.unpack_from(">IIII", data, table + 16 * index)
        found[tag] = data[store + offset : store + offset + length]
    for tag in _TAGS:
        if tag in found:
            return _issuer(found[tag])
    return None


def _issuer(packet: bytes) -> str | None:
    """Return the key id in an OpenPGP signature packet."""
    if not packet or not packet[0] & 0x80:
        return None
    if packet[0] & 0x40:
        start = 2 if packet[1] < 192 else 3 if packet[1] < 224 else 6
    else:
        start = 1 + (1, 2, 4, 0)[packet[0] & 3]
    body = packet[start:]
    if body[:1] == b"\x03":
        return body[7:15].hex()
    if body[:1] != b"\x04":
        return None
    hashed = struct.unpack_from(">H", body, 4)[0]
    unhashed = struct.unpack_from(">H", body, 6 + hashed)[0]
    areas = body[6 : 6 + hashed], body[8 + hashed : 8 + hashed + unhashed]
    for kind, value in (entry for area in areas for entry in _subpackets(area)):
        if kind == _ISSUER:
            return value.hex()
        if kind == _FINGERPRINT:
            return value[-8:].hex()
    return None


def _subpackets(area: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(area):
        first = area[position]
        if first < 192:
            length, position = first, position + 1
        elif first < 255:
            length, position = ((first - 192) << 8) + area[position + 1] + 192, position + 2
        else:
            length, position = struct.unpack_from(">I", area, position + 1)[0], position + 5
        if length == 0:
            return
        yield area[position] & 0x7F, area[position + 1 : position + length]
        position += length


def choose(
    copies: Sequence[Sequence[RpmPackage]], sigkeys: Sequence[str], fetcher: Fetcher
) -> list[tuple[RpmPackage, str | None]]:
    """Return of each package the copy that is signed with the most preferred key, and that key.

    ``sigkeys`` are ends of key ids, ``""`` for unsigned. Raises ComposeError ``compose.unsigned``.
    """

    def read(package: RpmPackage) -> str | None:
        try:
            return key_of(fetcher.start(package.url, _FIRST))
        except (ValueError, struct.error, IndexError) as error:
            raise ComposeError(f"{package.url}: {error}", code="compose.source") from None

    with ThreadPoolExecutor(max_workers=16) as pool:
        keys = list(pool.map(lambda group: [read(package) for package in group], copies))
    chosen: list[tuple[RpmPackage, str | None]] = []
    unsigned: list[str] = []
    for group, found in zip(copies, keys, strict=True):
        pairs = [
            (package, wanted or None)
            for wanted in sigkeys
            for package, key in zip(group, found, strict=True)
            if (key is None if not wanted else key is not None and key.endswith(wanted.lower()))
        ]
        if pairs:
            chosen.append(pairs[0])
        else:
            unsigned.append(group[0].nevra)
    if unsigned:
        more = f" and {len(unsigned) - 3} more" if len(unsigned) > 3 else ""
        raise ComposeError(
            f"not signed with any of the keys {', '.join(sigkeys)}: {', '.join(unsigned[:3])}{more}",
            code="compose.unsigned",
            hint="add a key, or an empty one to allow unsigned packages",
        )
    return chosen
