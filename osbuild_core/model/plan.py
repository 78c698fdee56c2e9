"""The plan of a run: what is built, fetched and exported, and in which order it may happen.

Made by :mod:`osbuild_core.engine.plan`, which is pure; printed, drawn, run here or turned into jobs.
"""

from __future__ import annotations

from typing import NamedTuple

from osbuild_core.model.manifest import Export, Pipeline, Stage


class PlannedStage(NamedTuple):
    """A stage, the ``number``-th of its pipeline from 0 on, with its key; ``cached`` where the store has it,
    ``remote`` where only the remote cache does, which is asked for the newest such stage of a pipeline.

    ``host`` tells that the key depends on the machine: the stage, or what it stands on, runs on the
    host's own ``/usr``.
    """

    pipeline: str
    number: int
    stage: Stage
    key: str
    cached: bool = False
    host: bool = False
    pinned: bool = False
    remote: bool = False


class PlannedPipeline(NamedTuple):
    """A pipeline of the plan.

    Stages from ``first`` on run; ``base`` is the key of the tree that they start from (None: an empty
    one). ``pipelines`` and ``fetches`` are what has to be there first. ``build_key`` is the key of the
    build pipeline's tree (None: the host). ``trees`` maps the ids of the pipelines that its stages
    take as inputs to keys.
    """

    pipeline: Pipeline
    stages: tuple[PlannedStage, ...]
    first: int
    base: str | None
    build_key: str | None
    pipelines: tuple[str, ...] = ()
    fetches: tuple[int, ...] = ()
    trees: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def key(self) -> str | None:
        """The key of the pipeline's tree; None where it has no stages."""
        return self.stages[-1].key if self.stages else None

    @property
    def remote(self) -> bool:
        """Whether the tree that it starts from, or is, comes from the remote cache."""
        return self.first > 0 and self.stages[self.first - 1].remote

    @property
    def todo(self) -> tuple[PlannedStage, ...]:
        """The stages that run."""
        return self.stages[self.first :]


class Fetch(NamedTuple):
    """Items of one source that are fetched together, because the same pipeline waits for them."""

    source: int
    checksums: tuple[str, ...]


class Plan(NamedTuple):
    """``pipelines`` are in an order in which each comes after what it needs.

    ``exports`` are (name of the export, pipeline, export module or None for a plain directory).
    """

    pipelines: tuple[PlannedPipeline, ...]
    fetches: tuple[Fetch, ...] = ()
    exports: tuple[tuple[str, str, Export | None], ...] = ()

    def pipeline(self, name: str) -> PlannedPipeline:
        """Return the pipeline of that name. Raises KeyError."""
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        raise KeyError(name)

    @property
    def todo(self) -> tuple[PlannedPipeline, ...]:
        """The pipelines that have stages to run."""
        return tuple(p for p in self.pipelines if p.first < len(p.stages))
