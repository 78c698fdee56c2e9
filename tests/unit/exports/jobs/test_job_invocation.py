"""From an action to what is started: the times that it has."""

from __future__ import annotations

from typing import Any

import pytest

from osbuild_core.exports.jobs.errors import FormatStringError
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.invocation import invocation
from osbuild_core.exports.jobs.job import Action, CancelationMethodNotifyThenTerminate

SYMBOLS = {"Param.T": "30", "Param.No": "soon", "Param.Long": "601"}


def made(timeout: Any, notice: Any = None) -> tuple[float | None, float]:
    method = CancelationMethodNotifyThenTerminate(notice)
    found = invocation(Action(FormatString("a"), (), timeout, method), SYMBOLS, notice=120)
    return found.timeout, found.notice


def test_times() -> None:
    assert made(None) == (None, 120.0)
    assert made(5, 600) == (5.0, 600.0)
    assert made(FormatString(" {{Param.T}} "), FormatString("0{{Param.T}}")) == (30.0, 30.0)


@pytest.mark.parametrize("timeout", [10**16, 10**400, FormatString("1{{Param.T}}" + "0" * 5000)])
def test_a_timeout_that_nobody_will_see_the_end_of(timeout: Any) -> None:
    found, _ = made(timeout)
    assert found is not None and found > 10**14


@pytest.mark.parametrize(
    ("timeout", "notice"),
    [
        (FormatString("{{Param.No}}"), None),
        (FormatString("0"), None),
        (FormatString("-1"), None),
        (FormatString("1.5"), None),
        (FormatString("٣"), None),
        (None, FormatString("{{Param.Long}}")),
        (None, FormatString("0000")),
    ],
)
def test_times_that_there_are_not(timeout: Any, notice: Any) -> None:
    with pytest.raises(FormatStringError, match="is not a number"):
        made(timeout, notice)
