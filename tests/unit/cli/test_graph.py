"""A manifest as a graph, and the graph as text."""

from __future__ import annotations

import pytest

from osbuild_core.cli import dot, mermaid
from osbuild_core.engine.graph import Edge, ExportNode, Graph, PipelineNode, SourceNode, make_graph
from osbuild_core.engine.keys import Keys
from osbuild_core.model.manifest import (
    ORIGIN_PIPELINE,
    ORIGIN_SOURCE,
    Export,
    Input,
    Manifest,
    Pipeline,
    Source,
    Stage,
)


def stage(id_: str, *inputs: Input) -> Stage:
    return Stage("org.osbuild.x", id_, {}, inputs)


def taken(name: str, ref: str, origin: str = ORIGIN_PIPELINE) -> Input:
    return Input(name, "org.osbuild.tree", origin, {ref: {}}, {}, f"input {name}")


MANIFEST = Manifest(
    "2",
    (
        Pipeline("build", (stage("b"),)),
        Pipeline("os", (stage("o0", taken("files", "sum:1", ORIGIN_SOURCE)), stage("o1")), build="build"),
        Pipeline(
            "image", (stage("i0", taken("tree", "o1")), stage("i1", taken("again", "o1"))), build="build"
        ),
        Pipeline("other", (stage("x"),)),
    ),
    (Source("org.osbuild.curl", {"sum:1": {}, "sum:2": {}}, {}, "s"),),
    (Export("out", "org.osbuild.ami", "image", {}),),
)


def test_what_takes_what() -> None:
    graph = make_graph(MANIFEST)
    assert [p.name for p in graph.pipelines] == ["build", "os", "image", "other"]
    assert graph.edges == (
        Edge("build", "build", "os"),
        Edge("source", "org.osbuild.curl", "os", 0, "files"),
        Edge("build", "build", "image"),
        Edge("input", "os", "image", 0, "tree"),
        Edge("input", "os", "image", 1, "again"),
    )
    assert graph.sources == (SourceNode("org.osbuild.curl", 1),)
    assert graph.exports == (ExportNode("out", "org.osbuild.ami", "image"),)
    assert graph.folded()[-1] == Edge("input", "os", "image", None, "tree, again")


def test_what_something_needs() -> None:
    graph = make_graph(MANIFEST, wanted=["os"])
    assert [p.name for p in graph.pipelines] == ["build", "os"]
    assert graph.exports == ()
    assert make_graph(MANIFEST, wanted=["build"]).sources == ()


def test_what_the_newest_stored_stage_makes_needless() -> None:
    keys = Keys({p.name: tuple(stage.id for stage in p.stages) for p in MANIFEST})
    graph = make_graph(MANIFEST, keys=keys, has={"o1", "i0"}.__contains__)
    assert [(p.cached, p.done) for p in graph.pipelines] == [(0, False), (2, True), (1, False), (0, False)]
    assert not PipelineNode("empty", (), 0).done


GRAPH = Graph(
    (PipelineNode("a", ("one", "two"), 1), PipelineNode("b", ("three",), 1), PipelineNode("empty", (), 0)),
    (SourceNode("org.osbuild.curl", 1),),
    (ExportNode("out", "module", "b"),),
    (Edge("build", "a", "b"), Edge("source", "org.osbuild.curl", "a", 1, "files")),
)


def test_mermaid_folded_and_whole() -> None:
    assert mermaid.mermaid(GRAPH).splitlines() == [
        "flowchart LR",
        '    s0[("org.osbuild.curl<br/>1 item")]',
        '    p0["a<br/>2 stages, 1 in the store"]',
        '    p1["b<br/>1 stage, in the store"]',
        '    p2["empty<br/>0 stages"]',
        '    e0(["export out<br/>module"])',
        '    p0 -.->|"build"| p1',
        '    s0 -->|"files"| p0',
        "    p1 --> e0",
        "    classDef cached fill:#dcefdc,stroke:#3c763d,color:#000",
        "    class p1 cached",
    ]
    whole = mermaid.mermaid(GRAPH, stages=True).splitlines()
    assert '    subgraph p0["a"]' in whole and '        p0s1["two"]' in whole
    assert '    s0 -->|"files"| p0s1' in whole
    assert "    class p0s0,p1s0 cached" in whole


def test_graphviz_folded_and_whole() -> None:
    folded = dot.dot(GRAPH).splitlines()
    assert '    p0 [label="a\\n2 stages, 1 in the store"];' in folded
    assert '    p0 -> p1 [style=dashed, label="build"];' in folded
    assert "    p1 -> e0 [];" in folded
    whole = dot.dot(GRAPH, stages=True).splitlines()
    assert '    p0s1 -> p1s0 [style=dashed, label="build", ltail=cluster_p0, lhead=cluster_p1];' in whole
    assert '    s0 -> p0s1 [style=solid, label="files"];' in whole
    assert '    p2 [label="empty\\n0 stages"];' in whole


@pytest.mark.parametrize(
    ("text", "as_mermaid", "as_dot"),
    [
        ("org.osbuild.x-1", "org.osbuild.x-1", "org.osbuild.x-1"),
        ("ä漢", "ä漢", "ä漢"),
        ('"]', "#34;#93;", '\\"]'),
        ("<b>&amp;", "#60;b#62;#38;amp#59;", "<b>&amp;amp;"),
        ("\\N", "#92;N", "\\\\N"),
        ("#35;`x`", "#35;35#59;#96;x#96;", "#35;`x`"),
        ("a\nb\x1b\ud800", "a\ufffdb\ufffd\ufffd", "a\ufffdb\ufffd\ufffd"),
    ],
)
def test_names_mean_nothing(text: str, as_mermaid: str, as_dot: str) -> None:
    assert mermaid.quoted(text) == f'"{as_mermaid}"'
    assert dot.quoted(text) == f'"{as_dot}"'
