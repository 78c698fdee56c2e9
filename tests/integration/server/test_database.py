"""The schema goes up and down on both databases, and the service works on PostgreSQL as it does on SQLite."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text
from sqlalchemy.engine import Connection

from osbuild_core.exports.compose.lifetime import GENERATING
from osbuild_core.exports.compose.parsing import NewCompose
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType, State
from osbuild_core.model.errors import UsageError
from osbuild_core.server import composes, migrations
from osbuild_core.server.database import HEAD, Database
from osbuild_core.server.queue import Lease, Queue, finish
from osbuild_core.server.tables import Base, Compose
from tests.emulator import postgresql
from tests.integration.server import test_compose_api as api
from tests.integration.server import test_page as pages
from tests.integration.server.running import PROGRAM, Service, service, settings_file


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with postgresql.running() as url:
            yield url
    except postgresql.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.sqlite"
    url = str(request.getfixturevalue("server"))
    postgresql.query(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return url


def test_the_queue_is_in_the_order_of_requests(empty: str) -> None:
    """What is tried again, or was somebody's follower, has its old place, and who cannot go on lets others pass."""

    async def run() -> None:
        database = Database(empty)
        try:
            await database.migrate()
            queue = Queue(database, "w", 60.0)

            async def ask() -> int:
                request = ComposeRequest(SourceType.repo, "http://packages.test/x")
                return (await composes.create(database, NewCompose(request, 600), "o", at_most=99)).id

            async def take() -> Lease:
                lease = await queue.take()
                assert lease is not None
                return lease

            first, second, third, fourth = [await ask() for _ in range(4)]
            failed = await take()
            await queue.release(failed, after=1.0)
            passing = await take()
            assert (failed.subject_id, passing.subject_id) == (first, second)
            await asyncio.sleep(1.1)
            again = await take()
            assert (again.subject_id, again.attempts) == (first, 2)
            # The second one is to be decided on after the first one: it is not looked at before.
            await queue.release(passing, attempted=False, waits_for=first)
            assert (await take()).subject_id == third
            fifth = await ask()
            async with database.writing() as session:
                row = await session.get(Compose, first)
                assert row is not None
                row.state, row.state_reason = int(State.generating), GENERATING
            assert (await take()).subject_id == second
            # The fourth one follows the first one, which is cancelled.
            follower = await take()
            assert follower.subject_id == fourth
            async with database.writing() as session:
                await finish(session, follower)
                row = await session.get(Compose, fourth)
                assert row is not None
                row.state, row.reused_id = int(State.generating), first
            await composes.remove(database, first, "somebody", None)
            assert [(await take()).subject_id for _ in range(2)] == [fourth, fifth]
            assert await queue.take() is None
        finally:
            await database.close()

    asyncio.run(run())


MANY = 20_000


def test_to_take_work_little_is_read(empty: str) -> None:
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"
    columns = "kind, subject_id, owner, place, ready_at, fence, attempts"

    async def run() -> None:
        database = Database(empty)
        said: list[tuple[str, Any]] = []
        event.listen(
            database.engine.sync_engine,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, values, *_: said.append((statement, values)),
        )
        try:
            await database.migrate()
            async with database.writing() as session:
                values = "SELECT 'compose', i, 'o', i, 0, 0, 0 FROM n"
                await session.execute(text(f"INSERT INTO work ({columns}) {numbers} {values}"))
                await session.execute(text("ANALYZE"))
            said.clear()
            lease = await Queue(database, "w", 60.0).take()
            assert lease is not None and lease.subject_id == 1
            (statement, bound) = next(one for one in said if one[0].startswith("UPDATE work"))
            explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
            async with database.engine.connect() as connection:
                plan = "\n".join(map(str, await connection.exec_driver_sql(f"{explain} {statement}", bound)))
            assert "work_place" in plan
            assert "Sort" not in plan and "B-TREE" not in plan and "Seq Scan on work" not in plan, plan
        finally:
            await database.close()

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_schema_goes_up_and_down(empty: str) -> None:
    async def run() -> None:
        database = Database(empty)
        try:
            assert await database.revision() is None
            await database.migrate()
            assert await database.revision() == HEAD
            async with database.engine.connect() as connection:
                assert await connection.run_sync(differences) == []
            await database.migrate("base")
            assert await database.revision() is None
            async with database.engine.connect() as connection:
                names = await connection.run_sync(lambda c: inspect(c).get_table_names())
            assert names == ["alembic_version"]
            await database.migrate()
            assert await database.revision() == HEAD
        finally:
            await database.close()

    asyncio.run(run())


def differences(connection: Connection) -> list[Any]:
    """Return how the tables that the migrations made differ from those that the program expects."""
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    return list(compare_metadata(context, Base.metadata))


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == HEAD


def test_a_schema_that_is_not_ours_is_refused(server: str, tmp_path: Path) -> None:
    postgresql.query(server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    async def run() -> None:
        database = Database(server)
        try:
            with pytest.raises(UsageError) as refused:
                await database.prepare(migrate=False)
            assert refused.value.code == "server.schema"
        finally:
            await database.close()

    asyncio.run(run())
    settings_file(tmp_path, {"data": str(tmp_path / "data"), "database": server})
    command = [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml"), "migrate"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == f"the schema is at {HEAD}\n", done.stderr
    done = subprocess.run([*command, "--to", "base"], capture_output=True, text=True)
    assert done.stdout == "the schema is at nothing\n", done.stderr


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    settings_file(
        tmp_path, {"data": str(tmp_path / "data"), "database": "postgresql://x:secret@/x?host=/nowhere"}
    )
    command = [str(PROGRAM), "serve", "--config", str(tmp_path / "server.toml"), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot use the database" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def scaled(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    postgresql.query(server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with service(tmp_path_factory.mktemp("scaled"), {"database": server}, "--migrate") as found:
        yield found


@pytest.mark.parametrize(
    "check",
    [
        api.test_a_compose_from_request_to_files,
        api.test_a_failed_compose_tells_why_and_has_a_log,
        api.test_a_failure_that_may_pass_is_tried_again,
        api.test_lists_are_filtered_ordered_and_paged,
        api.test_health_metrics_and_description,
        pages.test_lists_are_filtered,
        pytest.param(pages.test_a_build_with_a_hostile_manifest, marks=pytest.mark.root),
    ],
    ids=lambda check: check.__name__,
)
def test_the_same_on_postgresql(scaled: Service, check: Any) -> None:
    check(scaled)


@pytest.mark.parametrize(
    "query", ["state=7777777777777777777777777", "page=99999999999999999999", "order_by=nope"]
)
def test_numbers_that_no_column_holds(scaled: Service, query: str) -> None:
    api.refused(scaled.get(f"/api/1/composes/?{query}"), 400)
    api.refused(scaled.get("/api/1/composes/9223372036854775807"), 404)


def test_texts_that_no_column_holds(scaled: Service) -> None:
    for name in ("owner", "source", "label", "compose_type", "pungi_compose_id"):
        api.refused(scaled.get(f"/api/1/composes/?{name}=a%00b"), 400)
    api.refused(scaled.get("/builds?owner=a%00b"), 400)
    body = {"source": {"type": "tag", "source": "f32"}, "compose_type": "a" * 300}
    api.refused(scaled.post("/api/1/composes/", body), 400)
