"""The trees of a build on a cluster: what nodes need goes into the remote cache, what we need comes from there."""

from __future__ import annotations

from osbuild_core.engine.context import Context
from osbuild_core.engine.record import cached_results
from osbuild_core.model.errors import StoreError
from osbuild_core.model.manifest import ORIGIN_SOURCE
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import PipelineResult
from osbuild_core.store.remote.cache import RemoteCache
from osbuild_core.store.remote.files import push_file


class Trees:
    """May be used from any thread that has a mount namespace of its own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _remote(self) -> RemoteCache:
        """The cache. Raises StoreError where there is none, or where it has been given up."""
        remote = self._context.remote
        if remote is None or not remote.writable:
            raise StoreError(
                "the remote cache, through which nodes and this machine exchange trees, cannot be used",
                code="cluster.cache",
                hint="see the warning before",
            )
        return remote

    def cached(self, planned: PlannedPipeline) -> PipelineResult | None:
        """Return the result of a pipeline that somebody has built since the run was planned, else None.

        Raises StoreError where there is no cache to look into.
        """
        assert planned.key is not None
        record = self._remote.record(planned.key)
        if record is None:
            return None
        stages = tuple(cached_results(planned, dict(record.document)))
        return PipelineResult(planned.name, planned.pipeline.id, True, stages)

    def offer(self, plan: Plan, planned: PlannedPipeline) -> None:
        """Put into the cache what the job of ``planned`` needs and only this machine has.

        The run's own pusher does as much, but nobody waits for it. Raises StoreError, Cancelled.
        """
        remote, store = self._remote, self._context.store
        if planned.base is not None and store.has(planned.base):
            remote.push(planned.base, _before(planned, planned.first - 1))
        needed = {planned.build_key, *(key for _, key in planned.trees)}
        for other in plan.pipelines:
            if other.key in needed and other.key is not None and store.has(other.key):
                remote.push(other.key, _before(other, len(other.stages) - 1))
        for stage in planned.todo:
            for item in stage.stage.inputs:
                for checksum in item.refs if item.origin == ORIGIN_SOURCE else ():
                    push_file(remote.access, store.sources, checksum)

    def collect(self, plan: Plan, planned: PlannedPipeline) -> None:
        """Bring the tree of ``planned`` here if the plan exports it, or if nothing of the plan stands on it; and what
        of it is to be kept. Raises StoreError where the cache does not have it."""
        needed = {name for other in plan.todo for name in other.pipelines}
        exported = {name for _, name, _ in plan.exports}
        keys = [stage.key for stage in planned.todo if stage.pinned]
        if planned.name in exported or planned.name not in needed:
            keys += [planned.key] if planned.key is not None else []
        for key in dict.fromkeys(keys):
            lease, _ = self._remote.pull(key)
            if lease is None:
                raise StoreError(
                    f"the pipeline {planned.name!r} is not in the remote cache, though a node has built it",
                    code="cluster.not-there",
                    hint="could the node write there, and does it see the same directory?",
                    place=planned.pipeline.path,
                )
            self._context.held.take(lease)
        for stage in planned.todo:
            if stage.pinned:
                self._context.store.pin(stage.key)


def _before(planned: PlannedPipeline, number: int) -> tuple[str, ...]:
    """Return the keys of the stages before the ``number``-th one, newest first."""
    return tuple(stage.key for stage in reversed(planned.stages[:number]))
