from __future__ import annotations

from typing import Any

import pytest

from .harness import Assembly

pytestmark = pytest.mark.root


@pytest.mark.parametrize(("options", "status"), [({}, 255), ({"returncode": 7}, 7)])
def test_its_status_is_the_one_asked_for(assembly: Assembly, options: dict[str, Any], status: int) -> None:
    ended = assembly.run("error", options)
    assert ended.status == status
    assert str(status) in ended.log
