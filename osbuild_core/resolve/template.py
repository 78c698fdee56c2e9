"""A template and its variables -> a locked manifest."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from osbuild_core.model.errors import Path as Place
from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve.entries import without_credentials
from osbuild_core.resolve.expand import GONE, Expander, Pair, split
from osbuild_core.resolve.locking import Locked, lock
from osbuild_core.resolve.packageset import is_archive_url
from osbuild_core.resolve.settings import ResolveSettings
from osbuild_core.resolve.variables import Declaration, Scope, declare
from osbuild_core.resolve.yamlfile import ROOT, fail, mark_text, pairs

CURL = "org.osbuild.curl"
INLINE = "org.osbuild.inline"


def resolve(
    path: Path, *, variables: Mapping[str, str] | None = None, settings: ResolveSettings | None = None
) -> dict[str, Any]:
    """Return the locked manifest (format version 2) of the template at ``path``.

    ``variables`` are values as they come from a command line. Files of the template are read, and apt is run where
    there are package sets; nothing else is touched but the state directory of ``settings``. Raises
    :class:`ResolveError`, its detail with file, line and column, its place that in the template.
    """
    settings = settings or ResolveSettings()
    if settings.snapshot is not None and not is_archive_url(settings.snapshot):
        shown = without_credentials(settings.snapshot)
        raise ResolveError(
            f"{shown!r} is not the address of an archive",
            code="resolve.snapshot",
            hint="give one like https://SNAPSHOTS/archive/debian/20250101T000000Z",
        )
    with _reading(path, settings):
        return _Template(Path(path), dict(variables or {}), settings).manifest()


def declarations(path: Path, *, settings: ResolveSettings | None = None) -> tuple[Declaration, ...]:
    """Return the variables that the template at ``path`` and what it includes declare, by name.

    Only files of the template are read. Raises :class:`ResolveError`.
    """
    settings = settings or ResolveSettings()
    with _reading(path, settings):
        return _Template(Path(path), {}, settings).declarations()


@contextmanager
def _reading(path: Path, settings: ResolveSettings) -> Iterator[None]:
    """Confine the template at ``path`` to what the settings let it read."""
    confined = ROOT.set(settings.root)
    try:
        yield
    except RecursionError:
        raise ResolveError(f"{path}: the template is nested too deeply", code="resolve.template") from None
    finally:
        ROOT.reset(confined)


def dumps(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as text: the same manifest always gives the same text."""
    return json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def resolve_again_hint(metadata: Mapping[str, Any] | None) -> str:
    """Return the command that resolves a manifest anew; ``metadata`` is the manifest's.

    For builds that find a package gone from its mirror.
    """
    recorded = (metadata or {}).get("resolve")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("template"), str):
        return "osbuild-core resolve TEMPLATE -o MANIFEST"
    words = ["osbuild-core", "resolve", recorded["template"]]
    for name, value in dict(recorded.get("variables") or {}).items():
        words += ["-D", f"{name}={value}"]
    if recorded.get("snapshot"):
        words += ["--snapshot", str(recorded["snapshot"])]
    return shlex.join(words) + " -o MANIFEST"


