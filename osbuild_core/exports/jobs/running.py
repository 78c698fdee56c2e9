"""An action that runs: what its command says, and what comes of it. Works in the session's thread."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from osbuild_core.exports.jobs.command import Outcome
from osbuild_core.exports.jobs.log import LOG, Journal, LogContent
from osbuild_core.exports.jobs.messages import Message, MessageError, MessageKind, Redactor
from osbuild_core.exports.jobs.status import ActionState, ActionStatus
from osbuild_core.exports.jobs.talk import Talk
from osbuild_core.exports.jobs.variables import Variables
from osbuild_core.exports.jobs.workdir import WorkingDirectory, WorkingDirectoryError

CANCEL_INFO = "cancel_info.json"
"""File in the working directory that tells a command which gets SIGTERM how much time it has."""


class Surroundings(NamedTuple):
    """What the actions of a session have in common."""

    journal: Journal
    redactor: Redactor
    variables: Variables
    directory: WorkingDirectory
    extensions: frozenset[str]

    def note(self, text: str, content: LogContent) -> None:
        """Write one line to the journal, without what must not be shown."""
        self.journal.note(self.redactor.text(text), content)


class Owner(Protocol):
    """The session, as an action needs it."""

    def begun(self) -> None:
        """The action is about to have a command."""

    def changed(self) -> None:
        """The status is another one."""

    def over(self, state: ActionState) -> None:
        """The action has ended like this."""

    def end_as_failed(self) -> None:
        """Cancel the action, unless that is on its way."""


class Running:
    """One action: of which environment (None: a task), and what is to be done when it has ended.

    ``places`` are its files, ``number`` is that of its command. Where it is the one that enters an environment, what
    it leaves behind is kept until the one for ``leaving`` releases it.
    """

    def __init__(
        self,
        owner: Owner,
        around: Surroundings,
        environment: str | None = None,
        *,
        leaving: bool = False,
        release: tuple[int, ...] = (),
    ) -> None:
        self.environment = environment
        self.keep = environment is not None and not leaving
        self.leaving = leaving
        self.release = release
        self.places: Mapping[str, str] = {}
        self.number: int | None = None
        self.status = ActionStatus(ActionState.RUNNING)
        self.marked_failed = False
        self.heading: Callable[[], None] | None = None
        self._has_notice = False
        self.owner = owner
        self._around = around
        self._talk = Talk(around.journal, around.redactor, self._heard, self._broken)

    @property
    def prefix(self) -> str:
        """What the symbols of its files begin with."""
        return "Task.File" if self.environment is None else "Env.File"

    def head(self) -> None:
        """Write what stands above all that it has to say: as late as can be, when its command is on its way."""
        if (heading := self.heading) is not None:
            self.heading = None
            heading()

    # What the command says

    def output(self, data: bytes) -> None:
        self._talk.feed(data)

    def _heard(self, message: Message) -> None:
        hidden = self._around.redactor.text(message.text)
        match message.kind:
            case MessageKind.PROGRESS:
                self.status = self.status._replace(progress=message.number)
            case MessageKind.STATUS:
                self.status = self.status._replace(status_message=hidden)
            case MessageKind.FAIL:
                self.status = self.status._replace(fail_message=hidden)
            case MessageKind.LOG_LEVEL:
                LOG.setLevel(int(message.number))
                return
            case _:
                # A task cannot change the environment of others.
                if self.environment is not None:
                    self._set(self.environment, message)
                return
        self.owner.changed()

    def _set(self, environment: str, message: Message) -> None:
        if message.kind is MessageKind.UNSET_ENV:
            self._around.variables.set(environment, message.name, None)
        elif message.kind is MessageKind.REDACTED_ENV and "REDACTED_ENV_VARS" not in self._around.extensions:
            text = "openjd_redacted_env sets nothing without the extension REDACTED_ENV_VARS"
            self._note(text, level=logging.WARNING)
        else:
            self._around.variables.set(environment, message.name, message.text)

    def _broken(self, error: MessageError) -> None:
        """Take a message that the command got wrong: one about variables is the end of it."""
        task = self.environment is None
        if not error.fatal or (task and not error.nearly):
            return
        text = error.detail + (f" ({error.hint})" if error.hint else "")
        self.status = self.status._replace(fail_message=self._around.redactor.text(text))
        self.marked_failed = True
        self.owner.end_as_failed()

    # How it ends

    def notified(self, seconds: float) -> None:
        self._has_notice = True
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        text = json.dumps({"NotifyEnd": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
        try:
            self._around.directory.write(self._around.directory.path / CANCEL_INFO, text)
        except WorkingDirectoryError as error:
            self._note(f"no {CANCEL_INFO}: {error}", level=logging.WARNING)
        self._note(f"Notice given: the end is in {seconds:g} s")

    def ended(self, status: int, outcome: Outcome, left: bool) -> None:
        self._talk.end()
        self._note(f"Process exited with code: {status}")
        if left:
            self._note("some of its processes cannot be killed", level=logging.WARNING)
        if self._has_notice:
            with contextlib.suppress(OSError):
                os.unlink(self._around.directory.path / CANCEL_INFO)
        self.status = self.status._replace(exit_code=status)
        if outcome is Outcome.LOST:
            self.fail("the keeper of the session has gone, and the command with it", status)
        elif outcome is Outcome.TIMEOUT:
            self.finish(ActionState.TIMEOUT)
        elif self.marked_failed:
            self.finish(ActionState.FAILED)
        elif outcome is Outcome.CANCELED:
            self.finish(ActionState.CANCELED)
        else:
            self.finish(ActionState.SUCCESS if status == 0 else ActionState.FAILED)

    def fail(self, message: str, status: int | None = None) -> None:
        """End an action that has no command, or lost it."""
        self.head()
        text = self._around.redactor.text(message)
        self._around.journal.note(text, level=logging.ERROR)
        self.status = self.status._replace(fail_message=text, exit_code=status)
        self.finish(ActionState.FAILED)

    def finish(self, state: ActionState) -> None:
        """Remove what was there for the action: of an environment, when it is left."""
        if not self.keep:
            self._around.directory.forget(self.places)
        if self.leaving and self.environment is not None:
            self._around.variables.exit(self.environment)
        self.status = self.status._replace(state=state)
        self.owner.over(state)

    def _note(self, text: str, level: int = logging.INFO) -> None:
        self._around.journal.note(text, LogContent.PROCESS_CONTROL, level)
