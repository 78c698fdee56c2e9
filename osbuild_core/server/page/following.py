"""What pages know of builds between two looks: the manifest's graph, and the events so far. Each is read once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from osbuild_core.model.errors import OsbuildError
from osbuild_core.server import builds
from osbuild_core.server.database import Database
from osbuild_core.server.page.progress import PipelineOutline
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.tables import Build

_KEPT = 64
"""Builds that are remembered."""


@dataclass(frozen=True, slots=True)
class Known:
    """``last`` is the number of the newest event that counts, ``happened`` all events but what was printed."""

    outline: tuple[PipelineOutline, ...]
    last: int = 0
    happened: tuple[tuple[str, dict[str, Any]], ...] = ()


class Following:
    """The builds that somebody looks at."""

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._known: OrderedDict[int, Known] = OrderedDict()

    async def of(self, id: int) -> Known:
        """Return what is known of a build now."""
        known = self._known.get(id)
        if known is None:
            known = Known(await self._outline(id))
        last = await builds.newest(self._database, id)
        if last > known.last:
            more = await builds.happened(self._database, id, known.last, last)
            known = Known(known.outline, last, known.happened + tuple((kind, data) for _, kind, data in more))
        self._known[id] = known
        self._known.move_to_end(id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    async def _outline(self, id: int) -> tuple[PipelineOutline, ...]:
        async with self._database.reading() as session:
            manifest = await session.scalar(select(Build.manifest).where(Build.id == id))
        return () if manifest is None else await asyncio.to_thread(outline, manifest, self._settings)


def outline(document: dict[str, Any], settings: ServerSettings) -> tuple[PipelineOutline, ...]:
    """Return the pipelines of a manifest; nothing where it cannot be read (any more)."""
    from osbuild_core.engine.graph import make_graph
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings

    try:
        with Session(Settings(store=settings.data / "none", library=settings.library)) as session:
            graph = make_graph(session.load(document))
    except OsbuildError:
        return ()
    edges = graph.folded()
    return tuple(
        PipelineOutline(
            node.name,
            node.stages,
            next((edge.origin for edge in edges if edge.kind == "build" and edge.target == node.name), None),
            tuple(edge.origin for edge in edges if edge.kind == "input" and edge.target == node.name),
        )
        for node in graph.pipelines
    )
