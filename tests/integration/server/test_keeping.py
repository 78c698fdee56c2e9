"""Nothing is kept for ever: builds go when their time is over, indexes and stores when nobody uses them."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from osbuild_core.exports.compose.fetch import Fetcher, drop_unused
from osbuild_core.exports.compose.vocabulary import State
from osbuild_core.resolve import apt, aptstate
from osbuild_core.resolve.entries import Entry
from osbuild_core.resolve.settings import ResolveSettings
from osbuild_core.server import confinement
from osbuild_core.server.database import Database, now
from osbuild_core.server.maintenance import Maintenance
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.tables import Build, BuildEvent
from osbuild_core.server.tidying import Tidying
from osbuild_core.store.store import Store
from tests.emulator import postgresql
from tests.integration.server.running import Service, service, settings_file, started, until
from tests.integration.server.test_builds import finished, manifest, mkdir

DAY = 86400


def state_of(served: Service, id: int) -> str:
    items = served.get("/builds?per_page=100").json()["items"]
    return str(next(item["state_name"] for item in items if item["id"] == id))


@pytest.mark.root
def test_builds_expire(tmp_path: Path) -> None:
    with service(tmp_path, {"keep": {"look_seconds": 0.5}}) as served:
        unused = aged(served.data / "indexes" / "rpmmd" / "sha256-old", 8)
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
        until(unused.exists, lambda there: not there)


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


def aged(path: Path, days: float, size: int = 1) -> Path:
    """Return ``path``, a file that was used so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    at = time.time() - days * DAY
    os.utime(path, (at, at))
    return path


def index(state: Path, number: int, days: float) -> Path:
    """Return a directory as apt's indexes are in."""
    path = state / f"stable-amd64-{number:016x}"
    aged(path / "apt.conf", days)
    aged(path / "lock", days)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def contents(data: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Make indexes and a store in ``data``; return what is to go and what is to stay."""
    rpmmd, debian, store = data / "indexes" / "rpmmd", data / "indexes" / "apt", data / "store"
    Store.open(store).close()
    files = store / "sources" / "org.osbuild.files"
    gone = {
        "metadata": aged(rpmmd / "sha256-old", 8),
        "leftover": aged(rpmmd / ".new-left", 2),
        "indexes": index(debian, 1, 8),
        "half of them": aged(debian / ".gone-1" / "Packages", 0).parent,
        "source": aged(files / "sha256:1", 31),
        "log": aged(store / "logs" / "1.log", 31),
    }
    kept = {
        "metadata": aged(rpmmd / "sha256-new", 6),
        "unfinished": aged(rpmmd / ".new-now", 0),
        "indexes": index(debian, 2, 6),
        "held indexes": index(debian, 3, 8),
        "source": aged(files / "sha256:2", 29),
        "a compose's": aged(files / "sha256:3", 60),
        "its link": data / "link",
        "somebody else's": aged(debian / "other" / "file", 60),
    }
    os.link(kept["a compose's"], kept["its link"])
    return gone, kept


@pytest.mark.root
def test_what_nobody_uses_goes(open_directory: Path) -> None:
    data = open_directory / "data"
    settings = ServerSettings(data=data)
    home = confinement.home_of(settings, 1)
    confinement.prepared(settings, settings.compose_settings(), data / "composes" / "odcs-1", home)
    parts = [contents(data), contents(data / "confined")]
    first = settings.composes.first_id
    for name in ("indexes", "store"):
        for path in (data / "confined" / name).rglob("*"):
            os.chown(path, first, first, follow_symlinks=False)
    # Who was taken over may have left anything there.
    trap = aged(data / "trap", 60)
    aged(data / "tidied", 1)
    (data / "confined" / "indexes" / "rpmmd" / "sha256-trap").symlink_to(trap)
    handles = [os.open(kept["held indexes"] / "lock", os.O_RDWR) for _, kept in parts]
    try:
        for handle in handles:
            fcntl.flock(handle, fcntl.LOCK_EX)

        async def run() -> None:
            # The second one finds that the first one is at it.
            await asyncio.gather(*(Tidying(settings).run() for _ in range(2)))

        asyncio.run(run())
    finally:
        for handle in handles:
            os.close(handle)
    for gone, kept in parts:
        assert [name for name, path in gone.items() if path.exists()] == []
        assert [name for name, path in kept.items() if not path.exists()] == []
    assert trap.exists()
    assert {path.stat().st_uid for path in (data / "confined" / "store").rglob("*")} == {first}


def test_what_is_too_much_goes(tmp_path: Path) -> None:
    limits = {"indexes_bytes": 25_000, "store_bytes": 0}
    settings = ServerSettings(data=tmp_path, keep=limits)  # type: ignore[arg-type]
    ages = [4.0, 3.0, 2.0, 0.1, 0.0]
    metadata = [aged(tmp_path / "indexes" / "rpmmd" / f"sha256-{age}", age, 10_000) for age in ages]
    Store.open(tmp_path / "store").close()
    sources = [
        aged(tmp_path / "store" / "sources" / "org.osbuild.files" / f"sha256:{n}", 3) for n in range(2)
    ]
    os.link(sources[1], tmp_path / "link")
    aged(tmp_path / "tidied", 1)
    asyncio.run(Tidying(settings).run())
    # What was used in the last hours may be in use, however much it is.
    assert [path.exists() for path in metadata] == [False, False, False, True, True]
    assert [path.exists() for path in sources] == [False, True]


def test_what_is_asked_for_is_not_removed_meanwhile(tmp_path: Path) -> None:
    source = tmp_path / "primary.xml"
    source.write_text("<metadata/>")
    checksum = f"sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}"
    fetcher = Fetcher((str(tmp_path),), tmp_path / "rpmmd")
    entries = [Entry("file:///nowhere", "stable", ("main",), ())]
    settings = ResolveSettings(state_dir=tmp_path / "apt")
    for number in range(200):
        week = time.time() - 7 * DAY

        def drop(before: float = week) -> None:
            drop_unused(fetcher.cache, before, recent=before)
            aptstate.drop_unused(settings.state_dir, before)

        thread = threading.Thread(target=drop)
        os.utime(fetcher.keep(str(source), checksum), (0, 0))
        if number % 10:
            thread.start()
            found = fetcher.keep(str(source), checksum)
            thread.join()
            assert found.read_text() == "<metadata/>"
            continue
        with apt.open_apt(entries, "amd64", "stable", settings) as opened:
            directory = opened.directory
        os.utime(directory, (0, 0))
        thread.start()
        with apt.open_apt(entries, "amd64", "stable", settings) as opened:
            thread.join()
            assert (opened.directory / "apt.conf").is_file()
