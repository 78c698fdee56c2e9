"""The manifest as the engine sees it, whatever format it came in.

Everything is frozen, and every element that has an id carries it: formats compute ids once, while
they load (see :mod:`osbuild_core.model.ids`), and nothing computes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from osbuild_core.model.errors import Path

Options = Mapping[str, Any]

ORIGIN_PIPELINE = "org.osbuild.pipeline"
ORIGIN_SOURCE = "org.osbuild.source"


class Input(NamedTuple):
    """Something that a stage reads: ``refs`` maps object ids or checksums to per-reference options."""

    name: str
    type: str
    origin: str
    refs: Mapping[str, Options]
    options: Options
    id: str


class Device(NamedTuple):
    """A block device for a stage; ``parent`` is the name of the device that it is opened on."""

    name: str
    type: str
    parent: str | None
    options: Options
    id: str


class Mount(NamedTuple):
    """A file system mounted for a stage; ``source`` is the name of the device that it is on."""

    name: str
    type: str
    source: str | None
    partition: int | None
    target: str | None
    options: Options
    id: str


class Stage(NamedTuple):
    """One executable run on the pipeline's tree.

    ``devices`` are ordered so that a parent comes before what is opened on it. ``path`` is the
    stage's place in the manifest that it was loaded from; ``kind`` is the folder of its module.
    """

    type: str
    id: str
    options: Options
    inputs: tuple[Input, ...] = ()
    devices: tuple[Device, ...] = ()
    mounts: tuple[Mount, ...] = ()
    path: Path = ()
    kind: Literal["stages", "assemblers"] = "stages"


class Pipeline(NamedTuple):
    """A named list of stages on one tree.

    ``build`` is the name of the pipeline whose tree the stages run on (None: the host's own
    ``/usr``). ``runner`` is the module that prepares that tree for them; None is the host's runner.
    ``declares`` is the runner that this pipeline names for those that are built on it.
    ``source_epoch`` is in seconds since 1970.
    """

    name: str
    stages: tuple[Stage, ...] = ()
    build: str | None = None
    runner: str | None = None
    source_epoch: int | None = None
    path: Path = ()
    declares: str | None = None

    @property
    def id(self) -> str | None:
        """The id of the last stage; None for a pipeline without stages."""
        return self.stages[-1].id if self.stages else None


class Source(NamedTuple):
    """Where bytes come from: ``items`` maps checksums to what the source module needs to fetch them."""

    type: str
    items: Mapping[str, Any]
    options: Options
    id: str
    path: Path = ()


class Export(NamedTuple):
    """Where a finished tree goes: an export module, run on the host on ``pipeline``'s tree."""

    name: str
    type: str
    pipeline: str
    options: Options
    path: Path = ()


class Manifest:
    """Pipelines in the order of their definition (each after what it refers to), sources, exports."""

    def __init__(
        self,
        version: str,
        pipelines: tuple[Pipeline, ...],
        sources: tuple[Source, ...] = (),
        exports: tuple[Export, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.version: Final = version
        self.pipelines: Final = pipelines
        self.sources: Final = sources
        self.exports: Final = exports
        self.metadata: Final = metadata
        self._by_name = {pipeline.name: pipeline for pipeline in pipelines}
        self._by_id: dict[str, Pipeline] = {}
        for pipeline in pipelines:
            # Pipelines that are the same down to their ids are interchangeable; the first one is built.
            if pipeline.id is not None:
                self._by_id.setdefault(pipeline.id, pipeline)

    def _content(self) -> tuple[object, ...]:
        return self.version, self.pipelines, self.sources, self.exports, self.metadata

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self._content() == other._content()

    # Options are dictionaries, which have no hash.
    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Pipeline]:
        return iter(self.pipelines)

    def get(self, name_or_id: str) -> Pipeline | None:
        """Return the pipeline of that name, else the first one of that id, else None."""
        return self._by_name.get(name_or_id) or self._by_id.get(name_or_id)

    def __getitem__(self, name_or_id: str) -> Pipeline:
        pipeline = self.get(name_or_id)
        if pipeline is None:
            raise KeyError(name_or_id)
        return pipeline

    def size_of(self, checksum: str) -> int:
        """Return the bytes of a source item where the manifest's metadata tells, as what we resolved does; else 0."""
        resolved = (self.metadata or {}).get("resolve")
        sizes = resolved.get("sizes") if isinstance(resolved, dict) else None
        size = sizes.get(checksum) if isinstance(sizes, dict) else None
        return size if isinstance(size, int) else 0

    def inputs_of(self, stage: Stage) -> Iterator[Pipeline]:
        """Yield the pipelines whose trees ``stage`` takes as inputs."""
        for item in stage.inputs:
            if item.origin == ORIGIN_PIPELINE:
                for ref in item.refs:
                    yield self._by_id[ref]
