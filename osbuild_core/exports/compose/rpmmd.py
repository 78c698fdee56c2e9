"""Metadata of RPM repositories (rpm-md): which files there are, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.rpmpackage import basearch

_NS = "{http://linux.duke.edu/metadata/repo}"
_ALGORITHMS = {"sha": "sha1", "sha1": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A file of metadata: where it is, its checksum (``sha256:…``), and its size in bytes when unpacked, if known."""

    address: str
    checksum: str
    open_size: int | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at ``url`` (which ends in a slash). ``files`` are its metadata by type."""

    url: str
    revision: int | None
    files: Mapping[str, MetadataFile]

    def fetch(self, kind: str, fetcher: Fetcher) -> Path | None:
        """Return the path of the file of that type, None where there is none.

        How it is packed is for the reader to see (see unpacking.py). Raises ComposeError.
        """
        if kind not in self.files:
            return None
        file = self.files[kind]
        return fetcher.keep(file.address, file.checksum)


def for_arch(address: str, arch: str) -> str:
    """Return the address with the architecture in the place of ``$arch``, and what dnf calls it of ``$basearch``."""
    return address.replace("$basearch", basearch(arch)).replace("$arch", arch)


def read_repository(address: str, fetcher: Fetcher) -> Repository:
    """Read what the repository at ``address`` has. Raises ComposeError ``compose.source``."""
    url = (address if "://" in address else "file://" + address).rstrip("/") + "/"
    data = fetcher.read(url + "repodata/repomd.xml")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise _broken(url, "it declares entities")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise _broken(url, str(error)) from None
    files: dict[str, MetadataFile] = {}
    for entry in root.iter(f"{_NS}data"):
        location, checksum = entry.find(f"{_NS}location"), entry.find(f"{_NS}checksum")
        if location is None or checksum is None or not checksum.text:
            raise _broken(url, "a file has no location or no checksum")
        algorithm = _ALGORITHMS.get(checksum.get("type", ""))
        digest = checksum.text.strip()
        if algorithm is None or not re.fullmatch("[0-9a-fA-F]{32,128}", digest):
            raise _broken(url, f"the checksum of {entry.get('type')} is of no kind that is known")
        size = (entry.findtext(f"{_NS}open-size") or "").strip()
        files[entry.get("type", "")] = MetadataFile(
            urljoin(url, location.get("href", "")),
            f"{algorithm}:{digest}",
            int(size) if size.isdecimal() and len(size) < 19 else None,
        )
    if "primary" not in files:
        raise _broken(url, "it lists no packages")
    return Repository(url, _revision(root), files)


def _revision(root: ElementTree.Element) -> int | None:
    """Return the revision as a number; without one, or with one that is none, the newest time of its files."""
    text = (root.findtext(f"{_NS}revision") or "").strip()
    if text.isdecimal() and len(text) < 19:
        return int(text)
    times = [entry.findtext(f"{_NS}timestamp") or "" for entry in root.iter(f"{_NS}data")]
    numbers = [int(float(time)) for time in times if re.fullmatch(r"[0-9]{1,18}(\.[0-9]+)?", time.strip())]
    return max(numbers, default=None)


def _broken(url: str, reason: str) -> ComposeError:
    return ComposeError(
        f"{url} is no RPM repository that can be read: {reason}",
        code="compose.source",
        hint="is it complete?",
    )
