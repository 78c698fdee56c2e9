"""What is written on the nodes of a graph, however it is drawn."""

from __future__ import annotations

from osbuild_core.engine.graph import PipelineNode, SourceNode


def pipeline_caption(pipeline: PipelineNode) -> list[str]:
    """Return the lines on a pipeline whose stages are not shown."""
    count = len(pipeline.stages)
    stages = f"{count} stage" if count == 1 else f"{count} stages"
    if pipeline.done:
        return [pipeline.name, f"{stages}, in the store"]
    return [pipeline.name, f"{stages}, {pipeline.cached} in the store" if pipeline.cached else stages]


def source_caption(source: SourceNode) -> list[str]:
    """Return the lines on a source."""
    return [source.type, f"{source.items} item" if source.items == 1 else f"{source.items} items"]
