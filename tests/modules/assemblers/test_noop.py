from __future__ import annotations

import pytest

from .harness import Assembly

pytestmark = pytest.mark.root


def test_it_makes_nothing(assembly: Assembly) -> None:
    assembly.add("etc/motd")
    assembly.make("noop", {})
    assert list(assembly.output.iterdir()) == []
