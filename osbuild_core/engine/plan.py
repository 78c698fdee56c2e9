"""Works out what a run has to do. Pure: a manifest, its keys and what the store has go in, a plan comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from osbuild_core.engine.keys import Keys
from osbuild_core.model.errors import UsageError
from osbuild_core.model.manifest import ORIGIN_SOURCE, Export, Manifest, Pipeline, Stage
from osbuild_core.model.plan import Fetch, Plan, PlannedPipeline, PlannedStage

ExportTarget = tuple[str, str, Export | None]
"""Name of the export, name of its pipeline, export module (None: copy the tree)."""


def leaves(manifest: Manifest) -> list[str]:
    """Return the names of the pipelines that no other one uses, neither to build on nor as input."""
    used: set[str] = set()
    for pipeline in manifest:
        if pipeline.build is not None:
            used.add(pipeline.build)
        for stage in pipeline.stages:
            used.update(taken.name for taken in manifest.inputs_of(stage))
    return [pipeline.name for pipeline in manifest if pipeline.name not in used]


def export_targets(manifest: Manifest, names: Iterable[str]) -> list[ExportTarget]:
    """Return what each of ``names`` exports: an export of the manifest, or a pipeline by name or id.

    Raises UsageError for a name that is neither.
    """
    by_name = {export.name: export for export in manifest.exports}
    targets: list[ExportTarget] = []
    for name in names:
        if name in by_name:
            _add(targets, (name, by_name[name].pipeline, by_name[name]))
            continue
        pipeline = manifest.get(name)
        if pipeline is None:
            known = [p.name for p in manifest] + list(by_name)
            raise UsageError(
                f"there is no pipeline or export {name!r} to export",
                code="usage.unknown-export",
                hint=_close_match(name, known),
            )
        _add(targets, (pipeline.name, pipeline.name, None))
    return targets


def known_pipelines(manifest: Manifest, names: Iterable[str]) -> list[str]:
    """Return ``names`` of pipelines, each once. Raises UsageError for one that the manifest does not have."""
    for name in (names := list(dict.fromkeys(names))):
        if manifest.get(name) is None:
            raise UsageError(
                f"there is no pipeline {name!r}",
                code="usage.unknown-pipeline",
                hint=_close_match(name, [pipeline.name for pipeline in manifest]),
            )
    return names


def _add(targets: list[ExportTarget], target: ExportTarget) -> None:
    # Whoever names the same thing twice, perhaps by name and by id, wants it once.
    if target not in targets:
        targets.append(target)


def _close_match(name: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "the manifest has: " + ", ".join(known)


def checkpoints(manifest: Manifest, patterns: Iterable[str]) -> frozenset[str]:
    """Return the ids of the stages that ``patterns`` (globs of pipeline names, stage ids, stage types) mean.

    Raises UsageError for a pattern that matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        matched: set[str] = set()
        for pipeline in manifest:
            if pipeline.id is not None and fnmatch(pipeline.name, pattern):
                matched.add(pipeline.id)
            matched.update(
                s.id for s in pipeline.stages if fnmatch(s.id, pattern) or fnmatch(s.type, pattern)
            )
        if not matched:
            raise UsageError(
                f"no pipeline or stage matches the checkpoint {pattern!r}",
                code="usage.unknown-checkpoint",
                hint="a checkpoint is a pipeline's name, a stage's id or type, or a glob of these",
            )
        found |= matched
    return frozenset(found)


def make_plan(
    manifest: Manifest,
    keys: Keys,
    *,
    has: Callable[[str], bool],
    remote: Callable[[str], bool] = lambda _: False,
    pipelines: Iterable[str],
    exports: Sequence[ExportTarget] = (),
    pinned: frozenset[str] = frozenset(),
) -> Plan:
    """Plan the building of ``pipelines`` and of what ``exports`` take.

    ``has`` tells whether the store has a key, ``remote`` whether the remote cache has one; ``pinned`` are the ids
    of stages to keep. What is there is not built again, and what only it needed is neither built nor fetched.
    """
    planner = _Planner(manifest, keys, has, remote, pinned)
    for name in pipelines:
        planner.need(manifest[name])
    for _, name, _ in exports:
        planner.need(manifest[name])
    return Plan(tuple(planner.planned.values()), tuple(planner.fetches), tuple(exports))


class _Looked(NamedTuple):
    """What is known of a pipeline before what it needs is planned; ``open`` runs over ``needed``."""

    pipeline: Pipeline
    stages: tuple[PlannedStage, ...]
    first: int
    needed: tuple[str, ...]
    trees: tuple[tuple[str, str], ...]
    open: Iterator[str]


