"""What a template says about a set of packages, before apt has chosen them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

import yaml

from osbuild_core.model.errors import Path
from osbuild_core.resolve.yamlfile import fail, read_bytes, suggestion

_KEYS = (
    *("name", "suite", "components", "architecture", "base", "include", "exclude", "recommends"),
    *("updates", "installed", "repositories"),
)
BASES = ("minbase", "essential", "none")
SCHEMES = ("http", "https", "ftp", "file")
_ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_SUITE = re.compile(r"\.?[A-Za-z0-9][A-Za-z0-9._+/~-]*|\./")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/~-]*")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*[a-z0-9.+]")
# apt's own notation. What starts with a dash, ends in one or has wildcards means something else to apt.
_WANTED = re.compile(_NAME.pattern + r"(?:=[A-Za-z0-9.+:~-]+|/[A-Za-z0-9._~-]+)?")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that the template brings. ``key`` is an armored key or the path of a keyring."""

    url: str
    suite: str
    components: tuple[str, ...]
    key: str | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class PackageSet:
    """One ``$packages``. Sets that say the same are equal, wherever they stand."""

    suite: str
    components: tuple[str, ...] = ("main",)
    architecture: str | None = None
    base: str = "essential"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recommends: bool = False
    updates: bool = True
    installed: str | None = None
    repositories: tuple[Repository, ...] = ()
    name: str | None = None
    node: yaml.Node | None = field(default=None, compare=False, repr=False)
    path: Path = field(default=(), compare=False)

    @property
    def title(self) -> str:
        """How messages call the set."""
        return f"package set {self.name!r}" if self.name else f"package set of {self.suite}"


class _Fields:
    """The keys of one mapping, taken with their types checked."""

    def __init__(self, values: Any, known: tuple[str, ...], what: str, node: yaml.Node, path: Path) -> None:
        self.node, self.path, self.what = node, path, what
        if not isinstance(values, dict):
            fail(node, path, f"{what} has to be a mapping")
        for key in values:
            if key not in known:
                hint = suggestion(key, known, "it takes")
                fail(node, (*path, key), f"{what} has no {key!r}", hint=hint)
        self._values: Mapping[str, Any] = values

    def wrong(self, key: str, expected: str) -> Any:
        fail(self.node, (*self.path, key), f"{key!r} of {self.what} has to be {expected}")

    def word(self, key: str, pattern: re.Pattern[str]) -> str | None:
        value = self._values.get(key)
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            self.wrong(key, "a word")
        return value

    def words(self, key: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self._values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(key, "a list")
        # A list in the list comes from a variable or an alias.
        flat = [word for item in value for word in (item if isinstance(item, list) else [item])]
        for item in flat:
            if not (isinstance(item, str) and pattern.fullmatch(item)):
                fail(self.node, (*self.path, key), f"{item!r} is not {what}")
        return tuple(dict.fromkeys(flat))

    def flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
        return bool(value)

    def any(self, key: str) -> Any:
        return self._values.get(key)


def read_package_set(values: Any, node: yaml.Node, path: Path) -> PackageSet:
    """Read the value of a ``$packages``. Raises ResolveError ``resolve.template`` for what is wrong with it."""
    fields = _Fields(values, _KEYS, "$packages", node, path)
    suite = fields.word("suite", _SUITE)
    if suite is None:
        fail(node, path, "$packages needs a suite", hint="for example suite: bookworm")
    installed = fields.word("installed", _WORD)
    base = fields.any("base") or ("none" if installed else "essential")
    if base not in BASES:
        fields.wrong("base", "one of " + ", ".join(BASES))
    components = fields.words("components", _WORD, "the name of a component") or ("main",)
    brought = fields.any("repositories") or []
    if not isinstance(brought, list):
        fields.wrong("repositories", "a list")
    return PackageSet(
        suite=suite,
        components=components,
        architecture=fields.word("architecture", _ARCHITECTURE),
        base=base,
        include=fields.words("include", _WANTED, "the name of a package"),
        exclude=fields.words("exclude", _NAME, "the name of a package"),
        recommends=fields.flag("recommends", False),
        updates=fields.flag("updates", True),
        installed=installed,
        repositories=tuple(
            _repository(item, suite, components, node, (*path, "repositories", index))
            for index, item in enumerate(brought)
        ),
        name=fields.word("name", _WORD),
        node=node,
        path=path,
    )


def _repository(
    values: Any, suite: str, components: tuple[str, ...], node: yaml.Node, path: Path
) -> Repository:
    fields = _Fields(values, ("url", "suite", "components", "key", "trusted"), "a repository", node, path)
    url = fields.any("url")
    if not isinstance(url, str) or not is_archive_url(url):
        fields.wrong("url", "an address that starts with " + ", ".join(f"{s}://" for s in SCHEMES))
    own = fields.word("suite", _SUITE) or suite
    # A flat repository has no components; apt refuses them there.
    parts = () if own.endswith("/") else fields.words("components", _WORD, "the name of a component")
    key = fields.any("key")
    if key is not None and not isinstance(key, str):
        fields.wrong("key", "a file or an armored key")
    return Repository(
        url=url,
        suite=own,
        components=() if own.endswith("/") else parts or components,
        key=None if key is None else _key(key, node, path),
        trusted=fields.flag("trusted", False),
    )


def is_archive_url(url: str) -> bool:
    """Tell whether packages can be fetched from below ``url``."""
    if not url.isprintable() or any(c in url for c in " []<>\"'"):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in SCHEMES and bool(parts.hostname or (parts.scheme == "file" and parts.path))


def _key(key: str, node: yaml.Node, path: Path) -> str:
    """Return an armored key as it is; for a file its armored content, or the path of a binary keyring."""
    if _ARMOR in key:
        return key
    file = FilePath(node.start_mark.name).parent / key
    data = read_bytes(file, node, path)
    return data.decode() if _ARMOR.encode() in data else str(file.resolve())


def in_order(sets: list[PackageSet]) -> list[PackageSet]:
    """Return the distinct sets, each after the one that it is resolved on top of.

    Raises ResolveError where a name is used for two sets or unknown, or where sets stand on each other.
    """
    distinct = list({each: each for each in sets}.values())
    named: dict[str, PackageSet] = {}
    for each in distinct:
        if each.name and named.setdefault(each.name, each) is not each:
            _fail(each, f"two different package sets are named {each.name!r}")
    done: dict[PackageSet, None] = {}
    for each in distinct:
        _visit(each, named, done, [])
    return list(done)


def _visit(
    each: PackageSet, named: Mapping[str, PackageSet], done: dict[PackageSet, None], above: list[PackageSet]
) -> None:
    if each in done:
        return
    if each in above:
        _fail(each, "package sets are resolved on top of each other: " + " → ".join(s.title for s in above))
    if each.installed is not None:
        below = named.get(each.installed)
        if below is None:
            hint = suggestion(each.installed, named, "named are")
            _fail(each, f"no package set is named {each.installed!r}", hint)
        else:
            _visit(below, named, done, [*above, each])
    done[each] = None


def _fail(each: PackageSet, message: str, hint: str | None = None) -> None:
    assert each.node is not None
    fail(each.node, each.path, message, hint=hint)
