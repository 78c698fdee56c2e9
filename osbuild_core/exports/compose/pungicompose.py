"""The packages of another compose, by its metadata (productmd's rpms.json and composeinfo.json)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin, urlsplit

from osbuild_core.exports.compose import rpm
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmpackage import RpmPackage


def rpm_source(request: ComposeRequest, settings: ComposeSettings) -> rpm.RpmSource:
    """Return the repositories of the variant at the URL of the request, and its packages.

    Raises ComposeError ``compose.source``.
    """
    url = (request.source if "://" in request.source else "file://" + request.source).rstrip("/") + "/"
    variant = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    metadata = urljoin(url, "../metadata/")
    rpms = _load(urljoin(metadata, "rpms.json"), settings)
    info = _load(urljoin(metadata, "composeinfo.json"), settings)
    try:
        by_arch = rpms["payload"]["rpms"][variant]
        paths = info["payload"]["variants"][variant]["paths"]
        wanted = {
            nevra for arch in request.arches for source in by_arch.get(arch, {}).values() for nevra in source
        }
        repos = [
            urljoin(url, f"../{path}")
            for kind in ("repository", "debug_repository", "source_repository")
            for arch, path in sorted(paths.get(kind, {}).items())
            if arch in request.arches
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(url, f"its metadata have no {error}") from None
    if not wanted:
        raise _broken(url, f"it has no packages for {' '.join(request.arches)}")

    def allows(package: RpmPackage) -> bool:
        return package.nevra in wanted

    return rpm.RpmSource(tuple(dict.fromkeys(repos)), allows, every=True)


def _load(url: str, settings: ComposeSettings) -> Any:
    try:
        return json.loads(rpm.fetcher_of(settings).read(url))
    except ValueError:
        raise _broken(url, "that is no JSON") from None


def _broken(url: str, reason: str) -> ComposeError:
    return ComposeError(
        f"{url} is no compose that can be read: {reason}",
        code="compose.source",
        hint="name the directory of a variant, such as https://…/compose/Server/",
    )
