"""The same work in many regions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, NamedTuple, TypeVar

from osbuild_core.exports.aws.errors import FATAL, AwsError, from_aws, of_aws
from osbuild_core.exports.aws.pace import Pace

T = TypeVar("T")

WORKERS = 48


class Outcomes(NamedTuple, Generic[T]):
    """What came of each region, in the order in which they were given."""

    results: dict[str, T]
    errors: dict[str, AwsError]


def in_each(
    regions: Iterable[str], work: Callable[[str], T], *, pace: Pace, doing: str, workers: int = WORKERS
) -> Outcomes[T]:
    """Call ``work`` for each region, side by side.

    An error in one region is its outcome; the others go on. One that none could escape (no credentials) ends
    them all, and is raised.
    """
    names = list(dict.fromkeys(regions))
    results: dict[str, T] = {}
    errors: dict[str, AwsError] = {}
    if not names:
        return Outcomes(results, errors)
    with ThreadPoolExecutor(max_workers=min(workers, len(names)), thread_name_prefix="region") as pool:
        futures: dict[Future[T], str] = {pool.submit(work, name): name for name in names}
        try:
            for name, outcome in _collect(futures, doing):
                if not isinstance(outcome, AwsError):
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


def _collect(futures: dict[Future[T], str], doing: str) -> Iterable[tuple[str, T | AwsError]]:
    """Yield (region, result or error) as they come. Raises what is a bug of ours."""
    left = set(futures)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                yield futures[future], future.result()
            except AwsError as error:
                yield futures[future], error
            except Exception as error:
                if not from_aws(error):
                    raise
                yield futures[future], of_aws(error, doing, region=futures[future])
