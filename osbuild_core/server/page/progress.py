"""How far a build is: pipelines and stages, from the manifest's graph and what has happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

WAITING, RUNNING, DONE, CACHED, FAILED = "waiting", "running", "done", "cached", "failed"
STOPPED, UNUSED = "stopped", "not run"


class PipelineOutline(NamedTuple):
    """A pipeline as the manifest has it: the types of its stages, and the pipelines that it needs."""

    name: str
    stages: tuple[str, ...]
    build: str | None = None
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageProgress:
    """``state`` is one of the words above. ``seconds`` is how long it took, or has taken so far."""

    type: str
    state: str = WAITING
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineProgress:
    name: str
    stages: tuple[StageProgress, ...] = ()
    state: str = WAITING
    seconds: float | None = None
    error: str | None = None
    build: str | None = None
    takes: tuple[str, ...] = ()

    @property
    def over(self) -> int:
        """How many stages need no more work."""
        return sum(stage.state in (DONE, CACHED) for stage in self.stages)


@dataclass(frozen=True, slots=True)
class ExportProgress:
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Progress:
    pipelines: tuple[PipelineProgress, ...] = ()
    exports: tuple[ExportProgress, ...] = ()
    warnings: tuple[str, ...] = ()
    attempt: int = 0

    @property
    def stages(self) -> int:
        return sum(len(pipeline.stages) for pipeline in self.pipelines)

    @property
    def over(self) -> int:
        return sum(pipeline.over for pipeline in self.pipelines)


@dataclass(slots=True)
class _Pipeline:
    outline: PipelineOutline
    stages: list[StageProgress]
    state: str = WAITING
    began: float | None = None
    seconds: float | None = None
    error: str | None = None


@dataclass(slots=True)
class _Run:
    """What one attempt has come to so far."""

    pipelines: dict[str, _Pipeline]
    exports: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    began: dict[tuple[str, int], float] = field(default_factory=dict)

    def of(self, name: str) -> _Pipeline:
        return self.pipelines.setdefault(name, _Pipeline(PipelineOutline(name, ()), []))


def progress(
    outline: Sequence[PipelineOutline],
    happened: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    now: float,
    over: bool,
    result: Mapping[str, Any] | None = None,
) -> Progress:
    """Return how far a build is.

    ``happened`` are the kinds and data of its events, ``now`` seconds since 1970, ``over`` whether it has ended, and
    ``result`` what is kept of it then. A worker that takes over begins anew: only the newest attempt counts.
    """
    run, attempt = _fresh(outline), 0
    for kind, data in happened:
        if kind == "run":
            run, attempt = _fresh(outline), attempt + 1
        else:
            _apply(run, kind, data)
    if result is not None:
        _add_result(run, result)
    return Progress(
        tuple(_shown(run, pipeline, now, over) for pipeline in run.pipelines.values()),
        tuple(
            ExportProgress(name, STOPPED if over and state == RUNNING else state)
            for name, state in run.exports.items()
        ),
        tuple(run.warnings),
        attempt,
    )


def _fresh(outline: Sequence[PipelineOutline]) -> _Run:
    return _Run({one.name: _Pipeline(one, [StageProgress(type) for type in one.stages]) for one in outline})


def _apply(run: _Run, kind: str, data: Mapping[str, Any]) -> None:
    match kind:
        case "pipeline":
            pipeline = run.of(data["pipeline"])
            pipeline.state, pipeline.began = RUNNING, data.get("time")
            _reach(pipeline, data["total"])
            for number in range(data["first"]):
                pipeline.stages[number] = replace(pipeline.stages[number], state=CACHED)
        case "pipeline-finished":
            pipeline = run.of(data["pipeline"])
            pipeline.state = DONE if data["success"] else FAILED
            pipeline.seconds, pipeline.error = data["seconds"], _message(data)
        case "stage":
            pipeline = run.of(data["pipeline"])
            _reach(pipeline, data["number"] + 1)
            pipeline.stages[data["number"]] = StageProgress(data["type"], RUNNING)
            if data.get("time") is not None:
                run.began[pipeline.outline.name, data["number"]] = data["time"]
        case "stage-finished":
            pipeline, number = run.of(data["pipeline"]), data["number"]
            _reach(pipeline, number + 1)
            was = pipeline.stages[number]
            state = FAILED if not data["success"] else DONE if was.state == RUNNING else CACHED
            seconds = data["seconds"] if state != CACHED else None
            pipeline.stages[number] = StageProgress(was.type, state, seconds, _message(data))
        case "export":
            run.exports[data["name"]] = RUNNING
        case "export-finished":
            run.exports[data["name"]] = DONE if data["success"] else FAILED
        case "warning":
            run.warnings.append(str(data["message"]))


def _reach(pipeline: _Pipeline, total: int) -> None:
    """Have ``total`` stages: an outline may be missing."""
    pipeline.stages += [StageProgress("")] * (total - len(pipeline.stages))


def _message(data: Mapping[str, Any]) -> str | None:
    error = data.get("error")
    return None if error is None else str(error["message"])


def _add_result(run: _Run, result: Mapping[str, Any]) -> None:
    """Add what no event told: pipelines that were in the store as they are."""
    for known in result.get("pipelines", ()):
        pipeline = run.of(known["name"])
        _reach(pipeline, len(known["stages"]))
        for number, stage in enumerate(known["stages"]):
            was = pipeline.stages[number]
            if stage["cached"] and was.state == WAITING:
                pipeline.stages[number] = StageProgress(stage["type"], CACHED)
            elif not was.type:
                pipeline.stages[number] = replace(was, type=stage["type"])
        if pipeline.state == WAITING and known["success"]:
            pipeline.state = CACHED


def _shown(run: _Run, pipeline: _Pipeline, now: float, over: bool) -> PipelineProgress:
    stages = []
    for number, stage in enumerate(pipeline.stages):
        began = run.began.get((pipeline.outline.name, number))
        if stage.state == RUNNING and began is not None and not over:
            stage = replace(stage, seconds=max(0.0, now - began))  # noqa: PLW2901
        stages.append(_ended(stage) if over else stage)
    seconds, state = pipeline.seconds, pipeline.state
    if state == RUNNING and pipeline.began is not None and not over:
        seconds = max(0.0, now - pipeline.began)
    if over:
        state = {RUNNING: STOPPED, WAITING: UNUSED}.get(state, state)
    return PipelineProgress(
        pipeline.outline.name,
        tuple(stages),
        state,
        seconds,
        # What a stage says is at the stage.
        None if any(stage.error == pipeline.error for stage in stages) else pipeline.error,
        pipeline.outline.build,
        pipeline.outline.takes,
    )


def _ended(stage: StageProgress) -> StageProgress:
    return replace(stage, state={RUNNING: STOPPED, WAITING: UNUSED}.get(stage.state, stage.state))
