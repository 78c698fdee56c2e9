"""Nothing is kept for ever: what builds have made goes when its time is over, and nothing before."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.server.database import Database, now
from osbuild_core.server.maintenance import Maintenance
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.tables import Build, BuildEvent
from tests.emulator import postgresql
from tests.integration.server.running import Service, service, settings_file, started, until
from tests.integration.server.test_builds import finished, manifest, mkdir


def state_of(served: Service, id: int) -> str:
    items = served.get("/builds?per_page=100").json()["items"]
    return str(next(item["state_name"] for item in items if item["id"] == id))


@pytest.mark.root
def test_builds_expire(tmp_path: Path) -> None:
    with service(tmp_path) as served:
        body = {"manifest": manifest(mkdir("/kept")), "exports": ["tree"]}
        for wrong in (0, True, "60", 1.5):
            reply = served.post("/builds", {**body, "seconds_to_live": wrong})
            assert (reply.status_code, reply.json()["message"][:16]) == (400, "seconds_to_live:")
        kept = finished(served, served.post("/builds", body).json()["id"])["id"]
        days = "julianday(time_to_expire) - julianday(time_done)"
        assert served.sql(f"SELECT {days} BETWEEN 6.9 AND 7.1 FROM builds WHERE id = {kept}") == ["1"]
        gone = served.post("/builds", {**body, "seconds_to_live": 1}).json()["id"]
        until(lambda: state_of(served, gone), lambda found: found == "removed")
        path = f"/builds/{gone}"
        for rest in ("", "/events", "/log", "/files", "/files/tree/kept"):
            reply = served.get(path + rest)
            assert reply.status_code == 410, reply.text
            assert f"Build {gone} is not there any more: it expired at 20" in reply.json()["message"]
        assert served.delete(path).status_code == 410
        assert served.get(f"/ui{path}").status_code == 410
        directory = served.data / "builds"
        until((directory / f"build-{gone}").exists, lambda there: not there)
        assert served.sql(f"SELECT count(*) FROM build_events WHERE build_id = {gone}") == ["0"]
        assert served.sql(f"SELECT manifest, time_removed IS NULL FROM builds WHERE id = {gone}") == ["{}|0"]
        assert served.get(f"/builds/{kept}/files").status_code == 200
        assert (directory / f"build-{kept}" / "tree" / "kept").is_dir()


BUILDS, EVENTS = 20, 300


async def fill(url: str, directory: Path) -> None:
    """Have builds whose time is over, and between them some that live, with events and files."""
    database, at = Database(url), now()
    try:
        await database.prepare(migrate=True)
        for id in range(1, BUILDS + 1):
            expires = at - timedelta(hours=1) if id % 4 else at + timedelta(hours=1)
            times = {"time_submitted": at, "time_done": at, "time_to_expire": expires}
            async with database.writing() as session:
                row = Build(owner="o", state=int(State.done), exports=[], manifest={"a": "b"}, **times)
                session.add(row)
                await session.flush()
                session.add_all(BuildEvent(build_id=row.id, kind="output", data={}) for _ in range(EVENTS))
            for number in range(40):
                folder = directory / f"build-{id}" / "tree" / str(number)
                folder.mkdir(parents=True)
                (folder / "file").write_text("text")
                folder.chmod(0o500)
    finally:
        await database.close()


async def left(url: str) -> tuple[int, int, int]:
    """Return how many builds live, how many events there are, and how many builds are only half removed."""
    database = Database(url)
    try:
        async with database.reading() as session:
            half = (Build.state == int(State.removed)) & Build.time_removed.is_(None)
            counts = [
                await session.scalar(select(func.count()).select_from(Build).where(which))
                for which in (Build.state != int(State.removed), half)
            ]
            events = await session.scalar(select(func.count()).select_from(BuildEvent))
            return int(counts[0] or 0), int(events or 0), int(counts[1] or 0)
    finally:
        await database.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def test_two_at_once_and_killed_in_the_middle(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/builds.sqlite"
    else:
        url = postgresql.another(request.getfixturevalue("postgres"))
    directory = tmp_path / "data" / "builds"
    asyncio.run(fill(url, directory))
    # What no build of the database has is somebody else's.
    (directory / "build-999").mkdir()
    settings_file(tmp_path, {"data": str(tmp_path / "data"), "database": url, "queue": {"maintenance": 0.01}})
    begun = BUILDS * EVENTS
    workers = [started(tmp_path, command="worker") for _ in range(2)]
    try:
        end = time.monotonic() + 20
        while asyncio.run(left(url))[1] == begun and time.monotonic() < end:
            time.sleep(0.005)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()

    async def rest() -> None:
        settings = ServerSettings(data=tmp_path / "data", database=url)
        databases = [Database(url) for _ in range(2)]
        try:
            for _ in range(2):
                await asyncio.gather(*(Maintenance(settings, one).run() for one in databases))
        finally:
            for one in databases:
                await one.close()

    asyncio.run(rest())
    assert asyncio.run(left(url)) == (BUILDS / 4, begun / 4, 0)
    live = {f"build-{id}" for id in range(4, BUILDS + 1, 4)}
    assert {path.name for path in directory.iterdir()} == live | {"build-999"}
    assert all(len(list(directory.glob(f"{name}/tree/*/file"))) == 40 for name in live)
