"""A graph as text for Mermaid, which code hosts and wikis draw."""

from __future__ import annotations

from collections.abc import Iterator

from osbuild_core.cli.captions import pipeline_caption, source_caption
from osbuild_core.engine.graph import Edge, Graph

_SAFE = frozenset(" _-.,/:+=")

_STYLES = {"build": "-.->", "input": "==>", "source": "-->"}

_INDENT = "    "


def mermaid(graph: Graph, *, stages: bool = False) -> str:
    """Return ``graph`` as a flow chart; with ``stages`` each stage is a node of its own."""
    return "".join(f"{line}\n" for line in _Writer(graph, stages).lines())


def quoted(*lines: str) -> str:
    """Return a label. What could mean something to Mermaid, or to the HTML around it, is written as a number."""
    return '"' + "<br/>".join("".join(map(_character, line)) for line in lines) + '"'


def _character(character: str) -> str:
    if character.isalnum() or character in _SAFE:
        return character
    return f"#{ord(character)};" if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


class _Writer:
    def __init__(self, graph: Graph, stages: bool) -> None:
        self.graph = graph
        self.stages = stages
        self.ids = {pipeline.name: f"p{number}" for number, pipeline in enumerate(graph.pipelines)}
        self.sources = {source.type: f"s{number}" for number, source in enumerate(graph.sources)}

    def lines(self) -> Iterator[str]:
        yield "flowchart LR"
        for line in self._nodes():
            yield _INDENT + line
        for edge in self.graph.edges if self.stages else self.graph.folded():
            yield _INDENT + self._edge(edge)
        for number, export in enumerate(self.graph.exports):
            yield f"{_INDENT}{self.ids[export.pipeline]} --> e{number}"
        done = ",".join(self._done())
        if done:
            yield f"{_INDENT}classDef cached fill:#dcefdc,stroke:#3c763d,color:#000"
            yield f"{_INDENT}class {done} cached"

    def _nodes(self) -> Iterator[str]:
        for source in self.graph.sources:
            yield f"{self.sources[source.type]}[({quoted(*source_caption(source))})]"
        for pipeline in self.graph.pipelines:
            name = self.ids[pipeline.name]
            if not (self.stages and pipeline.stages):
                yield f"{name}[{quoted(*pipeline_caption(pipeline))}]"
                continue
            yield f"subgraph {name}[{quoted(pipeline.name)}]"
            yield f"{_INDENT}direction TB"
            for number, type_ in enumerate(pipeline.stages):
                yield f"{_INDENT}{name}s{number}[{quoted(type_)}]"
            for number in range(1, len(pipeline.stages)):
                yield f"{_INDENT}{name}s{number - 1} --> {name}s{number}"
            yield "end"
        for number, export in enumerate(self.graph.exports):
            yield f"e{number}([{quoted(f'export {export.name}', export.type)}])"

    def _edge(self, edge: Edge) -> str:
        origin = self.sources[edge.origin] if edge.kind == "source" else self.ids[edge.origin]
        target = self.ids[edge.target] + ("" if edge.stage is None else f"s{edge.stage}")
        label = "build" if edge.kind == "build" else edge.label
        return f"{origin} {_STYLES[edge.kind]}|{quoted(label)}| {target}"

    def _done(self) -> Iterator[str]:
        for pipeline in self.graph.pipelines:
            name = self.ids[pipeline.name]
            if self.stages and pipeline.stages:
                yield from (f"{name}s{number}" for number in range(pipeline.cached or 0))
            elif pipeline.done:
                yield name
