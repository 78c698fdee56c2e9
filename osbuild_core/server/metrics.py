"""Figures for Prometheus: requests that this process answered, and what the database has."""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.server.database import Database
from osbuild_core.server.tables import Build, Compose, Work, Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ALIVE = 60.0
"""Seconds since its last sign of life for which a worker counts."""


class Metrics:
    """What one process counts by itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "http_request_seconds",
            "Time until a request was answered",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    async def text(self, database: Database) -> bytes:
        """Return everything as Prometheus reads it."""
        found = await figures(database)
        registry = CollectorRegistry()
        total = Gauge(
            "composes_total", "Composes by source and state", ["source_type", "state"], registry=registry
        )
        for (kind, state), count in found.composes.items():
            total.labels(kind, state).set(count)
        raw = Gauge("raw_config_composes", "Composes of raw_config", ["source", "state"], registry=registry)
        raw_total = Gauge(
            "raw_config_composes_count_total", "Composes of raw_config", ["source"], registry=registry
        )
        for (source, state), count in found.raw.items():
            raw.labels(source, state).set(count)
            raw_total.labels(source).inc(count)
        builds = Gauge("builds_total", "Builds by state", ["state"], registry=registry)
        for state, count in found.builds.items():
            builds.labels(state).set(count)
        queue = Gauge("queue_length", "What is not done", ["kind", "taken"], registry=registry)
        for (kind, taken), count in found.queue.items():
            queue.labels(kind, str(taken).lower()).set(count)
        Gauge("queue_oldest_seconds", "Age of the oldest request that waits", registry=registry).set(
            found.oldest
        )
        Gauge("workers_total", "Workers that give signs of life", registry=registry).set(found.workers)
        Gauge("workers_busy", "Pieces of work that they are at", registry=registry).set(found.busy)
        return bytes(generate_latest(registry)) + bytes(generate_latest(self.registry))


@dataclass(slots=True)
class Figures:
    """Counts from the database; names where it has numbers."""

    composes: dict[tuple[str, str], int]
    raw: dict[tuple[str, str], int]
    builds: dict[str, int]
    queue: dict[tuple[str, bool], int]
    oldest: float
    workers: int
    busy: int


async def figures(database: Database) -> Figures:
    """Read all counts."""
    async with database.reading() as session:
        counted = await session.execute(
            select(Compose.source_type, Compose.state, func.count()).group_by(
                Compose.source_type, Compose.state
            )
        )
        composes = {(SourceType(t).name, State(s).name): n for t, s, n in counted}
        raw: dict[tuple[str, str], int] = {}
        rows = await session.execute(
            select(Compose.source, Compose.state, func.count())
            .where(Compose.source_type == int(SourceType.raw_config))
            .group_by(Compose.source, Compose.state)
        )
        for source, state, count in rows:
            key = (source.partition("#")[0], State(state).name)
            raw[key] = raw.get(key, 0) + count
        builds = {
            State(state).name: count
            for state, count in await session.execute(select(Build.state, func.count()).group_by(Build.state))
        }
        taken = Work.lease_until.is_not(None)
        queue = {
            (kind, bool(has)): count
            for kind, has, count in await session.execute(
                select(Work.kind, taken, func.count()).group_by(Work.kind, taken)
            )
        }
        waiting = [
            await session.scalar(select(func.min(table.time_submitted)).where(table.state == int(State.wait)))
            for table in (Compose, Build)
        ]
        clock = database.clock()
        alive = (
            await session.execute(
                select(func.count(), func.coalesce(func.sum(Worker.busy), 0)).where(
                    Worker.seen > clock - ALIVE
                )
            )
        ).one()
    from osbuild_core.server.database import now

    at = now()
    oldest = max([0.0, *((at - since).total_seconds() for since in waiting if since is not None)])
    return Figures(composes, raw, builds, queue, oldest, int(alive[0]), int(alive[1]))


def stopwatch() -> float:
    """Return the time from which a request's seconds are counted."""
    return time.perf_counter()
