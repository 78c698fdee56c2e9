"""Reads requests from JSON and refuses what is wrong with them, as ODCS does, with the place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.request import BUILD_NVR, ComposeRequest, archives_as_one
from osbuild_core.exports.compose.vocabulary import FLAGS, MULTILIB, RESULTS, SourceType

HOUR = 3600
LONGEST_NAME = 100
"""Characters of what becomes a part of names of files."""
MOST_ARCHES = 32
_LINE = re.compile(r"[A-Za-z0-9 \-/_.:#+?$~^,]*")
_PACKAGE = re.compile(r"[A-Za-z0-9_*?][A-Za-z0-9_.+~^:=*?()/-]*")
_ARCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MODULE = re.compile(r"[A-Za-z0-9_.+-]+(?::[A-Za-z0-9_.+-]+){1,3}")
_RAW = re.compile(r"([^#\s]+)#([^#\s]+)")
_ARCHIVE = "deb URL SUITE COMPONENT…"
_URL = re.compile(r"(?:https?|file)://\S+|/\S*")
_TOP = frozenset(
    "source seconds_to_live seconds-to-live flags results arches multilib_arches multilib_method lookaside_repos"
    " label compose_type target_dir parent_pungi_compose_ids respin_of".split()
)
_SOURCE = frozenset(
    "type source packages builds sigkeys koji_event modular_koji_tags module_defaults_url module_defaults_commit"
    " scratch_modules scratch_build_tasks modules base_module_br_name base_module_br_stream"
    " base_module_br_stream_version_lte base_module_br_stream_version_gte".split()
)
_RENEWAL = frozenset("label sigkeys seconds_to_live seconds-to-live source".split())


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What a configuration allows and what holds where a request says nothing. Times are seconds.

    ``raw_config_names`` and ``target_dirs`` are the names that there are; ``raw_config_ttl`` has the longest time
    of those that differ. ``longest_list`` and ``longest_text`` bound the size of a request.
    """

    seconds_to_live: int = 24 * HOUR
    max_seconds_to_live: int = 72 * HOUR
    arches: tuple[str, ...] = ("x86_64",)
    sigkeys: tuple[str, ...] = ()
    target_dirs: tuple[str, ...] = ()
    raw_config_names: tuple[str, ...] = ()
    raw_config_ttl: Mapping[str, int] = field(default_factory=dict)
    base_modules: tuple[str, ...] = ("platform",)
    longest_list: int = 10_000
    longest_text: int = 100_000

    def longest_life(self, request: ComposeRequest) -> int:
        """Return for how many seconds a compose of ``request`` may live from when it is asked for or renewed."""
        if request.source_type is SourceType.raw_config:
            return self.raw_config_ttl.get(request.source.partition("#")[0], self.max_seconds_to_live)
        return self.max_seconds_to_live