class _Template:
    """One template while it is being resolved."""

    def __init__(self, path: Path, given: Mapping[str, str], settings: ResolveSettings) -> None:
        self._path = path
        self._settings = settings
        self._expander = Expander()
        self._scope = Scope(given, self._default)
        self._documents: list[tuple[list[Pair], Place]] = []
        self._gathered: set[Path] = set()

    def declarations(self) -> tuple[Declaration, ...]:
        self._gather(self._path, None, ())
        return self._scope.declarations()

    def manifest(self) -> dict[str, Any]:
        self._gather(self._path, None, ())
        self._scope.check_given()
        document = self._merged()
        version = document.pop("version", "2")
        if version not in ("2", 2):
            raise ResolveError(
                f"{self._path}: templates make manifests of version 2", code="resolve.template"
            )
        locked = lock(self._expander.sets, self._settings)
        checksums = {each: [p.checksum for p in packages] for each, packages in locked.items()}
        document = self._expander.finish(document, checksums)
        sources = document.pop("sources", {})
        curl = {p.checksum: {"url": p.url} for packages in locked.values() for p in packages}
        for kind, items in ((CURL, curl), (INLINE, self._expander.inline)):
            if items:
                add_sources(sources, {kind: {"items": items}}, str(self._path))
        return {
            "version": "2",
            "metadata": {**document.pop("metadata", {}), "resolve": self._record(locked)},
            "pipelines": document.pop("pipelines", []),
            "sources": sources,
            **document,
        }

    def _record(self, locked: Locked) -> dict[str, Any]:
        # An absolute path would tell about the machine, and differ from one to the next.
        name = self._path.name if self._path.is_absolute() else self._path.as_posix()
        record: dict[str, Any] = {"template": name, "variables": self._scope.recorded()}
        snapshot = self._settings.snapshot
        if snapshot is not None:
            record["snapshot"] = without_credentials(snapshot)
        if locked:
            # A source's items have no place for it; who shows progress wants to know.
            record["sizes"] = {p.checksum: p.size for packages in locked.values() for p in packages}
        return record

    def _default(self, node: yaml.Node, scope: Scope, path: Place) -> Any:
        value = self._expander.value(node, scope, path)
        return None if value is GONE else value

    def _gather(self, file: Path, node: yaml.Node | None, path: Place) -> None:
        """Read the top level of a file, declare its variables, then do the same for what it includes.

        Documents end up in the order in which their content counts: fragments first.
        """
        real = file.resolve()
        self._expander.enter(file, node, path)
        try:
            if real in self._gathered:
                return
            self._gathered.add(real)
            root = self._expander.load(file, node, path)
            if not isinstance(root, yaml.MappingNode):
                raise ResolveError(
                    f"{file}: a template has to be a mapping" + (", and it is empty" if root is None else ""),
                    code="resolve.template",
                    hint="it has pipelines: and what else a manifest has, and variables:",
                    place=path,
                )
            directive, words, plain = split(root, path)
            if directive not in (None, "$include") or len(words) > 1:
                fail(root, path, "at the top level there is only $include, without $with")
            content: list[Pair] = []
            for key, key_node, child in plain:
                if key == "variables":
                    self._declare(child, (*path, key))
                else:
                    content.append((key, key_node, child))
            if directive:
                self._gather_included(words[directive][1], (*path, directive))
            self._documents.append((content, path))
        finally:
            self._expander.leave()

    def _gather_included(self, node: yaml.Node, path: Place) -> None:
        several = isinstance(node, yaml.SequenceNode)
        for index, item in enumerate(node.value if several else [node]):
            place = (*path, index) if several else path
            self._gather(self._expander.file(item, self._scope, place), item, place)

    def _declare(self, node: yaml.Node, path: Place) -> None:
        if not isinstance(node, yaml.MappingNode):
            fail(node, path, "variables has to be a mapping", code="resolve.variable")
        for name, _, child in pairs(node, path):
            self._scope.declare(declare(name, child, (*path, name)))

    def _merged(self) -> dict[str, Any]:
        """Evaluate all documents and put them together."""
        result: dict[str, Any] = {}
        for content, path in self._documents:
            for key, _, child in content:
                place = (*path, key)
                value = self._expander.value(child, self._scope, place)
                if value is GONE:
                    continue
                if key == "pipelines":
                    _add_pipelines(result.setdefault(key, []), value, child, place)
                elif key in ("sources", "metadata"):
                    if not isinstance(value, dict):
                        fail(child, place, f"{key} has to be a mapping")
                    known = result.setdefault(key, {})
                    if key == "sources":
                        add_sources(known, value, mark_text(child))
                    else:
                        known.update(value)
                else:
                    # Fragments come first, so that the template's own value stays.
                    result[key.removeprefix("$") if key.startswith("$$") else key] = value
        return result


def _add_pipelines(known: list[Any], value: Any, node: yaml.Node, path: Place) -> None:
    if not isinstance(value, list):
        fail(node, path, "pipelines has to be a list")
    names = {pipeline.get("name") for pipeline in known if isinstance(pipeline, dict)}
    for pipeline in value:
        name = pipeline.get("name") if isinstance(pipeline, dict) else None
        if isinstance(name, str):
            if name in names:
                fail(node, path, f"the pipeline {name!r} is defined twice")
            names.add(name)
        known.append(pipeline)


def add_sources(known: dict[str, Any], new: Mapping[str, Any], where: str) -> None:
    """Merge ``new`` sources into ``known``: the items of a source type come together."""
    for kind, source in new.items():
        if kind not in known or not isinstance(source, dict):
            known[kind] = source
            continue
        for name, value in source.items():
            mine = known[kind].get(name) if isinstance(known[kind], dict) else None
            if isinstance(mine, dict) and isinstance(value, dict):
                known[kind] = {**known[kind], name: {**mine, **value}}
            elif isinstance(known[kind], dict):
                known[kind] = {**known[kind], name: value}
            else:
                raise ResolveError(f"{where}: the source {kind} has to be a mapping", code="resolve.template")
