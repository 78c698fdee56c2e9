"""``osbuild-core graph``."""

from __future__ import annotations

import json
import os
import shutil
from xml.etree import ElementTree

import pytest

from .conftest import CHECKSUM, Cli, hello, stage, tree_of

SVG = "{http://www.w3.org/2000/svg}text"

ODD = 'a "quoted" [name] {of} <b>many</b> &amp; \\N signs #35; `é` 漢 | end'


def odd() -> list[dict[str, object]]:
    return [
        {"name": ODD, "runner": "org.osbuild.linux", "stages": [stage("noop")]},
        {"name": "empty"},
        {
            "name": "t",
            "build": f"name:{ODD}",
            "stages": [stage("tar", {"filename": "f"}, inputs=tree_of(ODD))],
        },
    ]


def test_mermaid_is_what_comes_unasked(cli: Cli) -> None:
    text = cli.done("graph", cli.manifest())
    assert text.splitlines() == [
        "flowchart LR",
        '    p0["tree<br/>2 stages"]',
        '    p1["archive<br/>1 stage"]',
        '    p0 ==>|"tree"| p1',
    ]
    assert not cli.store.exists()


def test_what_an_export_does_not_need_is_left_out(cli: Cli) -> None:
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [CHECKSUM]}
    copy = stage(
        "copy", {"paths": [{"from": f"input://f/{CHECKSUM}", "to": "tree:///f"}]}, inputs={"f": files}
    )
    sources = {"org.osbuild.inline": {"items": {CHECKSUM: {"encoding": "base64", "data": ""}}}}
    manifest = cli.manifest([*hello(), {"name": "other", "stages": [copy]}], sources=sources)
    whole, part = cli.json("graph", manifest), cli.json("graph", manifest, "--export", "archive")
    assert [p["name"] for p in whole["pipelines"]] == ["tree", "archive", "other"]
    assert {
        "kind": "source",
        "origin": "org.osbuild.inline",
        "target": "other",
        "stage": 0,
        "label": "f",
    } in whole["edges"]
    assert [p["name"] for p in part["pipelines"]] == ["tree", "archive"]
    assert part["sources"] == []


@pytest.mark.root
def test_what_the_store_has_is_marked_unless_told_otherwise(cli: Cli) -> None:
    manifest = cli.manifest()
    cli.done("build", manifest, "--export", "tree", "-o", "out")
    assert [p["cached"] for p in cli.json("graph", manifest)["pipelines"]] == [2, 0]
    assert "class p0 cached" in cli.done("graph", manifest)
    assert "class p0s0,p0s1 cached" in cli.done("graph", manifest, "--stages")
    assert "in the store" not in cli.done("graph", manifest, "--no-state")


@pytest.mark.parametrize("stages", [(), ("--stages",)])
def test_graphviz_draws_any_name(cli: Cli, stages: tuple[str, ...]) -> None:
    if shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    assert cli.done("graph", cli.manifest(odd()), "-o", "graph.svg", *stages) == ""
    texts = [text.text for text in ElementTree.parse(cli.directory / "graph.svg").iter(SVG)]
    assert {ODD, "t", "empty", "build", "tree"} <= set(texts)
    assert ("org.osbuild.noop" in texts) == bool(stages)


def test_without_graphviz_it_says_what_to_do(cli: Cli) -> None:
    path = cli.directory / "bin"
    path.mkdir()
    done = cli.run("graph", cli.manifest(), "--format", "svg", env={**os.environ, "PATH": str(path)})
    assert done.returncode == 1
    assert done.stderr.startswith("error: an SVG image needs the program dot")
    assert "install the package graphviz" in done.stderr


def test_a_mistyped_export_is_recognised(cli: Cli) -> None:
    done = cli.run("graph", cli.manifest(), "--export", "arhive", "--json")
    assert (done.returncode, "did you mean 'archive'?" in done.stderr) == (1, True)
    assert json.loads(done.stdout)["errors"][0]["code"] == "usage.unknown-export"
