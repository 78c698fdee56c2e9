"""Time to list composes of the service among 100,000 over the time among 1,000, for every filter and every order.

Over HTTP, as clients ask, on SQLite and on PostgreSQL: pages of ten with their totals. Run as
``python benchmarks/service_lists.py``.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests
from measure import OSBUILD_CORE, workspace
from sqlalchemy import insert

from osbuild_core.server.counts import add_up
from osbuild_core.server.database import Database
from osbuild_core.server.tables import Compose
from tests.emulator import postgresql

FEW, MANY = 1_000, 100_000
AIM = 2.0
ROUNDS, MOST = 15, 60
"""Requests of each kind: the more where it is not clear."""
ORDERS = "id owner source_type koji_event state time_to_expire time_submitted time_done time_removed".split()
QUERIES = (
    "",
    "owner=user7",
    "owner=nobody",
    "state=done",
    "state=removed",
    "state=generating",
    "source_type=tag",
    "compose_type=nightly",
    "label=RC-1.3",
    "source=set-17",
    "pungi_compose_id=odcs-500-1-20260101.t.0",
    "koji_task_id=5",
    "owner=user7&state=removed",
    "state=failed&source_type=repo",
    "source=set-17&state=removed",
    "source=nightly",
    "source=nightly&state=done",
    "source=nightly&owner=user8",
    "owner=user3&label=RC-1.3&compose_type=nightly",
    *(f"order_by={way}{name}" for name in ORDERS for way in ("", "-")),
    "state=removed&order_by=time_done",
    "owner=user7&order_by=-time_submitted",
    "source=set-17&order_by=time_done",
    "source=nightly&order_by=time_done",
    "per_page=100",
)

EMPTY = ("owner=nobody", "koji_task_id=5")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield composes as years of use leave them: most are removed, some are there, a few are in the queue."""
    choice, begin = random.Random(7), datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    for number in range(1, count + 1):
        user = number % 50
        at = begin + timedelta(seconds=300 * number)
        state = choice.choices((2, 3, 4), (30, 60, 10))[0] if number <= count - 5 else number % 2
        done = at + timedelta(seconds=200) if state > 1 else None
        yield {
            "owner": f"user{user}",
            "source_type": (1, 1, 1, 3, 2, 6)[user % 6],
            # One that is asked for every night, and many others.
            "source": "nightly" if number % 5 > 2 else f"set-{choice.randrange(200)}",
            "koji_event": number // 10,
            "packages": "bash coreutils glibc",
            "compose_type": "nightly" if user < 10 else "test",
            "label": f"RC-1.{number // 50 % 20}" if user < 5 else None,
            "state": state,
            "time_submitted": at,
            "time_to_expire": at + timedelta(days=1),
            "time_started": at,
            "time_done": done,
            "time_removed": at + timedelta(days=1) if state == 3 else None,
            "pungi_compose_id": f"odcs-{number}-1-20260101.t.0" if state > 1 else None,
            "locked": {"manifest": "x" * 500} if state in (2, 3) else None,
        }


async def fill(url: str, count: int) -> None:
    """Bring a database to our schema, with so many composes."""
    database = Database(url)
    await database.prepare(migrate=True)
    made = list(rows(count))
    for start in range(0, count, 2_000):
        async with database.writing() as session:
            await session.execute(insert(Compose), made[start : start + 2_000])
        if start % 20_000 == 18_000 or start + 2_000 >= count:
            # What workers and the database do now and then.
            await add_up(database)
            if not database.is_sqlite:
                postgresql.query(url, "VACUUM ANALYZE")
    await database.close()


@contextmanager
def service(directory: Path, url: str) -> Iterator[str]:
    """Run a server; provide its address."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / "server.toml"
    settings.write_text(f'database = "{url}"\ndata = "{directory}"\n')
    command = [str(OSBUILD_CORE), "serve", "--config", str(settings), "--port", "0", "--no-worker"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait()


def seconds(session: requests.Session, address: str) -> float:
    started = time.perf_counter()
    reply = session.get(address, timeout=60)
    taken = time.perf_counter() - started
    assert reply.status_code == 200, reply.text
    return taken


def compare(name: str, few: str, many: str) -> float:
    """Print the ratio of each query; return the largest one."""
    worst, session = 0.0, requests.Session()
    totals = [session.get(f"{base}api/1/composes/").json()["meta"] for base in (few, many)]
    assert [meta["total"] for meta in totals] == [FEW, MANY], totals
    lasts = [meta["last"].partition("?")[2] for meta in totals]
    queries = [(query or "all", (query, query)) for query in QUERIES] + [("last page", (lasts[0], lasts[1]))]
    for title, both in queries:
        addresses = [f"{base}api/1/composes/?{q}" for base, q in zip((few, many), both, strict=True)]
        if title not in EMPTY:
            # An empty page is no measure for one that is not.
            assert all(session.get(address).json()["items"] for address in addresses), title
        # In turns, so that what else the machine does meets both; what disturbs a request only makes it slower.
        small = large = float("inf")
        for number in range(MOST):
            small, large = (
                min(best, seconds(session, address))
                for best, address in zip((small, large), addresses, strict=True)
            )
            if number + 1 >= ROUNDS and large / small <= AIM:
                break
        worst = max(worst, large / small)
        print(
            f"  {name} {title}: {large * 1e3:.1f} ms / {small * 1e3:.1f} ms = {large / small:.2f}", flush=True
        )
    print(f"list composes, {MANY:,} / {FEW:,}, {name}: at worst {worst:.2f} (at most {AIM:g})", flush=True)
    return worst


def main() -> int:
    worst = []
    with workspace() as directory, ExitStack() as stack:
        places = {"sqlite": [f"sqlite:///{directory}/{count}.sqlite" for count in (FEW, MANY)]}
        try:
            server = stack.enter_context(postgresql.running())
            places["postgresql"] = [postgresql.another(server) for _ in range(2)]
        except postgresql.UnavailableError as error:
            print(f"not on PostgreSQL: {error}")
        for name, urls in places.items():
            for url, count in zip(urls, (FEW, MANY), strict=True):
                asyncio.run(fill(url, count))
            with (
                service(directory / f"{name}-few", urls[0]) as few,
                service(directory / f"{name}-many", urls[1]) as many,
            ):
                worst.append(compare(name, few, many))
    return 0 if max(worst) <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
