"""Progress as lines."""

from __future__ import annotations

import io

import pytest

from osbuild_core.cli.lines import Lines, printable, seconds, size
from osbuild_core.model import events
from osbuild_core.model.results import (
    ExportResult,
    Failure,
    PipelineResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)


def said(*stream, verbose=False):
    out = io.StringIO()
    lines = Lines(out, verbose=verbose)
    for event in stream:
        lines(event)
    return out.getvalue().splitlines()


def ended(number, **more):
    return events.StageFinished(StageResult("os", number, "org.osbuild.x", "id", **{"success": True, **more}))


def test_durations_and_sizes():
    assert [seconds(value) for value in (0.04, 59.9, 61)] == ["0.0 s", "59.9 s", "1 min 1 s"]
    assert [size(value) for value in (999, 1500, 2_000_000, 3.5e9)] == [
        "999 B",
        "1.5 kB",
        "2.0 MB",
        "3.50 GB",
    ]


def test_a_pipeline_from_start_to_end():
    assert said(
        events.PipelineStarted("os", "id", 1, 3),
        events.StageStarted("os", 1, "org.osbuild.x", "id"),
        events.StageOutput("os", 1, "not shown\n"),
        ended(1, seconds=2.0),
        ended(2, cached=True),
        events.PipelineFinished(PipelineResult("os", "id", True, seconds=3)),
        events.ExportFinished(ExportResult("os", True, "/out/os")),
    ) == [
        "os: started, 1 of 3 stages in the store",
        "os: 2/3 org.osbuild.x",
        "os: 2 org.osbuild.x done in 2.0 s",
        "os: 3 org.osbuild.x is in the store by now",
        "os: done in 3.0 s",
        "os: exported to /out/os",
    ]


ODD = "a[/b]\x1b[2Jb\nc"


def test_names_stay_on_their_line_and_do_nothing_to_the_terminal():
    """They come from manifests, which may be those of others."""
    assert said(events.PipelineStarted(ODD, "id", 0, 1)) == ["a[/b]\ufffd[2Jb c: started"]


def test_names_stay_beside_their_bar(capsys):
    from osbuild_core.cli.bars import Bars

    with Bars() as bars:
        bars(events.PipelineStarted(ODD, "id", 0, 1))
        bars(events.PipelineFinished(PipelineResult(ODD, "id", True, seconds=3)))
    shown = capsys.readouterr().err
    assert r"a[/b]\x1b[2Jb\nc" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(("code", "state"), [("stage.exit", "failed"), ("cancelled", "cancelled")])
def test_what_ctrl_c_ended_has_not_failed(code, state, capsys):
    from osbuild_core.cli.bars import Bars

    stage = StageResult("os", 0, "org.osbuild.x", "id", success=False, error=Failure(code, "no"))
    with Bars() as bars:
        bars(events.PipelineStarted("os", "id", 0, 1))
        bars(events.PipelineFinished(PipelineResult("os", "id", False, (stage,))))
    assert state in capsys.readouterr().err


def test_a_failure_is_said_and_what_it_cancelled_is_not():
    failed, cancelled = Failure("stage.exit", "ended"), Failure("cancelled", "cancelled")
    assert said(ended(0, success=False, error=failed), ended(0, success=False, error=cancelled)) == [
        "os: 1 org.osbuild.x failed"
    ]


def test_output_comes_in_whole_lines_with_the_rest_at_the_end_of_the_stage():
    output = [events.StageOutput("os", 0, text) for text in ("one\ntw", "o\nthr", "ee")]
    other = events.StageOutput("else", 0, "between\n")
    assert said(output[0], other, *output[1:], ended(0), verbose=True) == [
        "os | one",
        "else | between",
        "os | two",
        "os | three",
        "os: 1 org.osbuild.x done in 0.0 s",
    ]


def test_a_line_without_an_end_is_not_waited_for():
    output = [events.StageOutput("os", 0, "x" * 6000) for _ in range(3)]
    assert said(*output, ended(0), verbose=True)[:2] == [f"os | {'x' * 12000}", f"os | {'x' * 6000}"]


def test_only_what_was_fetched_is_counted():
    items = (
        SourceItemResult("a", True),
        SourceItemResult("b", True, cached=True),
        SourceItemResult("c", False),
    )
    assert said(events.SourceFinished(SourceResult("org.osbuild.curl", False, items))) == [
        "org.osbuild.curl: 1 items in 0.0 s"
    ]
    assert said(events.SourceFinished(SourceResult("org.osbuild.curl", True, items[1:2]))) == []


def test_control_characters_are_taken_out():
    assert printable("a\033[2J\tb\r\n\x9bc\nä") == "a\ufffd[2J\tb\n\ufffdc\nä"


def test_a_reader_that_has_gone_ends_nothing():
    class Closed(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    Lines(Closed())(events.Warned("nobody reads this"))