@dataclass(frozen=True, slots=True)
class NewCompose:
    """A request and for how many seconds its compose is to live."""

    request: ComposeRequest
    seconds_to_live: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal asks for; None where it says nothing."""

    seconds_to_live: int | None = None
    label: str | None = None
    sigkeys: tuple[str, ...] | None = None
    builds: tuple[str, ...] | None = None
    modules: tuple[str, ...] | None = None


def refuse(message: str, *place: str | int, hint: str | None = None) -> NoReturn:
    """Raise ComposeError ``compose.request``."""
    raise ComposeError(message, code="compose.request", hint=hint, place=place)


class _Fields:
    """One JSON object, its values taken with their types checked."""

    def __init__(
        self, values: Mapping[str, Any], known: frozenset[str], rules: RequestRules, *place: str
    ) -> None:
        self.values, self.rules, self.place = values, rules, place
        for name, value in values.items():
            if not isinstance(name, str) or not name.isprintable():
                refuse("names of parameters have to be plain text", *place)
            if value is None:
                refuse(f"Invalid value of parameter {name!r}: null", *place, name, hint="leave it out")
            if isinstance(value, dict) and (place or name != "source"):
                refuse(f"Only dict allowed is 'source', {name!r} is one", *place, name)
            if isinstance(value, list) and any(not isinstance(item, str | int) for item in value):
                refuse(f"{name!r} has to be a list of strings", *place, name)
            if name != "packages" and name in known:
                self._check_text(name, value if isinstance(value, list) else [value])

    def _check_text(self, name: str, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, str) and not _LINE.fullmatch(item):
                refuse(
                    f"{name!r} has characters that are not allowed: {item[:60]!r}",
                    *self.place,
                    name,
                    hint="letters, digits, spaces and -/_.:#+?$~^, are",
                )

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            refuse(f"{name!r} should be a string", *self.place, name)
        if value is not None and len(value) > self.rules.longest_text:
            refuse(f"{name!r} is too long", *self.place, name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            refuse(f"{name!r} should be an integer", *self.place, name)
        if value is not None and not 0 <= value < 1 << 63:
            refuse(f"{name!r} is out of range", *self.place, name)
        return value

    def words(self, name: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        value = self.values.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, list):
            refuse(f"{name!r} should be a list", *self.place, name)
        if len(value) > self.rules.longest_list:
            refuse(f"{name!r} has more than {self.rules.longest_list} items", *self.place, name)
        for index, item in enumerate(value):
            if not isinstance(item, str) or len(item) > 1000 or (pattern and not pattern.fullmatch(item)):
                refuse(f"{str(item)[:60]!r} is no value for {name!r}", *self.place, name, index)
            if name != "sigkeys" and (not item or " " in item):
                refuse(f"{item[:60]!r} is no single word of {name!r}", *self.place, name, index)
        return tuple(dict.fromkeys(value))

    def named(self, name: str, table: Mapping[str, int], what: str) -> frozenset[str]:
        chosen = self.words(name)
        for index, item in enumerate(chosen):
            if item not in table:
                refuse(
                    f"Unknown {what} {item!r}", *self.place, name, index, hint="there are " + ", ".join(table)
                )
        return frozenset(chosen)


def parse_request(document: Any, rules: RequestRules | None = None) -> NewCompose:
    """Return what the JSON ``document`` of a new compose asks for. Raises ComposeError ``compose.request``."""
    rules = rules or RequestRules()
    if not isinstance(document, dict) or not document:
        refuse("No JSON POST data submitted")
    top = _Fields(document, _TOP, rules)
    given = document.get("source")
    if not isinstance(given, dict):
        refuse("Missing source configuration in request", "source")
    fields = _Fields(given, _SOURCE, rules, "source")
    kind = _source_type(fields)
    source = (fields.text("source") or "").strip()
    scratch = fields.words("scratch_modules")
    builds = fields.words("builds", BUILD_NVR)
    if not source and kind is not SourceType.build and not (kind is SourceType.module and scratch):
        refuse(f"No source provided for {int(kind)}", "source", "source")
    _check_source(kind, source, rules)
    url, commit = fields.text("module_defaults_url"), fields.text("module_defaults_commit")
    if bool(url) != bool(commit):
        refuse("Both, module_defaults_url and module_defaults_commit, have to be set", "source")
    target_dir = top.text("target_dir") or "default"
    if target_dir not in ("default", *rules.target_dirs):
        refuse(f"Unknown target_dir {target_dir!r}", "target_dir")
    # Those of another compose are its own unless told.
    arches = top.words("arches", _ARCH) or (() if kind is SourceType.pungi_compose else rules.arches)
    multilib_arches = top.words("multilib_arches", _ARCH)
    if len(arches) > MOST_ARCHES or len(multilib_arches) > MOST_ARCHES:
        refuse(f"more than {MOST_ARCHES} architectures", "arches")
    request = ComposeRequest(
        source_type=kind,
        source=" ".join(source.split()),
        packages=fields.words("packages", _PACKAGE),
        builds=builds,
        sigkeys=fields.words("sigkeys") if "sigkeys" in given else _default_sigkeys(kind, source, rules),
        koji_event=fields.integer("koji_event"),
        flags=top.named("flags", FLAGS, "flag"),
        results=top.named("results", RESULTS, "result") | {"repository"},
        arches=arches,
        multilib_arches=multilib_arches,
        multilib_method=top.named("multilib_method", MULTILIB, "multilib method") - {"none"},
        lookaside_repos=_lookaside(top),
        modular_koji_tags=fields.words("modular_koji_tags"),
        module_defaults_url=url,
        module_defaults_commit=commit,
        modules=fields.words("modules", _MODULE),
        scratch_modules=scratch,
        scratch_build_tasks=fields.words("scratch_build_tasks"),
        parent_pungi_compose_ids=top.words("parent_pungi_compose_ids"),
        base_module_br_name=fields.text("base_module_br_name"),
        base_module_br_stream=fields.text("base_module_br_stream"),
        base_module_br_stream_version_lte=fields.integer("base_module_br_stream_version_lte"),
        base_module_br_stream_version_gte=fields.integer("base_module_br_stream_version_gte"),
        label=top.text("label"),
        compose_type=_compose_type(top),
        target_dir=target_dir,
        respin_of=top.text("respin_of"),
    )
    return NewCompose(request, _seconds_to_live(top, rules, request))


def parse_renewal(document: Any, rules: RequestRules | None = None) -> Renewal:
    """Return what the JSON ``document`` of a renewal asks for (None: nothing). Raises ComposeError."""
    rules = rules or RequestRules()
    if document is None or document == {}:
        return Renewal()
    if not isinstance(document, dict):
        refuse("The body has to be a JSON object")
    top = _Fields(document, _RENEWAL, rules)
    given = document.get("source", {})
    if not isinstance(given, dict):
        refuse("'source' has to be an object", "source")
    fields = _Fields(given, _SOURCE, rules, "source")
    asked = _asked_seconds(top)
    return Renewal(
        # What the one that is renewed may have is known to who has it.
        seconds_to_live=None
        if asked is None
        else min(asked, max(rules.max_seconds_to_live, *rules.raw_config_ttl.values(), 0)),
        label=top.text("label"),
        sigkeys=top.words("sigkeys") if "sigkeys" in document else None,
        builds=fields.words("builds", BUILD_NVR) or None,
        modules=fields.words("modules", _MODULE) or None,
    )


def _default_sigkeys(kind: SourceType, source: str, rules: RequestRules) -> tuple[str, ...]:
    # Debian packages have no signatures; their archives have.
    is_debian = kind is SourceType.repo and source.split()[:1] == ["deb"]
    return () if is_debian else rules.sigkeys


def _source_type(fields: _Fields) -> SourceType:
    name = fields.values.get("type")
    known = ", ".join(SourceType.__members__)
    if not name:
        refuse("Missing type in source configuration", "source", "type", hint=f"there are {known}")
    if not isinstance(name, str) or name not in SourceType.__members__:
        refuse(f'Unknown source type "{str(name)[:60]}"', "source", "type", hint=f"there are {known}")
    return SourceType[name]


def _check_source(kind: SourceType, source: str, rules: RequestRules) -> None:
    """Refuse a source that its type cannot mean."""
    if kind is SourceType.raw_config:
        match = _RAW.fullmatch(source)
        if match is None:
            refuse('Source must be in "name#commit" format for "raw_config"', "source", "source")
        if match[1] not in rules.raw_config_names:
            refuse(f'Source "{match[1]}" does not match any configured raw_config', "source", "source")
    if kind is SourceType.module:
        for word in source.split():
            if not _MODULE.fullmatch(word):
                refuse(
                    f'Module definition must be in "n:s", "n:s:v" or "n:s:v:c" format, got {word!r}',
                    "source",
                    "source",
                )
            if word.partition(":")[0] in rules.base_modules:
                refuse(f"{word!r} is a base module, which no compose can have", "source", "source")


def _lookaside(top: _Fields) -> tuple[str, ...]:
    """Return addresses of RPM repositories, or archives of Debian as the source has them."""
    value = top.values.get("lookaside_repos")
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list) or "deb" not in [str(item).split(" ")[0] for item in items]:
        return top.words("lookaside_repos", _URL)
    words = [word for item in items for word in str(item).split()]
    if len(words) > top.rules.longest_list:
        refuse("'lookaside_repos' is too long", "lookaside_repos")
    archives = archives_as_one(words)
    for index, item in enumerate(archives):
        if not re.fullmatch(r"deb( \S+)+", item) or any(_URL.fullmatch(word) for word in item.split()[2:]):
            refuse(
                f"{item[:60]!r} is no archive of Debian", "lookaside_repos", index, hint=f"write {_ARCHIVE}"
            )
    return archives


def _compose_type(top: _Fields) -> str:
    value = top.text("compose_type")
    if value is not None and (len(value) > LONGEST_NAME or not _WORD.fullmatch(value)):
        # It becomes the name of a directory.
        refuse(f"{value[:60]!r} is no compose type", "compose_type")
    return value or "test"


def _asked_seconds(top: _Fields) -> int | None:
    asked = top.integer("seconds_to_live")
    other = top.values.get("seconds-to-live")
    if asked is None and isinstance(other, str):
        # That is what the client's command line sends.
        if not re.fullmatch("[0-9]{1,12}", other):
            refuse("Invalid seconds-to-live specified in request", "seconds-to-live")
        return int(other)
    return top.integer("seconds-to-live") if asked is None else asked


def _seconds_to_live(top: _Fields, rules: RequestRules, request: ComposeRequest) -> int:
    asked = _asked_seconds(top)
    return min(rules.seconds_to_live if asked is None else asked, rules.longest_life(request))
