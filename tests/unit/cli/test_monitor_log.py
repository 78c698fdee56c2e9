"""The log of a run: pipelines that run side by side are shown one after the other."""

from __future__ import annotations

from osbuild_core.cli.monitors.log import LogMonitor, Turns
from osbuild_core.model import events
from osbuild_core.model.results import Failure, PipelineResult, RunResult, SourceItemResult, SourceResult
from tests.unit.cli.runs import Text, begins, ended, ends, says, started, starts


def shown(*stream):
    text = Text()
    monitor = LogMonitor(text, "m.json")
    for event in stream:
        monitor(event)
    return text.text


def test_one_pipeline():
    assert shown(
        started(),
        begins("a"),
        starts("a", 0),
        says("a", 0, "no line"),
        says("a", 0, " break"),
        ended("a", 0),
        ended("a", 1, cached=True),
        ends("a"),
        events.RunFinished(RunResult(True, (PipelineResult("a", "id-a1", True),))),
    ) == (
        "starting m.json\n"
        "Pipeline a: id-a1\nBuild\n  root: id-build1\n  runner: org.osbuild.linux1 (org.osbuild.linux)\n"
        'org.osbuild.a0: id-a0 {\n  "n": 0,\n  "empty": ""\n}\n'
        "no line break\n\n⏱  Duration: 1.50s\n"
        "org.osbuild.a1: id-a1 is in the store by now\n"
        "manifest m.json finished successfully\na:\tid-a1\n"
    )


def test_the_host_and_a_source_epoch():
    text = shown(started(), begins("b"))
    assert text.endswith(
        "  root: <host>\n  runner: org.osbuild.linux (org.osbuild.linux)\n  source-epoch: 7\n"
    )


def test_the_second_pipeline_waits_for_the_first():
    first, second = (
        [begins("a"), starts("a", 0), says("a", 0, "a says\n"), ended("a", 0), ends("a")],
        [
            begins("b"),
            starts("b", 0),
            says("b", 0, "b says\n"),
            ended("b", 0),
            ends("b"),
        ],
    )
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    assert shown(started(), *mixed) == shown(started(), *first, *second)
    # It goes on live once the first one has ended.
    assert shown(started(), first[0], second[0], *first[1:], second[1]).endswith('"empty": ""\n}\n')
    # What ended while it waited is shown when its turn comes.
    assert shown(started(), first[0], *second, *first[1:]) == shown(started(), *first, *second)


def test_at_the_end_of_the_run_nothing_is_kept_back():
    failed = events.RunFinished(RunResult(False))
    text = shown(started(), begins("a"), begins("b"), says("b", 0, "b said this\n"), failed)
    assert text.endswith("b said this\nmanifest m.json failed\n")


def test_what_failed_says_so():
    error = Failure("stage.exit", "ended with status 1")
    text = shown(started(), begins("a"), starts("a", 0), ended("a", 0, success=False, error=error))
    assert text.endswith("Failed: ended with status 1\n\n⏱  Duration: 1.50s\n")


def test_a_source():
    items = (
        SourceItemResult("1", True),
        SourceItemResult("2", True, cached=True),
        SourceItemResult("3", False),
    )
    result = SourceResult(
        "org.osbuild.curl", False, items, error=Failure("source.failed", "gone"), seconds=2.0
    )
    text = shown(started(), events.SourceStarted("org.osbuild.curl", 3, "id"), events.SourceFinished(result))
    assert text == (
        "starting m.json\nPipeline source org.osbuild.curl: id\n1 of 3 items fetched\nFailed: gone\n"
        "\n⏱  Duration: 2.00s\n"
    )


def test_speakers_come_again():
    text = Text()
    turns = Turns(text)
    turns.say("a", "a1 ")
    turns.say("b", "b1 ")
    turns.end("b")
    turns.say("c", "c1 ")
    turns.say("b", "b2 ")
    turns.end("b")
    turns.end("a")
    assert text.text == "a1 b1 b2 c1 "
    turns.say("d", "d1 ")
    turns.say("c", "c2 ")
    turns.end("c")
    assert text.text == "a1 b1 b2 c1 c2 d1 "


def test_control_characters_do_not_reach_a_terminal():
    terminal = Text()
    terminal.terminal = True
    for stream, expected in ((terminal, "a\ufffd[2Jb"), (Text(), "a\033[2Jb")):
        Turns(stream).say("a", "a\033[2Jb")
        assert stream.text == expected
