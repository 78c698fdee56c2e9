"""The clock of a run: pauses that end when the run does, and waiting that adapts to how long things take."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from osbuild_core.exports.aws.errors import AwsError, StoppedError

T = TypeVar("T")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
GROWTH = 1.4


class Pace:
    """The clock and the pauses of a run; ``stop`` ends every pause at once."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        first: float = FIRST_PAUSE,
        longest: float = LONGEST_PAUSE,
    ) -> None:
        self.clock = clock
        self.first = first
        self.longest = longest
        self._stop = threading.Event()

    def stop(self) -> None:
        """Make whoever pauses, now or later, give up."""
        self._stop.set()

    def check(self) -> None:
        """Raise StoppedError where the run is to end."""
        if self._stop.is_set():
            raise StoppedError("stopped")

    def sleep(self, seconds: float) -> None:
        """Pause. Raises StoppedError where the run is to end."""
        if self._stop.wait(seconds):
            raise StoppedError("stopped")

    def back_off(self, attempt: int) -> None:
        """Pause before another attempt: longer each time, and not all at once."""
        self.sleep(min(self.first * 2.0**attempt, self.longest) * random.uniform(0.5, 1.0))


def wait_for(probe: Callable[[], T | None], *, pace: Pace, timeout: float, what: str) -> T:
    """Return what ``probe`` answers as soon as that is not None, asking less and less often.

    Raises AwsError ``aws.timeout`` after ``timeout`` seconds; ``what`` is in its text.
    """
    began = pace.clock()
    pause = pace.first
    while True:
        answer = probe()
        if answer is not None:
            return answer
        if pace.clock() - began >= timeout:
            raise AwsError(
                f"{what}: not done after {timeout / 60:.0f} minutes",
                code="aws.timeout",
                hint="run again: it goes on from here",
                retryable=True,
            )
        pace.sleep(pause)
        pause = min(pause * GROWTH, pace.longest)
