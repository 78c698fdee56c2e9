"""A service that the tests of one file share."""

from __future__ import annotations

from collections.abc import Iterator

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
