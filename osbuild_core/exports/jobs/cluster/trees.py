"""The trees of a build on a cluster: what nodes need goes into the remote cache, what we need comes from there."""

from __future__ import annotations

from osbuild_core.engine.context import Context
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import PipelineResult


class Trees:
    """May be used from any thread that has a mount namespace of its own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def cached(self, planned: PlannedPipeline) -> PipelineResult | None:
        """Return the result of a pipeline that somebody has built since the run was planned, else None."""
        return None

    def offer(self, planned: PlannedPipeline) -> None:
        """Put into the cache what the job of ``planned`` needs and only this machine has."""

    def collect(self, plan: Plan, planned: PlannedPipeline) -> None:
        """Bring the tree of ``planned`` here if the plan exports it, or if nothing of the plan stands on it."""
        needed = {name for other in plan.todo for name in other.pipelines}
        exported = {name for _, name, _ in plan.exports}
        if planned.name in exported or planned.name not in needed:
            assert planned.key is not None
            self._context.held.take(self._context.lease(planned.key))
