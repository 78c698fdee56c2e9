"""Tags: named sets of packages from the configuration, and builds that are added to them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable

from osbuild_core.exports.compose import debian, rpm
from osbuild_core.exports.compose.configuration import ComposeSettings, PackageTag
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmpackage import RpmPackage
from osbuild_core.exports.compose.rpmselect import matches
from osbuild_core.exports.compose.vocabulary import SourceType
from osbuild_core.model.errors import OsbuildError


def tags_of(request: ComposeRequest, settings: ComposeSettings) -> dict[str, PackageTag]:
    """Return a request's tags with all that they inherit from, by name. Raises ComposeError ``compose.source``."""
    found: dict[str, PackageTag] = {}
    todo = list(reversed(request.sources()))
    while todo:
        name = todo.pop()
        if name in found:
            continue
        if name not in settings.tags:
            raise ComposeError(
                f"there is no tag {name!r}",
                code="compose.source",
                hint=f"there are {', '.join(sorted(settings.tags)) or 'none'}",
            )
        found[name] = settings.tags[name]
        if not request.has("no_inheritance"):
            todo.extend(reversed(found[name].inherits))
    return found


def debian_request(request: ComposeRequest, settings: ComposeSettings) -> ComposeRequest | None:
    """Return the request for Debian archives that a tag means, None where it means RPM repositories."""
    tags = tags_of(request, settings)
    entries = [entry for tag in tags.values() for entry in tag.repos]
    if not entries or not all(entry.startswith("deb ") for entry in entries):
        return None
    if request.builds:
        raise ComposeError(
            "a tag of Debian packages has no builds",
            code="compose.unsupported",
            hint="name packages with their versions, as name=version",
        )
    narrowed = [tag.packages for tag in tags.values() if tag.repos]
    if any(narrowed) and not all(narrowed):
        raise ComposeError(
            "a tag cannot have all of one Debian archive and some packages of another",
            code="compose.unsupported",
            hint="name packages in each tag of the configuration, or in none",
        )
    names = tuple(dict.fromkeys(name for packages in narrowed for name in packages))
    packages = _within(request.packages, names) if request.packages and names else request.packages or names
    return dataclasses.replace(
        request, source_type=SourceType.repo, source=" ".join(entries), packages=packages
    )


def _within(words: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``words`` of a request as far as they are among the ``names`` of a set; both may have wildcards.

    Raises ComposeError ``compose.packages`` for one that is not.
    """
    found: list[str] = []
    for word in words:
        name = re.split("[=/]", word)[0]
        inside = [word] if matches(name, names) else [one for one in names if matches(one, [name])]
        if not inside:
            raise ComposeError(f"the tag does not have the package {word!r}", code="compose.packages")
        found += inside
    return tuple(dict.fromkeys(found))


def rpm_source(request: ComposeRequest, settings: ComposeSettings) -> rpm.RpmSource:
    """Return what a tag means in RPM repositories; the builds of the request are considered on top."""
    tags = tags_of(request, settings)
    repos = tuple(dict.fromkeys(entry for tag in tags.values() for entry in tag.repos))
    if any(entry.startswith("deb ") for entry in repos):
        raise ComposeError("a tag cannot have RPM and Debian packages", code="compose.source")
    rules = [([_pattern(repo) for repo in tag.repos], tag.packages or ("*",)) for tag in tags.values()]
    builds = Builds(request.builds)

    def allows(package: RpmPackage) -> bool:
        if builds.have(package):
            return True
        # Source packages and debugging information follow what is chosen, however the set is narrowed.
        follows = package.is_source or package.is_debug
        return any(
            _is_of(package, own)
            and (follows or matches(package.name, names) or matches(package.source[0], names))
            for own, names in rules
        )

    further = settings.build_repos if request.builds else ()
    return rpm.RpmSource((*repos, *further), allows, check=builds.check, counted=repos)


def build_source(request: ComposeRequest, settings: ComposeSettings) -> rpm.RpmSource:
    """Return where builds are looked for; only their packages are considered."""
    if not request.builds:
        raise ComposeError("no builds are named", code="compose.request", hint="name them in builds")
    if not settings.build_repos:
        raise ComposeError(
            "there are no repositories in which builds could be found",
            code="compose.source",
            hint="name some in the configuration",
        )
    builds = Builds(request.builds)
    return rpm.RpmSource(settings.build_repos, builds.have, every=True, check=builds.check)


class Builds:
    """Builds by name, version and release, and which of them something was found of."""

    def __init__(self, nvrs: Iterable[str]) -> None:
        self._nvrs = frozenset(nvrs)
        self._found: set[str] = set()

    def have(self, package: RpmPackage) -> bool:
        """Tell whether a package, or a source package, is of one of the builds."""
        name, evr = (package.name, package.evr) if package.is_source else package.source
        nvr = f"{name}-{evr.partition(':')[2] or evr}"
        if nvr not in self._nvrs:
            return False
        self._found.add(nvr)
        return True

    def check(self) -> None:
        """Raise ComposeError ``compose.packages`` for a build of which nothing was found."""
        missing = sorted(self._nvrs - self._found)
        if missing:
            raise ComposeError(
                f"no repository has packages of the build {missing[0]}",
                code="compose.packages",
                hint="is it name-version-release of the source package?",
            )


def _is_of(package: RpmPackage, patterns: Iterable[re.Pattern[str]]) -> bool:
    return any(pattern.fullmatch(package.repo.rstrip("/")) for pattern in patterns)


def _pattern(address: str) -> re.Pattern[str]:
    """Return what the URLs of a repository match, whose address has a place for the architecture."""
    url = (address if "://" in address else f"file://{address}").rstrip("/")
    return re.compile(re.sub(r"\\\$(?:base)?arch", "[^/]+", re.escape(url)))


def revision(request: ComposeRequest, settings: ComposeSettings) -> int | None:
    """Return the newest revision of the repositories of a request's tags."""
    other = debian_request(request, settings)
    if other is not None:
        return debian.revision(other, settings)
    repos = [entry for tag in tags_of(request, settings).values() for entry in tag.repos]
    return rpm.revision(repos, request, settings)


def tag_changed(
    settings: ComposeSettings, arches: tuple[str, ...] = ("x86_64",)
) -> Callable[[str, int], bool]:
    """Return what tells whether a tag, or one that it inherits from, changed since a revision (for reuse.choose).

    A tag that is not there any more has changed; so has one that cannot be read, as nobody knows: whoever makes the
    compose then finds out why.
    """

    def changed(name: str, event: int) -> bool:
        request = ComposeRequest(SourceType.tag, name, arches=arches)
        try:
            now = revision(request, settings)
        except OsbuildError:
            return True
        return now is None or now > event

    return changed
