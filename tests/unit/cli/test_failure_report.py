"""What a user is told of a failure, on the terminal and as JSON."""

from __future__ import annotations

from osbuild_core.cli.report import TAIL_LINES, as_error, error_document, error_lines, failure_lines
from osbuild_core.model.errors import Issue, ManifestError, UsageError
from osbuild_core.model.results import ExportResult, Failure, PipelineResult, RunResult, StageResult

PLACE = ("pipelines", 0, "stages", 1)


def stage(output="", error=None):
    return StageResult("os", 1, "org.osbuild.x", "id", error is None, output=output, log="/log", error=error)


def run(*stages, **more):
    return RunResult(False, (PipelineResult("os", "id", False, stages, **more),))


def test_every_issue_of_a_manifest_has_its_line():
    error = ManifestError([Issue("is wrong", PLACE, hint="mend it"), Issue("too")])
    assert list(error_lines(error)) == ["pipelines[0].stages[1]: is wrong (mend it)", "too"]
    assert [issue["path"] for issue in error_document(error)["errors"]] == [list(PLACE), []]


def test_a_failed_stage_shows_the_end_of_its_log_then_the_reason():
    output = "".join(f"line {n}\n" for n in range(TAIL_LINES + 2))
    lines = list(failure_lines(run(stage(output, Failure("stage.exit", "ended", None, PLACE)))))
    assert lines[:3] == ["--- os: org.osbuild.x (log: /log)", "[2 lines before]", "line 2"]
    assert lines[-2:] == ["---", "error: os: org.osbuild.x: pipelines[0].stages[1]: ended"]


def test_what_was_cancelled_is_not_blamed():
    cancelled = Failure("cancelled", "cancelled")
    assert list(failure_lines(run(stage("text", cancelled), error=cancelled))) == []


def test_other_failures_have_one_line_each():
    result = run(error=Failure("store.full", "no room", "make some"))
    result = result._replace(exports=(ExportResult("os", False, error=Failure("export.copy", "broken")),))
    assert list(failure_lines(result)) == [
        "error: pipeline os: no room (make some)",
        "error: export os: broken",
    ]


def test_errors_of_the_system_are_shown_and_bugs_are_not():
    error = as_error(PermissionError(13, "Permission denied", "/there"))
    assert (error.code, error.detail, error.hint) == ("system", "Permission denied: /there", None)
    assert (
        as_error(FileNotFoundError(2, "No such file or directory")).hint
        == "is the current directory still there?"
    )
    known = UsageError("wrong")
    assert as_error(known) is known
    assert as_error(BrokenPipeError(32, "Broken pipe")) is None
    assert as_error(ValueError("a bug")) is None
