"""Debian archives as requests name them, and apt on them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.exports.compose.addresses import GATE, check_address
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError

if TYPE_CHECKING:
    from osbuild_core.resolve.apt import Apt
    from osbuild_core.resolve.entries import Entry
    from osbuild_core.resolve.packageset import PackageSet

ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7hl": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""What Debian calls the architectures that requests name; a name of Debian's own is taken, too."""

SOURCE = "source"
"""Among the arches it stands for source packages, as in what is uploaded to Debian."""

_MACHINE = Path("/etc/apt")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~/-]*|\./")


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """One ``deb`` of a source. ``url`` None: the machine's own entries for the suite."""

    suite: str
    components: tuple[str, ...]
    url: str | None = None


def architecture_of(arch: str) -> str:
    """Return Debian's name of ``arch``."""
    return ARCHITECTURES.get(arch, arch)


def read_archives(source: str, settings: ComposeSettings) -> list[Archive]:
    """Return the archives of ``deb URL SUITE COMPONENT…`` or ``deb SUITE COMPONENT…``, one or more.

    Raises ComposeError ``compose.source``.
    """
    found: list[Archive] = []
    if source.split()[:1] != ["deb"]:
        raise _wrong(source, "it is no archive")
    for words in _split(source.split()):
        url = None
        if words and ("://" in words[0] or words[0].startswith("/")):
            url = check_address(words.pop(0), settings.allowed_sources)
        if not words or not _SUITE.fullmatch(words[0]) or ".." in words[0]:
            raise _wrong(source, "a suite is missing")
        suite, *components = words
        for component in components:
            if not _WORD.fullmatch(component):
                raise _wrong(source, f"{component!r} is no component")
        found.append(Archive(suite, () if suite.endswith("/") else tuple(components) or ("main",), url))
    return found


def _split(words: list[str]) -> Iterator[list[str]]:
    starts = [index for index, word in enumerate(words) if word == "deb"]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield words[start + 1 : end]


def _wrong(source: str, reason: str) -> ComposeError:
    return ComposeError(
        f"the source {source!r} cannot be read: {reason}",
        code="compose.source",
        hint="write: deb URL SUITE COMPONENT…, or deb SUITE COMPONENT… for archives of the machine",
    )


def entries_of(archives: Sequence[Archive], architecture: str, settings: ComposeSettings) -> list[Entry]:
    """Return apt's entries for ``archives``. Raises ComposeError, ResolveError."""
    return [entry for archive in archives for entry in _entries(archive, architecture, settings)]


def _entries(archive: Archive, architecture: str, settings: ComposeSettings) -> list[Entry]:
    from osbuild_core.resolve.entries import Entry, read_entries, select
    from osbuild_core.resolve.packageset import PackageSet

    if archive.url is None:
        wanted = PackageSet(archive.suite, archive.components, updates=False)
        return select(read_entries(_MACHINE), wanted, architecture, None)
    options: list[tuple[str, str]] = []
    for prefix, keyring in settings.apt_keyrings.items():
        if archive.url.startswith(prefix):
            options = [("Trusted", "yes")] if keyring is None else [("Signed-By", str(keyring))]
            break
    return [Entry(archive.url, archive.suite, archive.components, tuple(options))]


@contextlib.contextmanager
def opened(
    entries: Sequence[Entry], architecture: str, suite: str, settings: ComposeSettings
) -> Iterator[tuple[Apt, PackageSet]]:
    """Yield apt for ``entries``, refreshed, and a package set of nothing. Raises ResolveError."""
    from osbuild_core.resolve.apt import open_apt
    from osbuild_core.resolve.packageset import PackageSet
    from osbuild_core.resolve.settings import ResolveSettings, default_state_dir

    state = settings.state_dir / "apt" if settings.state_dir else default_state_dir()
    components = tuple(dict.fromkeys(name for entry in entries for name in entry.components))
    wanted = PackageSet(suite, components, architecture, base="none", name="the compose")
    known = ResolveSettings(state_dir=state, environment_proxy=GATE in (settings.allowed_sources or ()))
    with open_apt(list(entries), architecture, suite, known) as apt:
        apt.refresh()
        yield apt, wanted
