"""Debian's source packages: which files they have, and where, as apt knows them from entries with sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import complaints
from osbuild_core.resolve.apt import SHA256, URI_LINE, Apt, Package, plain_url


def files_of(apt: Apt, wanted: Sequence[tuple[str, str]]) -> list[Package]:
    """Return the files of source packages, given by name and version, which are those of what is returned.

    Only entries with ``sources`` have any. Raises ResolveError ``resolve.package``.
    """
    found: list[Package] = []
    rest = list(dict.fromkeys(wanted))
    while rest:
        # Files begin with their source package's name, so one version of each can be asked for at once.
        versions: dict[str, str] = {}
        for name, version in rest:
            versions.setdefault(name, version)
        rest = [one for one in rest if one not in versions.items()]
        found += _files(apt, versions)
    return found


def _files(apt: Apt, versions: Mapping[str, str]) -> list[Package]:
    argv = ("apt-get", "-q", "--print-uris", "--download-only", "--only-source", "source")
    done = apt.call(*argv, *(f"{name}={version}" for name, version in versions.items()))
    matches = map(URI_LINE.fullmatch, done.stdout.splitlines())
    files = [_file(apt, match, versions) for match in matches if match]
    missing = versions.keys() - {file.name for file in files}
    if done.returncode or missing:
        reason = complaints.in_one_line(done.stderr) or f"no index has {min(missing, default='them')}"
        raise ResolveError(
            f"the source packages cannot be had: {reason}",
            code="resolve.package",
            hint="does the archive have sources?",
            place=apt.place,
        )
    return files


def _file(apt: Apt, match: re.Match[str], versions: Mapping[str, str]) -> Package:
    url, file, size, hashes = match.groups()
    checksum, name = SHA256.fullmatch(hashes), file.partition("_")[0]
    if checksum is None or name not in versions:
        raise ResolveError(
            f"the index gives no sha256 or no source package for {file}",
            code="resolve.index",
            place=apt.place,
        )
    return Package(name, versions[name], plain_url(url), "sha256:" + checksum[1], int(size))
