from collections.abc import Iterator

import pytest

from .web import Web, serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def mirror() -> Iterator[Web]:
    with serving() as web:
        yield web
