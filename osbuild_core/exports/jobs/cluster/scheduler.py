"""What a build on a cluster needs of a scheduler: to submit jobs, to see what became of them, to cancel them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol


class Fate(Enum):
    """What a state means for a build. ``AGAIN``: the machine was at fault, the job is to be submitted anew."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"

    @property
    def over(self) -> bool:
        return self not in (Fate.WAITING, Fate.RUNNING)


class Seen(NamedTuple):
    """A job as its scheduler sees it: its state in the scheduler's own words, why it waits or failed, its node."""

    fate: Fate
    state: str = ""
    reason: str = ""
    node: str = ""

    def __str__(self) -> str:
        """Return it for people: ``runs on n1``, ``waits (Resources)``, ``NODE_FAIL``."""
        if self.fate is Fate.RUNNING:
            return f"runs on {self.node}" if self.node else "runs"
        if self.fate is Fate.WAITING:
            return f"waits ({self.reason})" if self.reason else "waits"
        return self.state or self.fate.value


class Request(NamedTuple):
    """A job to submit: a script in the directory where it runs and writes ``log``; ``name`` is for people."""

    script: Path
    log: Path
    name: str
    cpus: int | None = None
    memory: int | None = None
    options: tuple[str, ...] = ()


class Scheduler(Protocol):
    """May be used from any thread. Every method raises OsbuildError where the scheduler cannot be asked."""

    def check(self) -> None:
        """Raise OsbuildError, with a hint, where there is no scheduler that answers."""
        ...

    def submit(self, request: Request) -> str:
        """Submit a job; return its id."""
        ...

    def submit_array(self, requests: list[Request]) -> list[str]:
        """Submit jobs as the tasks of one array job; return their ids in order."""
        ...

    def look(self, jobs: Iterable[str]) -> Mapping[str, Seen]:
        """Return what is known of ``jobs``, in one question for all of them; those that it knows no more are GONE."""
        ...

    def cancel(self, jobs: Iterable[str]) -> None:
        """Cancel jobs; those that are over stay as they are."""
        ...
