"""A graph as text for Graphviz, and by its program ``dot`` as an image."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from osbuild_core.cli.captions import pipeline_caption, source_caption
from osbuild_core.engine.graph import Edge, Graph, PipelineNode
from osbuild_core.model.errors import UsageError

_STYLES = {"build": "style=dashed", "input": "style=bold", "source": "style=solid"}

_CACHED = 'style=filled, fillcolor="#dcefdc"'

_INDENT = "    "


def dot(graph: Graph, *, stages: bool = False) -> str:
    """Return ``graph`` in the language of Graphviz; with ``stages`` each stage is a node of its own."""
    return "".join(f"{line}\n" for line in _Writer(graph, stages).lines())


def quoted(*lines: str) -> str:
    """Return a label. Backslashes and ampersands would be taken for escapes there."""
    return '"' + r"\n".join(map(_escaped, lines)) + '"'


def _escaped(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown.replace("\\", r"\\").replace('"', r"\"").replace("&", "&amp;")


def svg(text: str) -> str:
    """Return the image that ``dot`` makes of ``text``. Raises UsageError where it is missing or fails."""
    program = shutil.which("dot")
    if program is None:
        raise UsageError(
            "an SVG image needs the program dot, which is not installed",
            code="usage.no-graphviz",
            hint="install the package graphviz, or take --format mermaid or dot",
        )
    done = subprocess.run([program, "-Tsvg"], input=text, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise UsageError(f"dot could not draw the graph: {said[-1]}", code="usage.graphviz")
    return done.stdout


class _Writer:
    def __init__(self, graph: Graph, stages: bool) -> None:
        self.graph = graph
        self.stages = stages
        self.ids = {pipeline.name: f"p{number}" for number, pipeline in enumerate(graph.pipelines)}
        self.nodes = {pipeline.name: pipeline for pipeline in graph.pipelines}
        self.sources = {source.type: f"s{number}" for number, source in enumerate(graph.sources)}

    def lines(self) -> Iterator[str]:
        yield "digraph manifest {"
        for line in self._body():
            yield _INDENT + line
        yield "}"

    def _body(self) -> Iterator[str]:
        # compound: edges may end at the border of a cluster.
        yield "rankdir=LR; compound=true;"
        yield 'node [shape=box, fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];'
        yield 'fontname="sans-serif";'
        for source in self.graph.sources:
            yield f"{self.sources[source.type]} [shape=cylinder, label={quoted(*source_caption(source))}];"
        for pipeline in self.graph.pipelines:
            yield from self._pipeline(pipeline)
        for number, export in enumerate(self.graph.exports):
            yield f"e{number} [shape=oval, label={quoted(f'export {export.name}', export.type)}];"
        for edge in self.graph.edges if self.stages else self.graph.folded():
            yield self._edge(edge)
        for number, export in enumerate(self.graph.exports):
            origin, tail = self._end(export.pipeline, -1, "ltail")
            yield f"{origin} -> e{number} [{', '.join(tail)}];"

    def _clustered(self, pipeline: str) -> bool:
        return self.stages and bool(self.nodes[pipeline].stages)

    def _pipeline(self, pipeline: PipelineNode) -> Iterator[str]:
        name = self.ids[pipeline.name]
        if not self._clustered(pipeline.name):
            cached = f", {_CACHED}" if pipeline.done and pipeline.stages else ""
            yield f"{name} [label={quoted(*pipeline_caption(pipeline))}{cached}];"
            return
        yield f"subgraph cluster_{name} {{"
        yield f"{_INDENT}label={quoted(pipeline.name)};"
        for number, type_ in enumerate(pipeline.stages):
            cached = f", {_CACHED}" if number < (pipeline.cached or 0) else ""
            yield f"{_INDENT}{name}s{number} [label={quoted(type_)}{cached}];"
        for number in range(1, len(pipeline.stages)):
            yield f"{_INDENT}{name}s{number - 1} -> {name}s{number};"
        yield "}"

    def _edge(self, edge: Edge) -> str:
        attributes = [_STYLES[edge.kind], f"label={quoted('build' if edge.kind == 'build' else edge.label)}"]
        if edge.kind == "source":
            origin = self.sources[edge.origin]
        else:
            origin, tail = self._end(edge.origin, -1, "ltail")
            attributes += tail
        if edge.stage is not None:
            target = f"{self.ids[edge.target]}s{edge.stage}"
        else:
            target, head = self._end(edge.target, 0, "lhead")
            attributes += head
        return f"{origin} -> {target} [{', '.join(attributes)}];"

    def _end(self, pipeline: str, stage: int, attribute: str) -> tuple[str, list[str]]:
        """Return the node for an end of an edge at a pipeline as a whole, and what cuts it at the border."""
        name = self.ids[pipeline]
        if not self._clustered(pipeline):
            return name, []
        number = stage % len(self.nodes[pipeline].stages)
        return f"{name}s{number}", [f"{attribute}=cluster_{name}"]
