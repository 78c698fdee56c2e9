"""Content sets: repositories elsewhere that the configuration names. Such a compose is a ``.repo`` file only."""

from __future__ import annotations

import dataclasses

from osbuild_core.exports.compose.configuration import ComposeSettings, ContentSet
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fingerprint import fingerprint
from osbuild_core.exports.compose.lock import Lock
from osbuild_core.exports.compose.repofile import content_set_section
from osbuild_core.exports.compose.request import ComposeRequest


def completed(request: ComposeRequest, settings: ComposeSettings) -> ComposeRequest:
    """Return the request with what the content sets are for and are signed with, and what stands for their addresses:
    the configuration may give them others. Raises ComposeError ``compose.source``."""
    locked = lock(request, settings)
    event = fingerprint([locked.extra["repo"]]) if request.koji_event is None else request.koji_event
    sigkeys = tuple(locked.extra["sigkeys"]) or request.sigkeys
    return dataclasses.replace(request, arches=locked.arches, sigkeys=sigkeys, koji_event=event)


def lock(request: ComposeRequest, settings: ComposeSettings) -> Lock:
    """Return the text of the ``.repo`` file. Raises ComposeError ``compose.source`` for content sets that are not."""
    chosen: dict[str, ContentSet] = {}
    missing: list[str] = []
    for name in request.sources():
        known = settings.content_sets.get(name)
        if known is None or not (known.published or request.has("include_unpublished_pulp_repos")):
            missing.append(name)
        else:
            chosen[name] = known
    if missing and not request.has("ignore_absent_pulp_repos"):
        raise ComposeError(
            f"there is no content set {', '.join(missing)}",
            code="compose.source",
            hint="is the name right? The flag ignore_absent_pulp_repos leaves it out",
        )
    text = "\n".join(content_set_section(name, name, each.url) for name, each in sorted(chosen.items()))
    arches = sorted({arch for each in chosen.values() for arch in each.arches}) or list(request.arches)
    sigkeys = sorted({key for each in chosen.values() for key in each.sigkeys})
    return Lock("pulp", arches=tuple(arches), extra={"repo": text, "sigkeys": sigkeys})
