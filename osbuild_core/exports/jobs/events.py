"""What happens while a job runs, as a stream; faces only read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias


class RunStarted(NamedTuple):
    job: str
    steps: tuple[str, ...]


class SessionStarted(NamedTuple):
    session: int
    directory: str


class SessionFinished(NamedTuple):
    session: int


class StepStarted(NamedTuple):
    """``slots``: tasks at once."""

    step: str
    slots: int


class StepFinished(NamedTuple):
    """``state``: success, failed, or skipped where a step that it depends on has failed."""

    step: str
    state: str
    success: int
    failed: int
    skipped: int


class EnvironmentEntered(NamedTuple):
    session: int
    name: str
    state: str
    fail_message: str | None
    exit_code: int | None


class EnvironmentExited(NamedTuple):
    session: int
    name: str
    state: str
    fail_message: str | None
    exit_code: int | None


class TaskStarted(NamedTuple):
    session: int
    step: str
    parameters: Mapping[str, str]
    key: str


class TaskFinished(NamedTuple):
    session: int
    step: str
    parameters: Mapping[str, str]
    key: str
    state: str
    exit_code: int | None
    fail_message: str | None
    seconds: float


class TaskSkipped(NamedTuple):
    """Of ``--resume``: it has been done before."""

    step: str
    parameters: Mapping[str, str]
    key: str


class Reported(NamedTuple):
    """A command has told of its progress (in percent), its status or its failure."""

    session: int
    progress: float | None
    status: str | None
    fail: str | None


class Printed(NamedTuple):
    """A command has printed whole lines."""

    session: int
    text: str


class Noted(NamedTuple):
    """A line of a session's, or of the run's own; ``level`` as the module logging has it."""

    session: int
    text: str
    level: int


class RunFinished(NamedTuple):
    state: str
    success: int
    failed: int
    skipped: int
    seconds: float


Event: TypeAlias = (
    RunStarted
    | SessionStarted
    | SessionFinished
    | StepStarted
    | StepFinished
    | EnvironmentEntered
    | EnvironmentExited
    | TaskStarted
    | TaskFinished
    | TaskSkipped
    | Reported
    | Printed
    | Noted
    | RunFinished
)
Sink: TypeAlias = Callable[[Event], None]

_NAMES = {
    kind: "-".join(words)
    for kind, words in (
        (RunStarted, ("run", "started")),
        (SessionStarted, ("session", "started")),
        (SessionFinished, ("session", "finished")),
        (StepStarted, ("step", "started")),
        (StepFinished, ("step", "finished")),
        (EnvironmentEntered, ("environment", "entered")),
        (EnvironmentExited, ("environment", "exited")),
        (TaskStarted, ("task", "started")),
        (TaskFinished, ("task", "finished")),
        (TaskSkipped, ("task", "skipped")),
        (Reported, ("message",)),
        (Printed, ("output",)),
        (Noted, ("note",)),
        (RunFinished, ("run", "finished")),
    )
}


def document(event: Event) -> dict[str, Any]:
    """Return ``event`` as JSON has it, with its name and the time (seconds since 1970)."""
    members = {name: value for name, value in event._asdict().items() if value is not None}
    return {"event": _NAMES[type(event)], "time": round(time.time(), 6), **members}
