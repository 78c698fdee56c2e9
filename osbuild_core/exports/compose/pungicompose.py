"""The packages of another compose, by its metadata (productmd's rpms.json and composeinfo.json)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from osbuild_core.exports.compose import rpm
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fingerprint import fingerprint
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmselect import Listed

_LARGEST = 512 << 20
"""Bytes of the largest rpms.json: that of a whole distribution has some 100 MB."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a variant of a compose says of itself: nevras and addresses of repositories, by architecture."""

    url: str
    packages: dict[str, frozenset[str]]
    installable: dict[str, frozenset[str]]
    repos: dict[str, tuple[str, ...]]

    def revision(self, arches: tuple[str, ...]) -> int:
        """Return what stands for its packages, as the address may be that of whichever compose is the latest."""
        return fingerprint([f"{arch} {nevra}" for arch in arches for nevra in self.packages[arch]])


def completed(request: ComposeRequest, settings: ComposeSettings) -> ComposeRequest:
    """Return the request with its arches, which are those of the other compose unless told, and its revision.

    Raises ComposeError ``compose.source``.
    """
    variant = _read(request, settings)
    arches = _arches(request, variant)
    event = variant.revision(arches) if request.koji_event is None else request.koji_event
    return dataclasses.replace(request, arches=arches, koji_event=event)


def rpm_source(request: ComposeRequest, settings: ComposeSettings) -> rpm.RpmSource:
    """Return the repositories of the variant at the URL of the request, and its packages.

    Raises ComposeError ``compose.source``.
    """
    variant = _read(request, settings)
    arches = _arches(request, variant)
    listed = {arch: Listed(variant.packages[arch], variant.installable[arch], variant.url) for arch in arches}

    def check() -> None:
        for one in listed.values():
            one.check()

    return rpm.RpmSource(
        (),
        every=True,
        check=check,
        revision=variant.revision(arches),
        by_arch={arch: (variant.repos[arch], one.have) for arch, one in listed.items()},
        # Its trees may have multilib packages, which belong to them.
        compatible=True,
    )


def _arches(request: ComposeRequest, variant: Variant) -> tuple[str, ...]:
    if not request.arches:
        return tuple(sorted(variant.packages))
    lacking = [arch for arch in request.arches if not variant.packages.get(arch)]
    if lacking:
        raise _broken(variant.url, f"it has no packages for {' '.join(lacking)}")
    return request.arches


def _read(request: ComposeRequest, settings: ComposeSettings) -> Variant:
    url = (request.source if "://" in request.source else "file://" + request.source).rstrip("/") + "/"
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    metadata = urljoin(url, "../metadata/")
    rpms = _load(urljoin(metadata, "rpms.json"), settings)
    info = _load(urljoin(metadata, "composeinfo.json"), settings)
    packages: dict[str, frozenset[str]] = {}
    installable: dict[str, frozenset[str]] = {}
    repos: dict[str, tuple[str, ...]] = {}
    try:
        paths = info["payload"]["variants"][name]["paths"]
        for arch, by_source in rpms["payload"]["rpms"][name].items():
            entries = {nevra: entry for group in by_source.values() for nevra, entry in group.items()}
            packages[arch] = frozenset(entries)
            installable[arch] = frozenset(n for n, entry in entries.items() if entry["category"] == "binary")
            repos[arch] = tuple(
                urljoin(url, f"../{paths[kind][arch]}")
                for kind in ("repository", "debug_repository", "source_repository")
                if arch in paths.get(kind, {})
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(url, f"its metadata have no {error}") from None
    if not any(packages.values()):
        raise _broken(url, "it has no packages")
    return Variant(url, packages, installable, repos)


def _load(url: str, settings: ComposeSettings) -> Any:
    try:
        return json.loads(rpm.fetcher_of(settings).read(url, _LARGEST))
    except ValueError:
        raise _broken(url, "that is no JSON") from None


def _broken(url: str, reason: str) -> ComposeError:
    return ComposeError(
        f"{url} is no compose that can be read: {reason}",
        code="compose.source",
        hint="name the directory of a variant, such as https://…/compose/Server/",
    )
