"""One session of a run: enters environments when there is a task for them, runs tasks, and begins anew after one
that failed, since a session is of no more use then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from osbuild_core.exports.jobs import events
from osbuild_core.exports.jobs.job import Environment, TaskParameterSet
from osbuild_core.exports.jobs.log import LogContent
from osbuild_core.exports.jobs.selection import SelectedStep
from osbuild_core.exports.jobs.session import Session
from osbuild_core.exports.jobs.status import ActionState, ActionStatus, SessionState
from osbuild_core.model.errors import Path

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.run import JobRun


class Failure(NamedTuple):
    """Something of a job that has failed: where in the template, what it is called, and why, in a line."""

    place: Path
    what: str
    reason: str
    hint: str | None = None


class Placed(NamedTuple):
    """An environment and where in the templates it is; of a step, or else of the whole run."""

    environment: Environment
    place: Path
    of_step: bool


class Worker:
    """The ``number``-th session of a run, from 1 on. Its methods are called by one thread, but for :meth:`cancel`."""

    def __init__(self, run: JobRun, number: int) -> None:
        self.number = number
        self._run = run
        self._session: Session | None = None
        self._entered: list[tuple[Placed, str]] = []
        self._told = ActionStatus(ActionState.RUNNING)

    # A journal

    def output(self, text: str) -> None:
        self._run.emit(events.Printed(self.number, text))

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        self._run.emit(events.Noted(self.number, text, level))

    # What the run asks of it

    def run_task(self, selected: SelectedStep, task: TaskParameterSet) -> tuple[ActionStatus, float] | None:
        """Run a task, in its environments; return how it went and the seconds it took.

        None where an environment could not be entered, which the run is told of.
        """
        session = self._session or self._open()
        wanted = self._run.environments(selected)
        for placed in wanted[len(self._entered) :]:
            if not self._enter(session, placed):
                self.close()
                return None
        started = time.monotonic()
        status = self._act(
            lambda: session.run_task(
                step_script=selected.step.script,
                task_parameter_values=task,
                step_name=selected.step.name,
            )
        )
        return status, time.monotonic() - started

    def settle(self) -> None:
        """End a session that is of no more use, a task having failed."""
        if self._session is not None and self._session.state is not SessionState.READY:
            self.close()

    def leave_step(self) -> None:
        """Leave the environments of the step."""
        while self._session is not None and self._entered and self._entered[-1][0].of_step:
            self._exit(self._session, keep=self._session.state is SessionState.READY)
        self.settle()

    def close(self) -> None:
        """Leave all environments and end the session."""
        session = self._session
        if session is None:
            return
        try:
            while self._entered:
                self._exit(session, keep=False)
        finally:
            self._session = None
            self._entered.clear()
            session.cleanup()
            self._run.emit(events.SessionFinished(self.number))

    def cancel(self, limit: timedelta | None) -> None:
        """End what runs at the moment. For another thread."""
        session = self._session
        if session is not None:
            _cancel(session, limit)

    # How it does that

    def _open(self) -> Session:
        self._session = session = self._run.open_session(self, self._changed)
        self._run.emit(events.SessionStarted(self.number, str(session.working_directory)))
        return session

    def _changed(self, _: str, status: ActionStatus) -> None:
        if status.state is ActionState.RUNNING and status[1:4] != self._told[1:4]:
            news = [
                new if new != old else None for new, old in zip(status[1:4], self._told[1:4], strict=True)
            ]
            self._run.emit(events.Reported(self.number, *news))  # type: ignore[arg-type]
        self._told = status

    def _act(self, begin: Callable[[], object], *, leaving: bool = False) -> ActionStatus:
        """Begin an action and wait for its end."""
        session = self._session
        assert session is not None
        self._told = ActionStatus(ActionState.RUNNING)
        begin()
        # Who ends the run may have come to us just before this began.
        if self._run.urgent or (self._run.stopping and not leaving):
            _cancel(session, self._run.limit)
        session.wait()
        status = session.action_status
        assert status is not None
        return status

    def _enter(self, session: Session, placed: Placed) -> bool:
        environment = placed.environment
        name = f"{placed.place[0]}{len(self._entered)}-{environment.name}"
        # Also one that fails is entered, and has to be left.
        self._entered.append((placed, name))
        status = self._act(lambda: session.enter_environment(environment=environment, identifier=name))
        event = events.EnvironmentEntered(
            self.number, environment.name, status.state, status.fail_message, status.exit_code
        )
        self._run.emit(event)
        if status.state is ActionState.SUCCESS:
            return True
        self._run.failed_environment(placed, "onEnter", status)
        return False

    def _exit(self, session: Session, *, keep: bool) -> None:
        placed, name = self._entered.pop()
        status = self._act(
            lambda: session.exit_environment(identifier=name, keep_session_running=keep), leaving=True
        )
        event = events.EnvironmentExited(
            self.number, placed.environment.name, status.state, status.fail_message, status.exit_code
        )
        self._run.emit(event)
        if status.state is not ActionState.SUCCESS:
            self._run.failed_environment(placed, "onExit", status)


def _cancel(session: Session, limit: timedelta | None) -> None:
    try:
        session.cancel_action(time_limit=limit)
    except RuntimeError:
        # It has ended meanwhile.
        return


def reason(status: ActionStatus) -> tuple[str, str | None]:
    """Return in a few words why an action failed, and what to do about it."""
    ended = None
    if status.exit_code is not None:
        ended = f"signal {-status.exit_code}" if status.exit_code < 0 else f"exit status {status.exit_code}"
    if status.state is ActionState.TIMEOUT:
        return "it took longer than its timeout", "raise the timeout of the action"
    if status.state is ActionState.CANCELED:
        return "it was cancelled", None
    if status.fail_message:
        text = " ".join(status.fail_message.split())
        return (text if text.endswith(")") or ended is None else f"{text} ({ended})"), None
    hint = "its output may say why"
    return f"it ended with {ended}" if ended else "it failed", hint


def label(task: TaskParameterSet) -> str:
    """Return the parameters of a task as people read them."""
    return ", ".join(f"{name}={parameter.value}" for name, parameter in task.items())


def placed(environments: Sequence[Environment], *place: str | int, of_step: bool = False) -> list[Placed]:
    """Return ``environments`` with their places below ``place``."""
    return [Placed(item, (*place, index), of_step) for index, item in enumerate(environments)]
