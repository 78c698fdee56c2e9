"""The states of sessions and actions, under the names of openjd-sessions."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class SessionState(StrEnum):
    """What a session can do next."""

    READY = "ready"
    """Anything."""

    RUNNING = "running"
    """Nothing but cancel: an action runs."""

    CANCELING = "canceling"
    """Nothing but cancel more urgently: the action is being ended."""

    READY_ENDING = "ready_ending"
    """Only exit environments: an action has failed, or an environment has been exited."""

    ENDED = "ended"
    """Nothing: it has been cleaned up."""


class ActionState(StrEnum):
    """How far an action is."""

    RUNNING = "running"
    CANCELED = "canceled"
    TIMEOUT = "timeout"
    FAILED = "failed"
    SUCCESS = "success"


class ActionStatus(NamedTuple):
    """What is known of the action that runs, or ran last.

    ``progress`` is in percent; it and the messages are what the action reported last. ``exit_code`` is 127 for a
    command that is not there and 126 for one that cannot be run, as of a shell; negative: the signal that ended it.
    """

    state: ActionState
    progress: float | None = None
    status_message: str | None = None
    fail_message: str | None = None
    exit_code: int | None = None
