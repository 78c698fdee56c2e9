"""What the one who runs composes sets up: named sources, keys, where things are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Signs(Protocol):
    """Signs files, as :class:`~osbuild_core.exports.compose.signing.Signer` does."""

    def clear(self, source: Path, target: Path) -> None: ...

    def detached(self, source: Path, target: Path) -> None: ...

    def public_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class PackageTag:
    """A named set of packages: what tag requests mean. ``repos`` are rpm-md repositories (URL or path; ``$arch``
    stands for the architecture) or entries ``deb URL suite component…``; ``packages`` narrows them (empty: all).

    ``inherits`` are other tags whose packages belong to it, too. Its revision is the sum of its repositories'.
    """

    repos: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContentSet:
    """What a pulp request calls a content set. ``url`` may have ``$basearch``; ``arches`` it is for (empty: all)."""

    url: str
    arches: tuple[str, ...] = ()
    sigkeys: tuple[str, ...] = ()
    published: bool = True


@dataclass(frozen=True, slots=True)
class RawConfig:
    """A git repository with the template of a compose: ``template`` is its path there, ``variables`` go into it."""

    url: str
    template: str
    variables: Mapping[str, str] = field(default_factory=dict)
    export: str | None = None


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """All that is constant for the composes of a service or a command.

    ``store`` and ``library`` are the engine's. ``build_repos`` are repositories in which ``build`` requests are
    looked up, ``module_repos`` those for ``module``. ``signing_key`` names a key of the GnuPG home ``gnupg_home``
    (None: the user's); it is used on the host and goes nowhere; without it nothing is signed.
    ``allowed_sources`` are prefixes of URLs and paths from which packages may come (None: every address that is
    not private, and no path). ``apt_keyrings`` maps prefixes of archive addresses to keyrings; an archive without
    one has to be signed by a key that the machine trusts, one with None need not be signed. ``state_dir`` keeps
    indexes of package archives. With ``user_namespace`` the engine works for root of one, too. ``signer`` signs in
    the place of ``signing_key``.
    """

    store: Path = Path(".osbuild")
    library: Path | tuple[Path, ...] | None = None
    jobs: int | None = None
    tags: Mapping[str, PackageTag] = field(default_factory=dict)
    build_repos: tuple[str, ...] = ()
    content_sets: Mapping[str, ContentSet] = field(default_factory=dict)
    raw_configs: Mapping[str, RawConfig] = field(default_factory=dict)
    module_repos: tuple[str, ...] = ()
    signing_key: str | None = None
    gnupg_home: Path | None = None
    allowed_sources: tuple[str, ...] | None = None
    apt_keyrings: Mapping[str, Path | None] = field(default_factory=dict)
    release_name: str = "odcs"
    release_version: str = "1"
    state_dir: Path | None = None
    user_namespace: bool = False
    signer: Signs | None = None
