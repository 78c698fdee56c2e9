"""A plan, and events of a run of it, for the tests of monitors."""

from __future__ import annotations

from osbuild_core.model import events
from osbuild_core.model.manifest import Pipeline, Stage
from osbuild_core.model.plan import Fetch, Plan, PlannedPipeline, PlannedStage
from osbuild_core.model.results import PipelineResult, StageResult


class Text:
    """Stands for a stream; keeps what was written."""

    terminal = False

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def planned(name: str, count: int = 2, **more) -> PlannedPipeline:
    stages = tuple(
        Stage(f"org.osbuild.{name}{n}", f"id-{name}{n}", {"n": n, "empty": ""}) for n in range(count)
    )
    steps = tuple(PlannedStage(name, n, stage, f"key-{name}{n}") for n, stage in enumerate(stages))
    return PlannedPipeline(Pipeline(name, stages, **more), steps, 0, None, None)


PLAN = Plan(
    (
        planned("build"),
        planned("a", build="build", runner="org.osbuild.linux1"),
        planned("b", source_epoch=7),
    ),
    (Fetch(0, ("sha256:1", "sha256:2")), Fetch(0, ("sha256:3",))),
)


def started():
    return events.RunStarted(3, 6, 3, PLAN)


def begins(name: str) -> events.PipelineStarted:
    return events.PipelineStarted(name, f"id-{name}1", 0, 2, "org.osbuild.linux")


def starts(name: str, number: int) -> events.StageStarted:
    return events.StageStarted(name, number, f"org.osbuild.{name}{number}", f"id-{name}{number}")


def ended(name: str, number: int, **more) -> events.StageFinished:
    result = StageResult(name, number, f"org.osbuild.{name}{number}", f"id-{name}{number}", True, seconds=1.5)
    return events.StageFinished(result._replace(**more))


def ends(name: str, **more) -> events.PipelineFinished:
    return events.PipelineFinished(PipelineResult(name, f"id-{name}1", True, seconds=3.0)._replace(**more))


def says(name: str, number: int, text: str) -> events.StageOutput:
    return events.StageOutput(name, number, text)
