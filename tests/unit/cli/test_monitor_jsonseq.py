"""Records of runs whose pipelines take turns in every possible way."""

from __future__ import annotations

import json

from osbuild_core.cli.monitors.jsonseq import JSONSeqMonitor
from osbuild_core.model import events
from osbuild_core.model.results import (
    Failure,
    RunResult,
    SourceItemResult,
    SourceResult,
)
from tests.integration.osbuild_cli import clientparser
from tests.unit.cli.runs import Text, begins, ended, ends, says, started, starts


def seen(*stream):
    text = Text()
    monitor = JSONSeqMonitor(text, "m.json")
    for event in stream:
        monitor(event)
    return clientparser.records(text.text.encode())


def test_each_record_has_the_context_and_the_progress_of_its_own():
    found = seen(
        started(),
        begins("a"),
        begins("b"),
        says("b", 0, "the runner of b\n"),
        starts("a", 0),
        starts("b", 0),
        says("a", 0, "a says\n"),
        ended("b", 0),
        says("a", 0, "a goes on\n"),
        starts("b", 1),
        ended("a", 0),
        ended("b", 1),
        ends("b"),
        starts("a", 1),
        says("a", 1, "last\n"),
        ended("a", 1),
        ends("a"),
    )
    assert [(s.message, s.origin, s.pipeline, s.stage, s.progress[-1][1]) for s in found] == [
        ("starting m.json", "osbuild.main_cli", None, None, 0),
        ("Starting pipeline a", "osbuild.monitor", "a", None, 0),
        ("Starting pipeline b", "osbuild.monitor", "b", None, 0),
        ("the runner of b\n", "org.osbuild", "b", None, 0),
        ("Starting module org.osbuild.a0", "osbuild.monitor", "a", "org.osbuild.a0", 0),
        ("Starting module org.osbuild.b0", "osbuild.monitor", "b", "org.osbuild.b0", 0),
        ("a says\n", "stages/org.osbuild.a0", "a", "org.osbuild.a0", 0),
        ("Finished module org.osbuild.b0", "osbuild.monitor", "b", "org.osbuild.b0", 1),
        ("a goes on\n", "stages/org.osbuild.a0", "a", "org.osbuild.a0", 0),
        ("Starting module org.osbuild.b1", "osbuild.monitor", "b", "org.osbuild.b1", 1),
        ("Finished module org.osbuild.a0", "osbuild.monitor", "a", "org.osbuild.a0", 1),
        ("Finished module org.osbuild.b1", "osbuild.monitor", "b", "org.osbuild.b1", 2),
        ("Finished pipeline b", "osbuild.monitor", "b", None, 1),
        ("Starting module org.osbuild.a1", "osbuild.monitor", "a", "org.osbuild.a1", 1),
        ("last\n", "stages/org.osbuild.a1", "a", "org.osbuild.a1", 1),
        ("Finished module org.osbuild.a1", "osbuild.monitor", "a", "org.osbuild.a1", 2),
        ("Finished pipeline a", "osbuild.monitor", "a", None, 2),
    ]
    # Two pipelines and two fetches of one source.
    assert {s.progress[0][2] for s in found} == {5}


def test_the_end_of_a_stage_tells_all_about_it():
    *_, found = seen(
        started(),
        begins("a"),
        starts("a", 0),
        ended("a", 0, output="said", metadata={"x": {"y": "", "z": 1}}),
    )
    assert found.result == {"name": "org.osbuild.a0", "id": "id-a0", "success": True, "output": "said"}
    assert (found.options, found.metadata, found.duration) == ({"n": 0}, {"x": {"z": 1}}, 1.5)


def test_a_stage_that_fails_is_not_done():
    raised = {"type": "ValueError", "value": "no", "traceback": "…"}
    *_, stage, pipeline, run = seen(
        started(),
        begins("a"),
        starts("a", 0),
        ended("a", 0, success=False, error=Failure("stage.exception", "no", data=raised)),
        ends("a", success=False),
        events.RunFinished(RunResult(False)),
    )
    assert stage.result["success"] is False
    assert stage.result["error"] == {"type": "exception", "data": raised}
    assert stage.progress[1] == ("pipeline: a", 0, 2)
    assert pipeline.result == {"name": "a", "id": "id-a1", "success": False}
    assert run.message == "manifest m.json failed\n"


def test_a_stage_that_another_process_built_meanwhile():
    *_, found = seen(started(), begins("a"), ended("a", 0, cached=True), ended("a", 1, cached=True))
    assert (found.stage, found.progress[1]) == ("org.osbuild.a1", ("pipeline: a", 2, 2))


def item(n, **more):
    return SourceItemResult(f"sha256:{n}", True)._replace(**more)


def test_a_source_that_is_fetched_in_two_goes():
    kind = "org.osbuild.curl"
    found = seen(
        started(),
        events.SourceStarted(kind, 2, "id-curl"),
        events.SourceProgress(kind, 0, 1),
        events.SourceFinished(SourceResult(kind, True, (item(1, cached=True), item(2)), seconds=2.0)),
        events.SourceStarted(kind, 1, "id-curl"),
        events.SourceFinished(SourceResult(kind, True, (item(3),), seconds=1.0)),
    )
    assert [s.progress[-1] for s in found[1:]] == [
        ("pipeline: source org.osbuild.curl", 0, 2),
        # One of the two was there before.
        ("pipeline: source org.osbuild.curl", 1, 2),
        ("pipeline: source org.osbuild.curl", 2, 2),
        ("pipelines/sources", 1, 5),
        ("pipeline: source org.osbuild.curl", 2, 3),
        ("pipeline: source org.osbuild.curl", 3, 3),
        ("pipelines/sources", 2, 5),
    ]
    ended = found[3]
    assert (ended.pipeline, ended.message) == ("source org.osbuild.curl", "Finished module org.osbuild.curl")
    assert [r["checksum"] for r in ended.result["results"]] == ["sha256:1", "sha256:2"]


def test_the_results_of_a_large_source_are_left_out():
    kind = "org.osbuild.curl"
    items = tuple(item(n) for n in range(2000))
    found = seen(
        started(),
        events.SourceStarted(kind, 2000, "id"),
        events.SourceFinished(SourceResult(kind, False, items, "why", Failure("source.failed", "no"))),
    )
    assert found[2].result == {"name": kind, "id": "id", "success": False, "output": "why"}


def test_warnings_and_exports_are_not_for_the_users_of_clients():
    found = seen(started(), events.Warned("look out"), events.ExportStarted("a"))
    assert [(s.message, s.origin) for s in found[1:]] == [
        ("warning: look out\n", "org.osbuild"),
        ("exporting a\n", "org.osbuild"),
    ]


def test_a_record_is_a_line():
    text = Text()
    monitor = JSONSeqMonitor(text, "line\nbreak")
    monitor(started())
    assert text.text.count("\n") == 1 and text.text.startswith("\x1e") and text.text.endswith("}\n")
    assert json.loads(text.text[1:])["message"] == "starting line\nbreak"
