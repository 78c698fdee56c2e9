"""RPM packages as metadata of repositories describe them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RpmPackage:
    """One package file. ``evr`` is ``[epoch:]version-release``; ``source`` its source package's name and evr.

    ``checksum`` is ``sha256:…``, ``url`` where the file is, ``repo`` the URL of its repository, ``built`` seconds
    since 1970.
    """

    name: str
    evr: str
    arch: str
    checksum: str
    url: str
    source: tuple[str, str]
    built: int = 0
    sigkey: str | None = None
    repo: str = ""

    @property
    def nevra(self) -> str:
        """``name-epoch:version-release.arch``, the epoch always said."""
        return full_nevra(self.name, self.evr, self.arch)

    @property
    def srpm(self) -> str:
        """The nevra of its source package."""
        return full_nevra(*self.source, "src")

    @property
    def filename(self) -> str:
        """The name of its file in a compose."""
        return f"{self.name}-{self.evr.partition(':')[2] or self.evr}.{self.arch}.rpm"

    @property
    def path(self) -> str:
        """Its place in a tree."""
        return f"Packages/{self.name[0].lower()}/{self.filename}"

    @property
    def is_source(self) -> bool:
        return self.arch in ("src", "nosrc")

    @property
    def is_debug(self) -> bool:
        return is_debug(self.name)


_BASES = {
    **dict.fromkeys(("i386", "i486", "i586", "i686", "athlon"), "i386"),
    **dict.fromkeys(("armv7hl", "armv7hnl"), "armhfp"),
}


def basearch(arch: str) -> str:
    """Return what dnf has for ``$basearch`` on a machine of that architecture."""
    return _BASES.get(arch, arch)


def is_debug(name: str) -> bool:
    """Tell whether a package of that name has debugging information."""
    return name.endswith(("-debuginfo", "-debugsource")) or "-debuginfo-" in name


def full_nevra(name: str, evr: str, arch: str) -> str:
    """Return ``name-epoch:version-release.arch``."""
    return f"{name}-{evr if ':' in evr else '0:' + evr}.{arch}"
