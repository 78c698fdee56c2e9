"""The same work in many regions at once, and waiting that adapts to how long things take."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, NamedTuple, TypeVar

from osbuild_core.exports.ami.errors import FATAL, AmiError, StoppedError, of_aws

T = TypeVar("T")

WORKERS = 48
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


class Outcomes(NamedTuple, Generic[T]):
    """What came of each region, in the order in which they were given."""

    results: dict[str, T]
    errors: dict[str, AmiError]


def in_each(
    regions: Iterable[str], work: Callable[[str], T], *, pace: Pace, doing: str, workers: int = WORKERS
) -> Outcomes[T]:
    """Call ``work`` for each region, side by side.

    An error in one region is its outcome; the others go on. One that none could escape (no credentials) ends
    them all, and is raised.
    """
    names = list(dict.fromkeys(regions))
    results: dict[str, T] = {}
    errors: dict[str, AmiError] = {}
    if not names:
        return Outcomes(results, errors)
    with ThreadPoolExecutor(max_workers=min(workers, len(names)), thread_name_prefix="region") as pool:
        futures: dict[Future[T], str] = {pool.submit(work, name): name for name in names}
        try:
            for name, outcome in _collect(futures, doing):
                if not isinstance(outcome, AmiError):
                    results[name] = outcome
                    continue
                if outcome.code in FATAL:
                    raise outcome
                errors[name] = outcome
        except BaseException:
            pace.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcomes(
        {name: results[name] for name in names if name in results},
        {name: errors[name] for name in names if name in errors},
    )


def _collect(futures: dict[Future[T], str], doing: str) -> Iterable[tuple[str, T | AmiError]]:
    """Yield (region, result or error) as they come. Raises what is a bug of ours."""
    left = set(futures)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                yield futures[future], future.result()
            except AmiError as error:
                yield futures[future], error
            except Exception as error:
                if not from_aws(error):
                    raise
                yield futures[future], of_aws(error, doing, region=futures[future])


def from_aws(error: BaseException) -> bool:
    """Tell whether ``error`` was raised by botocore."""
    if isinstance(error, AmiError):
        return False
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, (BotoCoreError, ClientError))


def wait_for(probe: Callable[[], T | None], *, pace: Pace, timeout: float, what: str) -> T:
    """Return what ``probe`` answers as soon as that is not None, asking less and less often.

    Raises AmiError ``ami.timeout`` after ``timeout`` seconds; ``what`` is in its text.
    """
    began = pace.clock()
    pause = pace.first
    while True:
        answer = probe()
        if answer is not None:
            return answer
        if pace.clock() - began >= timeout:
            raise AmiError(
                f"{what}: not done after {timeout / 60:.0f} minutes",
                code="ami.timeout",
                hint="run again: it goes on from here",
                retryable=True,
            )
        pace.sleep(pause)
        pause = min(pause * GROWTH, pace.longest)
