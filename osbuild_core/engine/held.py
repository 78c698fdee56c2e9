"""What a run may not lose: the objects and source files that it builds on, and what its pipelines have made."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osbuild_core.model.plan import Plan
    from osbuild_core.store.lease import Lease
    from osbuild_core.store.store import Store


class Held:
    """Leases that last until the run has ended: nobody evicts what is found or made before it is used.

    Any thread may add one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def take(self, lease: Lease) -> None:
        """Hold ``lease``, which is the caller's no more."""
        with self._lock:
            self._stack.enter_context(lease)

    def take_plan(self, store: Store, plan: Plan) -> bool:
        """Hold all that ``plan`` takes from the store. False, and nothing held, where some of it has gone."""
        with contextlib.ExitStack() as taken:
            for planned in plan.pipelines:
                key = planned.base if planned.todo else planned.key
                if key is not None:
                    lease = store.acquire(key)
                    if lease is None:
                        return False
                    taken.enter_context(lease)
            checksums = [checksum for fetch in plan.fetches for checksum in fetch.checksums]
            if checksums:
                # They may not be there yet.
                taken.enter_context(store.sources.lease(checksums))
            with self._lock:
                self._stack.push(taken.pop_all())
        return True

    def release(self) -> None:
        """Let go of everything."""
        with self._lock:
            stack, self._stack = self._stack, contextlib.ExitStack()
        stack.close()
