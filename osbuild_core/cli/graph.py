"""``osbuild-core graph``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from osbuild_core.cli.commands import Place, json_option, manifest_argument
from osbuild_core.cli.documents import print_json, read_manifest, write_output
from osbuild_core.cli.options import exports_option, settings_of, store_options
from osbuild_core.engine.graph import Graph, make_graph
from osbuild_core.engine.plan import export_targets
from osbuild_core.engine.session import Session
from osbuild_core.model.errors import UsageError

_SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot"}
_NOT_DRAWN = (".png", ".pdf", ".jpg", ".jpeg", ".gif", ".webp", ".ps", ".eps")


@click.command()
@manifest_argument
@exports_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["mermaid", "dot", "svg"]),
    help="Text for Mermaid or Graphviz, or an image by Graphviz. [default: as FILE ends, else mermaid]",
)
@click.option("--stages", is_flag=True, help="Show each stage, not only how many there are.")
@click.option("--no-state", is_flag=True, help="Do not show what the store has.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=Place(path_type=Path),
    help="File to write. [default: standard output]",
)
@json_option
@store_options
def command(
    manifest: str,
    exports: tuple[str, ...],
    format_: str | None,
    stages: bool,
    no_state: bool,
    output: Path | None,
    as_json: bool,
    store: Path,
    libdir: tuple[str, ...],
    store_backend: str | None,
) -> None:
    """Draw the pipelines of MANIFEST (a file, or - for standard input): what is built on what, and takes what.

    Dashed: a pipeline runs on the tree of another one; bold: it takes that tree as an input. With --export only
    what that needs is drawn. Where there is a store, what it has is green.
    """
    suffix = output.suffix if output else ""
    if format_ is None and suffix in _NOT_DRAWN:
        raise UsageError(
            f"there is no way to draw {suffix[1:]} here",
            code="usage.format",
            hint=f"name a file that ends with .svg, or have Graphviz do it: --format dot | dot -T{suffix[1:]}",
        )
    graph = _graph(manifest, exports, settings_of(libdir, store_backend, store=store), state=not no_state)
    if as_json:
        print_json(document(graph))
        return
    chosen = format_ or _SUFFIXES.get(suffix, "mermaid")
    write_output(drawn(graph, chosen, stages=stages), output)


def _graph(manifest: str, exports: tuple[str, ...], settings: Any, *, state: bool) -> Graph:
    with Session(settings) as session:
        loaded = session.load(read_manifest(manifest))
        wanted = [pipeline for _, pipeline, _ in export_targets(loaded, exports)] if exports else None
        store = session.find_store() if state else None
        if store is None:
            return make_graph(loaded, wanted=wanted)
        return make_graph(loaded, wanted=wanted, keys=session.keys(loaded), has=store.has)


def drawn(graph: Graph, format_: str, *, stages: bool) -> str:
    """Return ``graph`` as text: "mermaid", "dot" or "svg"."""
    if format_ == "mermaid":
        from osbuild_core.cli.mermaid import mermaid

        return mermaid(graph, stages=stages)
    from osbuild_core.cli.dot import dot, svg

    text = dot(graph, stages=stages)
    return svg(text) if format_ == "svg" else text


def document(graph: Graph) -> dict[str, Any]:
    """Return ``graph`` for ``--json``."""
    return {
        "pipelines": [
            {"name": p.name, "stages": list(p.stages), "cached": p.cached} for p in graph.pipelines
        ],
        "sources": [source._asdict() for source in graph.sources],
        "exports": [export._asdict() for export in graph.exports],
        "edges": [edge._asdict() for edge in graph.edges],
    }
