"""What ``osbuild --json`` tells of a run beyond its plain result: outputs in full, metadata of what was stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.model.events import Event, Sink, StageFinished
from osbuild_core.model.results import RunResult, StageResult

if TYPE_CHECKING:
    from osbuild_core.engine.session import Session
    from osbuild_core.model.manifest import Manifest


class WholeOutputs:
    """An event sink that keeps what stages printed where their results have only the last part of it.

    It reads their logs as they end: later they may have been evicted. ``sink`` gets all events as well.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._outputs: dict[tuple[str, int], str] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageFinished):
            self._keep(event.result)
        if self._sink is not None:
            self._sink(event)

    def _keep(self, result: StageResult) -> None:
        from osbuild_core.sandbox.run import TAIL

        if len(result.output) > TAIL and result.log is not None:
            try:
                data = Path(result.log).read_bytes()
            except OSError:
                # The last part is better than nothing.
                return
            self._outputs[result.pipeline, result.number] = data.decode(errors="replace")

    def completed(self, result: RunResult) -> RunResult:
        """Return ``result`` with the whole outputs."""

        def stage(one: StageResult) -> StageResult:
            return one._replace(output=self._outputs.get((one.pipeline, one.number), one.output))

        return _with_stages(result, stage) if self._outputs else result


def without_output(result: RunResult) -> RunResult:
    """Return ``result`` without what stages printed."""
    return _with_stages(result, lambda one: one._replace(output=""))


def _with_stages(result: RunResult, change: Callable[[StageResult], StageResult]) -> RunResult:
    pipelines = (p._replace(stages=tuple(change(stage) for stage in p.stages)) for p in result.pipelines)
    return result._replace(pipelines=tuple(pipelines))


def with_stored(session: Session, manifest: Manifest, result: RunResult) -> RunResult:
    """Return ``result`` with the pipelines that the run had no need of and that the store has.

    Their metadata is asked for as well: of an image that was in the store already, the packages in it.
    """
    from osbuild_core.engine.record import cached_results
    from osbuild_core.model.results import PipelineResult

    known = {pipeline.name for pipeline in result.pipelines}
    others = [pipeline.name for pipeline in manifest if pipeline.name not in known]
    found = []
    for planned in session.plan(manifest, pipelines=others).pipelines if others else ():
        info = session.store.info(planned.key) if planned.key and not planned.todo else None
        if info is not None and planned.name not in known:
            stages = tuple(cached_results(planned, info.document))
            found.append(PipelineResult(planned.name, planned.pipeline.id, True, stages))
    return result._replace(pipelines=(*result.pipelines, *found))
