"""What a client asks for: one frozen description, read from what came over the wire or from a table's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osbuild_core.exports.compose.vocabulary import FLAGS, MULTILIB, RESULTS, SourceType, names, number


@dataclass(frozen=True, slots=True)
class ComposeRequest:
    """A request, checked. Lists are tuples without repetitions, in the order in which they came.

    ``source`` is white-space separated. ``koji_event`` is the revision of the source: for ``repo`` that of its
    metadata; None: the newest. ``sigkeys`` are ids of keys, preferred first, ``""`` stands for unsigned packages;
    without any, signatures do not matter. ``results`` always has ``repository``.
    """

    source_type: SourceType
    source: str = ""
    packages: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    sigkeys: tuple[str, ...] = ()
    koji_event: int | None = None
    flags: frozenset[str] = frozenset()
    results: frozenset[str] = frozenset({"repository"})
    arches: tuple[str, ...] = ("x86_64",)
    multilib_arches: tuple[str, ...] = ()
    multilib_method: frozenset[str] = frozenset()
    lookaside_repos: tuple[str, ...] = ()
    modular_koji_tags: tuple[str, ...] = ()
    module_defaults_url: str | None = None
    module_defaults_commit: str | None = None
    modules: tuple[str, ...] = ()
    scratch_modules: tuple[str, ...] = ()
    scratch_build_tasks: tuple[str, ...] = ()
    parent_pungi_compose_ids: tuple[str, ...] = ()
    base_module_br_name: str | None = None
    base_module_br_stream: str | None = None
    base_module_br_stream_version_lte: int | None = None
    base_module_br_stream_version_gte: int | None = None
    label: str | None = None
    compose_type: str = "test"
    target_dir: str = "default"
    respin_of: str | None = None

    def has(self, flag: str) -> bool:
        """Tell whether a flag is set."""
        return flag in self.flags

    def sources(self) -> tuple[str, ...]:
        """Return the words of ``source``."""
        return tuple(self.source.split())


def archives_as_one(words: Sequence[str]) -> tuple[str, ...]:
    """Return words, those of an archive of Debian (``deb URL SUITE COMPONENT…``) as one."""
    found: list[str] = []
    for word in words:
        if word == "deb" or not (found and found[-1].split(" ")[0] == "deb"):
            found.append(word)
        else:
            found[-1] += f" {word}"
    return tuple(dict.fromkeys(found))


LISTS = (
    *("packages", "builds", "arches", "multilib_arches", "lookaside_repos", "modular_koji_tags", "modules"),
    *("scratch_modules", "scratch_build_tasks", "parent_pungi_compose_ids"),
)
"""Fields that are stored and shown as words with spaces between them."""

PLAIN = (
    *("source", "koji_event", "base_module_br_name", "base_module_br_stream", "label", "compose_type"),
    *("base_module_br_stream_version_lte", "base_module_br_stream_version_gte", "target_dir", "respin_of"),
)
"""Fields that are stored and shown as they are."""


def columns(request: ComposeRequest) -> dict[str, Any]:
    """Return the request as ODCS stores and shows it.

    Lists are one string, ``source_type`` and ``multilib_method`` are numbers, ``flags`` and ``results`` lists of
    names, and the two parts of ``module_defaults_url`` one string.
    """
    shown: dict[str, Any] = {"source_type": int(request.source_type)}
    for name in PLAIN:
        shown[name] = getattr(request, name)
    for name in LISTS:
        shown[name] = " ".join(getattr(request, name))
    shown["sigkeys"] = " ".join(request.sigkeys)
    defaults = (request.module_defaults_url, request.module_defaults_commit)
    shown["module_defaults_url"] = " ".join(part for part in defaults if part) or None
    shown["flags"] = list(names(number(request.flags, FLAGS), FLAGS))
    shown["results"] = list(names(number(request.results, RESULTS), RESULTS))
    shown["multilib_method"] = number(request.multilib_method, MULTILIB)
    return shown


def from_columns(stored: Mapping[str, Any]) -> ComposeRequest:
    """Return the request of which :func:`columns` made ``stored``; what it has beside that is left alone.

    ``flags`` and ``results`` may be numbers as well.
    """
    fields: dict[str, Any] = {name: stored.get(name) for name in PLAIN}
    fields.update({name: tuple((stored.get(name) or "").split()) for name in LISTS})
    fields["lookaside_repos"] = archives_as_one(fields["lookaside_repos"])
    fields["source"] = fields["source"] or ""
    fields["compose_type"] = fields["compose_type"] or "test"
    fields["target_dir"] = fields["target_dir"] or "default"
    # An empty word among keys counts: it allows unsigned packages.
    sigkeys = stored.get("sigkeys") or ""
    fields["sigkeys"] = tuple(sigkeys.split(" ")) if sigkeys else ()
    url, _, commit = (stored.get("module_defaults_url") or "").partition(" ")
    fields["module_defaults_url"], fields["module_defaults_commit"] = url or None, commit or None
    fields["source_type"] = SourceType(stored["source_type"])
    for name, table in (("flags", FLAGS), ("results", RESULTS), ("multilib_method", MULTILIB)):
        value = stored.get(name) or 0
        fields[name] = frozenset(names(value, table) if isinstance(value, int) else value)
    fields["results"] |= {"repository"}
    return ComposeRequest(**fields)


BUILD_NVR = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._+-]*)-([A-Za-z0-9._+~^:]+)-([A-Za-z0-9._+~^]+)")
"""Name, version and release of a build."""
