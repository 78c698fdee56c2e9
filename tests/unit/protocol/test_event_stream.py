"""Events as lines: what is written is read again."""

from __future__ import annotations

import json

import pytest

from osbuild_core.model import events
from osbuild_core.model.manifest import Pipeline
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import (
    ExportResult,
    Failure,
    PipelineResult,
    RunResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)
from osbuild_core.protocol.event_stream import decode, encode, parse
from osbuild_core.protocol.jsoncomm import ProtocolError

FAILURE = Failure("stage.failed", "it\nfailed \udcff", "hint", ("pipelines", 0, "stages", 1), {"type": "X"})
STAGE = StageResult("os", 1, "org.osbuild.x", "id", False, True, "out", "/log", FAILURE, {"a": [1]}, 0.5)
PIPELINE = PipelineResult("os", "id", False, (STAGE, STAGE._replace(error=None)), FAILURE, 1.5)
ITEM = SourceItemResult("sha256:1", False, True, "gone")
SOURCE = SourceResult("org.osbuild.curl", True, (ITEM,), "text", None, 2.0)
EXPORT = ExportResult("image", True, "/srv", {"a": 1}, None, 3.0)

EVENTS = [
    events.RunStarted(1, 2, 3),
    events.RunFinished(RunResult(False, (PIPELINE,), (SOURCE,), (EXPORT,), 4.0)),
    events.PipelineStarted("os", None, 1, 3, "org.osbuild.linux"),
    events.PipelineFinished(PIPELINE),
    events.PipelineNote("os", "job 12 waits"),
    events.StageStarted("os", 1, "org.osbuild.x", "id"),
    events.StageOutput("os", 1, "é\n\x00\u2028"),
    events.StageFinished(STAGE),
    events.SourceStarted("org.osbuild.curl", 3, "id"),
    events.SourceProgress("org.osbuild.curl", 1, 2, 3, 4, ITEM),
    events.SourceProgress("org.osbuild.curl", 1, 2),
    events.SourceFinished(SOURCE),
    events.ExportStarted("image", "org.osbuild.ami"),
    events.ExportProgress("image", 1, 2, "message"),
    events.ExportOutput("image", "text"),
    events.ExportFinished(EXPORT),
    events.Pulled("os", 1, 2, 3, 0.5),
    events.Pushed(1, 2, 3),
    events.Warned("message"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_there_and_back(event) -> None:
    line = encode(event)
    assert "\n" not in line and line.isascii()
    assert decode(parse(line)) == event


def test_every_event_is_tried() -> None:
    # Programs are of this machine; nobody elsewhere reads of them.
    assert set(map(type, EVENTS)) == set(events.Event.__args__) - {events.ProgramStarted, events.ProgramEnded}


def test_keys_in_the_place_of_the_plan() -> None:
    plan = Plan((PlannedPipeline(Pipeline("empty", ()), (), 0, None, None),))
    document = parse(encode(events.RunStarted(0, 0, 0, plan)))
    assert document["keys"] == {"empty": None}
    assert decode(document) == events.RunStarted(0, 0, 0)


def test_what_is_not_known_is_skipped() -> None:
    assert decode({"event": "Invented", "field": 1}) is None
    assert decode({"event": "Plan"}) is None
    assert decode({"event": "Warned", "message": "m", "more": 1}) == events.Warned("m")


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"event": 1}'])
def test_what_is_no_event(line: str) -> None:
    with pytest.raises(ProtocolError):
        parse(line)


@pytest.mark.parametrize(
    "document",
    [
        {"event": "Warned"},
        {"event": "StageFinished"},
        {"event": "StageFinished", "result": None},
        {"event": "PipelineFinished", "result": {"name": "x", "stages": [1]}},
        {"event": "RunFinished", "result": {"success": True, "pipelines": 1}},
    ],
)
def test_what_cannot_be_read(document) -> None:
    with pytest.raises(ProtocolError):
        decode(json.loads(json.dumps(document)))
