"""The one interface between a run and what carries its pipelines out: this machine, or a cluster."""

from __future__ import annotations

from typing import Protocol

from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import PipelineResult


class Executor(Protocol):
    """Runs pipelines of a plan. Called from several threads at once, each its own, for pipelines whose
    dependencies have been built."""

    def run_pipeline(self, plan: Plan, planned: PlannedPipeline) -> PipelineResult:
        """Run the stages of ``planned`` that are to do, and report events as they happen.

        A failure is in the result, not raised. Afterwards the session's store has the tree if the plan exports
        it or if none of its pipelines stands on it; others may be where only this executor finds them.
        """
        ...
