"""Version 1 of the manifest format: one pipeline with an assembler, its build pipelines nested in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.formats.validation import validate_1
from osbuild_core.model import ids
from osbuild_core.model.errors import ManifestError, Path
from osbuild_core.model.manifest import (
    ORIGIN_PIPELINE,
    ORIGIN_SOURCE,
    Input,
    Manifest,
    Pipeline,
    Source,
    Stage,
)

if TYPE_CHECKING:
    from osbuild_core.catalog import Library

Document = Mapping[str, Any]

TREE = "tree"
ASSEMBLER = "assembler"

_ITEMS = ("items", "urls", "commits")
"""Where the items of a source may stand."""


def load(document: Document, library: Library) -> Manifest:
    """Return the manifest in ``document``; see :func:`osbuild_core.formats.load`."""
    issues = validate_1(document, library)
    if issues:
        raise ManifestError(issues)
    pipelines = _pipelines(document.get("pipeline", {}))
    sources = tuple(_source(name, item) for name, item in document.get("sources", {}).items())
    return Manifest("1", tuple(pipelines), sources)


def _pipelines(document: Document) -> list[Pipeline]:
    """Return the pipelines, the innermost build pipeline first: build-build, build, tree, assembler."""
    nested: list[tuple[Document, Path]] = []
    level: Document | None = document
    path: Path = ("pipeline",)
    while level is not None:
        nested.append((level, path))
        level = level.get("build", {}).get("pipeline")
        path = (*path, "build", "pipeline")
    pipelines: list[Pipeline] = []
    build: Pipeline | None = None
    for depth in range(len(nested) - 1, -1, -1):
        item, path = nested[depth]
        name = "-".join(["build"] * depth) or TREE
        declares = nested[depth - 1][0]["build"]["runner"] if depth else None
        build = _pipeline(name, item, build, path, declares)
        pipelines.append(build)
    if document.get("assembler"):
        pipelines.append(_assembler(document["assembler"], pipelines[-1], pipelines))
    return pipelines


def _pipeline(
    name: str, item: Document, build: Pipeline | None, path: Path, declares: str | None
) -> Pipeline:
    stages: list[Stage] = []
    for index, description in enumerate(item.get("stages", ())):
        options = description.get("options") or {}
        inputs = _implied_inputs(description["name"], options)
        id_ = ids.stage_id(
            description["name"],
            build.id if build else None,
            stages[-1].id if stages else None,
            options,
            inputs={i.name: i.id for i in inputs},
        )
        place = (*path, "stages", index)
        stages.append(Stage(description["name"], id_, options, inputs, path=place))
    return Pipeline(
        name,
        tuple(stages),
        build.name if build else None,
        build.declares if build else None,
        path=path,
        declares=declares,
    )


def _implied_inputs(type_: str, options: Document) -> tuple[Input, ...]:
    """Return the inputs of a stage that, in version 1, took what its options name from the sources."""
    refs: dict[str, Any] = {}
    if type_ == "org.osbuild.rpm" and options.get("packages"):
        for package in options["packages"]:
            if isinstance(package, str):
                refs[package] = {}
            else:
                checked = package.get("check_gpg")
                refs[package["checksum"]] = {"metadata": {"rpm.check_gpg": checked}} if checked else {}
        return (_input("packages", "org.osbuild.files", ORIGIN_SOURCE, refs),)
    if type_ == "org.osbuild.ostree" and options.get("commit"):
        refs[options["commit"]] = {"ref": options["ref"]} if options.get("ref") else {}
        return (_input("commits", "org.osbuild.ostree", ORIGIN_SOURCE, refs),)
    return ()


def _input(name: str, type_: str, origin: str, refs: Mapping[Any, Any]) -> Input:
    return Input(name, type_, origin, refs, {}, ids.input_id(type_, origin, refs, {}))


def _assembler(item: Document, tree: Pipeline, pipelines: list[Pipeline]) -> Pipeline:
    build = next((p for p in pipelines if p.name == tree.build), None)
    tree_input = _input("tree", "org.osbuild.tree", ORIGIN_PIPELINE, {tree.id: {}})
    options = item.get("options") or {}
    id_ = ids.stage_id(
        item["name"],
        build.id if build else None,
        None,
        options,
        inputs={tree_input.name: tree_input.id},
    )
    path = ("pipeline", "assembler")
    # A tree that nothing was put into has no id, and cannot be read.
    inputs = (tree_input,) if tree.id else ()
    stage = Stage(item["name"], id_, options, inputs, path=path, kind="assemblers")
    return Pipeline(ASSEMBLER, (stage,), tree.build, tree.runner, path=path)


def _source(name: str, item: Document) -> Source:
    type_ = "org.osbuild.curl" if name == "org.osbuild.files" else name
    key = next((key for key in _ITEMS if key in item), None)
    items = item[key] if key else {}
    options = {k: v for k, v in item.items() if k != key}
    return Source(type_, items, options, ids.source_id(type_, items), ("sources", name))


def describe(manifest: Manifest, *, complete: bool = False, ids: bool = True) -> dict[str, Any]:
    """Return ``manifest`` as JSON; see :func:`osbuild_core.formats.describe`.

    ``complete`` changes nothing: version 1 has no part that would be left out.
    """

    def stage(item: Stage) -> dict[str, Any]:
        description: dict[str, Any] = {"name": item.type}
        if ids:
            description["id"] = item.id
        if item.options:
            description["options"] = item.options
        return description

    def pipeline(item: Pipeline) -> dict[str, Any]:
        description: dict[str, Any] = {}
        if item.build:
            build = manifest[item.build]
            description["build"] = {"pipeline": pipeline(build), "runner": build.declares}
        if item.stages:
            description["stages"] = [stage(s) for s in item.stages]
        return description

    document: dict[str, Any] = {"pipeline": pipeline(manifest[TREE])}
    assembler = manifest.get(ASSEMBLER)
    if assembler:
        document["pipeline"]["assembler"] = stage(assembler.stages[0])
    if manifest.sources:
        document["sources"] = {str(s.path[-1]): _described(s) for s in manifest.sources}
    return document


def _described(source: Source) -> dict[str, Any]:
    key = {"org.osbuild.curl": "urls", "org.osbuild.ostree": "commits"}.get(source.type, "items")
    return {key: source.items, **source.options}
