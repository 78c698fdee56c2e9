"""A manifest as a graph, to be drawn: pipelines, sources and exports, and what takes what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from osbuild_core.engine.keys import Keys
from osbuild_core.model.manifest import ORIGIN_PIPELINE, Manifest, Pipeline


class PipelineNode(NamedTuple):
    """A pipeline with the types of its stages; the first ``cached`` of them need not run (None: not looked)."""

    name: str
    stages: tuple[str, ...]
    cached: int | None = None

    @property
    def done(self) -> bool:
        """Whether it need not run."""
        return bool(self.stages) and self.cached == len(self.stages)


class SourceNode(NamedTuple):
    """A source with the number of its items that are used."""

    type: str
    items: int


class ExportNode(NamedTuple):
    """An export that the manifest describes: a module that is given the tree of a pipeline."""

    name: str
    type: str
    pipeline: str


class Edge(NamedTuple):
    """``origin`` (a pipeline's name; for "source" a source's type) is taken by ``stage`` of the pipeline ``target``.

    "build": the pipeline runs on its tree, which has no ``stage`` (None). ``label`` is the name of the input.
    """

    kind: Literal["build", "input", "source"]
    origin: str
    target: str
    stage: int | None = None
    label: str = ""


class Graph(NamedTuple):
    pipelines: tuple[PipelineNode, ...]
    sources: tuple[SourceNode, ...] = ()
    exports: tuple[ExportNode, ...] = ()
    edges: tuple[Edge, ...] = ()

    def folded(self) -> tuple[Edge, ...]:
        """Return the edges between pipelines as a whole: one of a kind, labels put together."""
        labels: dict[Edge, list[str]] = {}
        for edge in self.edges:
            found = labels.setdefault(edge._replace(stage=None, label=""), [])
            if edge.label and edge.label not in found:
                found.append(edge.label)
        return tuple(edge._replace(label=", ".join(texts)) for edge, texts in labels.items())


def make_graph(
    manifest: Manifest,
    *,
    wanted: Iterable[str] | None = None,
    keys: Keys | None = None,
    has: Callable[[str], bool] = lambda _: False,
) -> Graph:
    """Return the graph of ``manifest``, or of what the pipelines ``wanted`` need.

    With ``keys``, ``has`` tells which of them the store has.
    """
    names = {p.name for p in manifest} if wanted is None else _needed(manifest, wanted)
    pipelines = [pipeline for pipeline in manifest if pipeline.name in names]
    edges, used = _edges(manifest, pipelines)
    return Graph(
        tuple(
            PipelineNode(
                p.name,
                tuple(stage.type for stage in p.stages),
                None if keys is None else _cached(keys.stages[p.name], has),
            )
            for p in pipelines
        ),
        tuple(SourceNode(s.type, used[s.type]) for s in manifest.sources if wanted is None or used[s.type]),
        tuple(ExportNode(e.name, e.type, e.pipeline) for e in manifest.exports if e.pipeline in names),
        tuple(edges),
    )


def _needed(manifest: Manifest, wanted: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = list(wanted)
    while pending:
        pipeline = manifest[pending.pop()]
        if pipeline.name in found:
            continue
        found.add(pipeline.name)
        pending += [pipeline.build] if pipeline.build is not None else []
        pending += [taken.name for stage in pipeline.stages for taken in manifest.inputs_of(stage)]
    return found


def _cached(keys: Sequence[str], has: Callable[[str], bool]) -> int:
    """Return how many stages the newest stored one makes needless, itself included."""
    return next((number for number in range(len(keys), 0, -1) if has(keys[number - 1])), 0)


def _edges(manifest: Manifest, pipelines: Iterable[Pipeline]) -> tuple[list[Edge], dict[str, int]]:
    """Return what is taken from where, and how many items of each source are used."""
    edges: dict[Edge, None] = {}
    source_of = {checksum: source.type for source in manifest.sources for checksum in source.items}
    items: dict[str, set[str]] = {source.type: set() for source in manifest.sources}
    for pipeline in pipelines:
        if pipeline.build is not None:
            edges[Edge("build", pipeline.build, pipeline.name)] = None
        for number, stage in enumerate(pipeline.stages):
            for taken in stage.inputs:
                for ref in taken.refs:
                    if taken.origin == ORIGIN_PIPELINE:
                        edges[Edge("input", manifest[ref].name, pipeline.name, number, taken.name)] = None
                    elif ref in source_of:
                        items[source_of[ref]].add(ref)
                        edges[Edge("source", source_of[ref], pipeline.name, number, taken.name)] = None
    return list(edges), {type_: len(used) for type_, used in items.items()}
