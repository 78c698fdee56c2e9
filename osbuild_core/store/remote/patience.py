"""Waits for what may never come: a network file system can keep any call for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from osbuild_core.model.errors import StoreError

T = TypeVar("T")
POLL_SECONDS = 0.2


def stalled(seconds: float) -> StoreError:
    """Return the error for a cache that has not moved for ``seconds``."""
    return StoreError(
        f"the remote cache has not answered for {seconds:g} seconds", code="remote.slow", retryable=True
    )


class Patience:
    """How long nothing may happen: ``seconds``. ``check`` is called meanwhile, and may raise."""

    def __init__(self, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        self.seconds = seconds
        self.check = check

    def call(self, action: Callable[[Callable[[], None]], T]) -> T:
        """Return what ``action`` returns, or raise what it raises.

        It is called in a thread of its own, with a function to call whenever it got on. Raises StoreError
        (``remote.slow``) when it does not; the thread is left to itself then.
        """
        outcome: list[T] = []
        failure: list[BaseException] = []
        ended = threading.Event()
        alive = [time.monotonic()]
        given_up = threading.Event()

        def got_on() -> None:
            if given_up.is_set():
                raise stalled(self.seconds)
            alive[0] = time.monotonic()

        def body() -> None:
            try:
                outcome.append(action(got_on))
            except BaseException as error:
                failure.append(error)
            ended.set()

        threading.Thread(target=body, name="remote cache", daemon=True).start()
        try:
            while not ended.wait(POLL_SECONDS):
                self.check()
                if time.monotonic() - alive[0] > self.seconds:
                    raise stalled(self.seconds)
        except BaseException:
            given_up.set()
            raise
        if failure:
            raise failure[0]
        return outcome[0]
