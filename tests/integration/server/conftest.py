"""A service that the tests of one file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.server.running import Service, service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found
