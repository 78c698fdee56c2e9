"""Many small pieces of one upload, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from osbuild_core.exports.aws.errors import StoppedError
from osbuild_core.exports.aws.pace import Pace


def for_each(items: Iterable[int], work: Callable[[int], None], *, count: int, pace: Pace) -> None:
    """Call ``work`` for each of ``items`` in ``count`` threads.

    After the first error no further item is begun; it is raised when those that were begun have ended. That the
    file was changed explains whatever else went wrong, and is raised before it.
    """
    left = iter(items)
    lock = threading.Lock()
    failed = threading.Event()

    def following() -> int | None:
        with lock:
            return None if failed.is_set() else next(left, None)

    def run() -> None:
        try:
            while (item := following()) is not None:
                pace.check()
                work(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="upload") as pool:
        futures = [pool.submit(run) for _ in range(count)]
        try:
            errors = [error for future in futures if (error := future.exception()) is not None]
        except BaseException:
            failed.set()
            pace.stop()
            raise
    if errors:
        raise min(errors, key=_rank)


def _rank(error: BaseException) -> int:
    if getattr(error, "code", "") == "aws.source-changed":
        return 0
    return 2 if isinstance(error, StoppedError) else 1
