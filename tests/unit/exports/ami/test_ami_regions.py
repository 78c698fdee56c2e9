"""Many regions at once, waiting, and small pieces of one upload."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.aws.errors import AwsError, StoppedError
from osbuild_core.exports.aws.pace import Pace, wait_for
from osbuild_core.exports.aws.workers import for_each


def test_a_region_that_fails_does_not_stop_the_others():
    together = threading.Barrier(3, timeout=30)

    def work(region: str) -> str:
        together.wait()
        if region == "b":
            raise ClientError({"Error": {"Code": "OperationNotPermitted", "Message": "no"}}, "RegisterImage")
        return region.upper()

    found = in_each(["c", "b", "a"], work, pace=Pace(), doing="do it")
    assert list(found.results.items()) == [("c", "C"), ("a", "A")]
    assert found.errors["b"].code == "aws.denied"
    assert "in b" in found.errors["b"].detail


def test_without_credentials_nobody_goes_on():
    pace = Pace()

    def work(region: str) -> None:
        if region == "a":
            raise NoCredentialsError
        pace.sleep(600)

    with pytest.raises(AwsError) as caught:
        in_each(["a", "b"], work, pace=pace, doing="do it")
    assert caught.value.code == "aws.credentials"


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        in_each(["a"], lambda region: 1 // 0, pace=Pace(), doing="do it")


class Clock(Pace):
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.now)
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_waiting_asks_less_and_less_often():
    clock = Clock()
    assert (
        wait_for(lambda: "done" if clock.now > 300 else None, pace=clock, timeout=1000, what="it") == "done"
    )
    assert clock.pauses[0] == 1
    assert clock.pauses == sorted(clock.pauses)
    assert clock.pauses[-1] == 30


def test_waiting_ends():
    with pytest.raises(AwsError) as caught:
        wait_for(lambda: None, pace=Clock(), timeout=120, what="it")
    assert (caught.value.code, caught.value.retryable) == ("aws.timeout", True)


def test_who_waits_can_be_stopped():
    pace = Pace()
    pace.stop()
    with pytest.raises(StoppedError):
        wait_for(lambda: None, pace=pace, timeout=600, what="it")


def test_pieces_are_done_once_each_and_an_error_ends_them():
    done: list[int] = []
    for_each(range(100), done.append, count=8, pace=Pace())
    assert sorted(done) == list(range(100))

    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 5:
            raise AwsError("changed", code="aws.source-changed")

    with pytest.raises(AwsError):
        for_each(iter(range(10**9)), work, count=1, pace=Pace())
    assert begun == [0, 1, 2, 3, 4, 5]