class _Planner:
    def __init__(
        self,
        manifest: Manifest,
        keys: Keys,
        has: Callable[[str], bool],
        remote: Callable[[str], bool],
        pinned: frozenset[str],
    ) -> None:
        self.manifest = manifest
        self.keys = keys
        self.has = has
        self.remote = remote
        self.pinned = pinned
        self.planned: dict[str, PlannedPipeline] = {}
        self.fetches: list[Fetch] = []
        self._fetch_of: dict[str, int] = {}
        self._source_of = {
            checksum: index for index, source in enumerate(manifest.sources) for checksum in source.items
        }

    def need(self, pipeline: Pipeline) -> None:
        """Plan ``pipeline`` after what it needs; dependencies have come before it in the manifest."""
        # Not by recursion: a chain of pipelines may be longer than Python's stack.
        waiting = [self._look(pipeline)] if pipeline.name not in self.planned else []
        while waiting:
            looked = waiting[-1]
            name = next((name for name in looked.open if name not in self.planned), None)
            if name is not None:
                waiting.append(self._look(self.manifest[name]))
            else:
                self._plan(waiting.pop())

    def _look(self, pipeline: Pipeline) -> _Looked:
        stages = self._stages(pipeline)
        first = next((s.number + 1 for s in reversed(stages) if s.cached or s.remote), 0)
        todo = pipeline.stages[first:]
        needed: dict[str, None] = {}
        trees: dict[str, str] = {}
        if todo and pipeline.build is not None:
            needed[pipeline.build] = None
        for stage in todo:
            for taken in self.manifest.inputs_of(stage):
                needed[taken.name] = None
                key = self.keys.of(taken.name)
                if taken.id is not None and key is not None:
                    trees[taken.id] = key
        return _Looked(pipeline, stages, first, tuple(needed), tuple(trees.items()), iter(needed))

    def _plan(self, looked: _Looked) -> None:
        """Plan a pipeline of which all that it needs is planned."""
        pipeline, first = looked.pipeline, looked.first
        self.planned[pipeline.name] = PlannedPipeline(
            pipeline=pipeline,
            stages=looked.stages,
            first=first,
            base=looked.stages[first - 1].key if first else None,
            build_key=self.keys.of(pipeline.build) if pipeline.build is not None else None,
            pipelines=tuple(name for name in looked.needed if self.planned[name].todo),
            fetches=self._fetches(pipeline.stages[first:]),
            trees=looked.trees,
        )

    def _stages(self, pipeline: Pipeline) -> tuple[PlannedStage, ...]:
        host = pipeline.name in self.keys.host
        keys = self.keys.stages[pipeline.name]
        stages: list[PlannedStage] = []
        found = False
        # The newest first: what came before a tree that is to be had is not asked for.
        for number in reversed(range(len(keys))):
            stage = pipeline.stages[number]
            cached = self.has(keys[number])
            remote = not cached and not found and self.remote(keys[number])
            found = found or cached or remote
            pinned = stage.id in self.pinned
            stages.append(
                PlannedStage(pipeline.name, number, stage, keys[number], cached, host, pinned, remote)
            )
        return tuple(reversed(stages))

    def _fetches(self, todo: Sequence[Stage]) -> tuple[int, ...]:
        """Return the fetches that ``todo`` waits for; items that no earlier pipeline needs make a new one."""
        waits: dict[int, None] = {}
        new: dict[int, dict[str, None]] = {}
        for stage in todo:
            for item in stage.inputs:
                if item.origin != ORIGIN_SOURCE:
                    continue
                for checksum in item.refs:
                    if checksum in self._fetch_of:
                        waits[self._fetch_of[checksum]] = None
                    elif checksum in self._source_of:
                        new.setdefault(self._source_of[checksum], {})[checksum] = None
        for source, checksums in new.items():
            number = len(self.fetches)
            self.fetches.append(Fetch(source, tuple(checksums)))
            waits[number] = None
            self._fetch_of.update(dict.fromkeys(checksums, number))
        return tuple(waits)


def fetch_everything(manifest: Manifest) -> tuple[Fetch, ...]:
    """Return fetches of all items of all sources: what ``osbuild`` without ``--export`` downloads."""
    return tuple(
        Fetch(index, tuple(source.items)) for index, source in enumerate(manifest.sources) if source.items
    )
