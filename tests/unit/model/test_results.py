"""Results of runs: what is to blame comes first."""

from __future__ import annotations

from osbuild_core.model.results import Failure, PipelineResult, RunResult
from osbuild_core.server.build_task import summary

KEPT = Failure("cancelled", "not run, since something before it failed or was cancelled")
BROKEN = Failure("sandbox.failed", "bwrap does not start")


def test_what_did_not_run_because_of_others_is_named_after_them() -> None:
    pipelines = (
        PipelineResult("image", None, False, error=KEPT),
        PipelineResult("os", None, False, error=BROKEN),
    )
    result = RunResult(False, pipelines)
    assert result.failures() == [("pipeline os", BROKEN), ("pipeline image", KEPT)]
    assert summary(result)["errors"][0]["message"] == BROKEN.detail
