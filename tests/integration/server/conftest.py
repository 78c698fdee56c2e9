"""A service that the tests of one file share."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator import postgresql, rabbitmq
from tests.emulator.aws.client import Emulator
from tests.integration.server.running import Form, Service, grown, service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture(scope="session")
def rabbit() -> Iterator[rabbitmq.Broker]:
    """A broker; its tests are marked ``xdist_group("rabbitmq")``, so that one is enough."""
    try:
        with rabbitmq.running() as broker:
            yield broker
    except rabbitmq.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bucket_emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL for databases of one's own."""
    try:
        with postgresql.running() as url:
            yield url
    except postgresql.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def form(postgres: str, rabbit: rabbitmq.Broker, bucket_emulator: Emulator) -> Form:
    """What a service stands on that has grown, for the tests of one file."""
    return grown(postgres, rabbit, bucket_emulator)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everyone may enter; those of tests are closed to others."""
    for path in (Path(__file__), Path(sys.executable)):
        if not all(parent.stat().st_mode & 0o001 for parent in path.absolute().parents):
            pytest.skip(f"others cannot reach {path}, so nothing can be made by them")
    with tempfile.TemporaryDirectory(prefix="open-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
