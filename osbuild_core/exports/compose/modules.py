"""Modules: streams of packages that the ``modules.yaml`` of repositories describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.compose import rpm, unpacking
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.fetch import SMALL
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.rpmmd import for_arch, read_repository
from osbuild_core.exports.compose.rpmpackage import is_debug
from osbuild_core.exports.compose.rpmselect import Listed, native

_BASE = frozenset({"platform"})
_ON_STREAMS = ("modulemd-defaults", "modulemd-obsoletes")


@dataclass(frozen=True, slots=True)
class Module:
    """One build of a module for one architecture. ``document`` is its description."""

    name: str
    stream: str
    version: int
    context: str
    arch: str
    document: Mapping[str, Any]

    @property
    def nsvc(self) -> str:
        return f"{self.name}:{self.stream}:{self.version}:{self.context}"

    @property
    def artifacts(self) -> frozenset[str]:
        """The nevras of its packages."""
        return frozenset(self.document.get("artifacts", {}).get("rpms", ()))

    def installable(self) -> frozenset[str]:
        """The nevras of its packages for its architecture; repositories often lack its sources and debugging
        information."""
        arches = native(self.arch)
        return frozenset(
            nevra
            for nevra in self.artifacts
            if nevra.rpartition(".")[2] in arches and not is_debug(nevra.rsplit("-", 2)[0])
        )

    def requires(self) -> dict[str, list[str]]:
        """Return the streams (none: any) of the modules that it needs, by name."""
        found: dict[str, list[str]] = {}
        for dependency in self.document.get("dependencies") or ():
            found.update(
                {name: list(streams or ()) for name, streams in (dependency.get("requires") or {}).items()}
            )
        return {name: streams for name, streams in found.items() if name not in _BASE}


def exact_source(request: ComposeRequest, settings: ComposeSettings) -> str:
    """Return the source as names, streams, versions and contexts, with the modules that are needed."""
    chosen = _choose(request, _read(request, settings)[0])
    return " ".join(sorted({module.nsvc for module in chosen}))


def rpm_source(request: ComposeRequest, settings: ComposeSettings) -> rpm.RpmSource:
    """Return where the packages of modules are, which these are, and the descriptions that go along."""
    import yaml

    known, others = _read(request, settings)
    chosen = _choose(request, known)
    listed = Listed(
        frozenset().union(*(module.artifacts for module in chosen)),
        frozenset().union(*(module.installable() for module in chosen)),
        "the modules",
    )
    documents = [{"document": "modulemd", "version": 2, "data": dict(module.document)} for module in chosen]
    names = {module.name for module in chosen}
    documents += [other for other in others if other["data"]["module"] in names]
    text = yaml.safe_dump_all(
        documents, explicit_start=True, explicit_end=True, sort_keys=True, allow_unicode=True
    )
    return rpm.RpmSource(
        settings.module_repos, listed.have, every=True, metadata={"modules": text}, check=listed.check
    )


def _read(request: ComposeRequest, settings: ComposeSettings) -> tuple[list[Module], list[dict[str, Any]]]:
    """Return all modules of the repositories for the request's arches, and what these say of default and obsolete
    streams. Raises ComposeError ``compose.source``."""
    import yaml

    if not settings.module_repos:
        raise ComposeError("there are no repositories with modules", code="compose.source")
    fetcher = rpm.fetcher_of(settings)
    found: dict[tuple[str, str], Module] = {}
    others: list[dict[str, Any]] = []
    for address in dict.fromkeys(for_arch(r, arch) for r in settings.module_repos for arch in request.arches):
        path = read_repository(address, fetcher).fetch("modules", fetcher)
        if path is None:
            continue
        try:
            text = b"".join(unpacking.blocks(path, SMALL))
            documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
            modules = [_module(one) for one in documents if one and one.get("document") == "modulemd"]
            others += [
                one
                for one in documents
                if one and one.get("document") in _ON_STREAMS and one["data"]["module"] and one not in others
            ]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ComposeError(
                f"the modules of {address} cannot be read: {reason}", code="compose.source"
            ) from None
        found.update(
            {(module.nsvc, module.arch): module for module in modules if module.arch in request.arches}
        )
    return list(found.values()), others


def _module(document: Any) -> Module:
    data = document["data"]
    return Module(
        str(data["name"]),
        str(data["stream"]),
        int(data["version"]),
        str(data.get("context", "00000000")),
        str(data.get("arch", "noarch")),
        data,
    )


def _choose(request: ComposeRequest, known: Iterable[Module]) -> list[Module]:
    """Return the modules of a request and, unless it says not, those that they need."""
    everything = list(known)
    chosen: dict[tuple[str, str], Module] = {}
    todo = [*request.sources(), *request.modules]
    while todo:
        word = todo.pop(0)
        matching = _newest(word, everything)
        if not matching:
            raise ComposeError(
                f"no repository has the module {word}",
                code="compose.packages",
                hint="is it name:stream[:version[:context]], and built for the arches?",
            )
        for module in matching:
            chosen[(module.nsvc, module.arch)] = module
        if not request.has("no_deps"):
            names = {module.name for module in chosen.values()} | {one.partition(":")[0] for one in todo}
            for module in matching:
                for name, streams in module.requires().items():
                    if name not in names:
                        todo.append(_needed(name, streams, everything))
                        names.add(name)
    return [chosen[key] for key in sorted(chosen)]


def _newest(word: str, known: Iterable[Module]) -> list[Module]:
    """Return the newest version of what ``word`` names, in all contexts and architectures."""
    parts = word.split(":")
    matching = [
        module
        for module in known
        if [module.name, module.stream, str(module.version), module.context][: len(parts)] == parts
    ]
    newest = max((module.version for module in matching), default=0)
    return [module for module in matching if module.version == newest]


def _needed(name: str, streams: list[str], known: Iterable[Module]) -> str:
    """Return which stream of a module to take: the first of ``streams`` that there is. None of them: any; one with
    a minus in front: not that one."""
    there = sorted({module.stream for module in known if module.name == name}, reverse=True)
    wanted = [stream for stream in streams if not stream.startswith("-")]
    unwanted = {stream[1:] for stream in streams if stream.startswith("-")}
    possible = wanted or [stream for stream in there if stream not in unwanted]
    chosen = next((stream for stream in possible if stream in there), next(iter(possible), None))
    return name if chosen is None else f"{name}:{chosen}"
