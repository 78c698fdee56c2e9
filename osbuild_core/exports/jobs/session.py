"""Sessions: the environments and tasks of a job, run one after the other on this host."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from osbuild_core import __version__
from osbuild_core.exports.jobs import invocation as invoking
from osbuild_core.exports.jobs.errors import FormatStringError
from osbuild_core.exports.jobs.extensions import SUPPORTED
from osbuild_core.exports.jobs.job import Environment, JobParameterValues, StepScript, TaskParameterSet
from osbuild_core.exports.jobs.launcher import PATH_MAPPING, Launcher, files_of, text_of
from osbuild_core.exports.jobs.log import Guarded, Journal, LogContent, LogJournal, banner
from osbuild_core.exports.jobs.messages import Redactor
from osbuild_core.exports.jobs.pathmapping import PathMappingRule, in_order, rules_document
from osbuild_core.exports.jobs.running import Running, Surroundings
from osbuild_core.exports.jobs.status import ActionState, ActionStatus, SessionState
from osbuild_core.exports.jobs.switching import Switch, switch_to
from osbuild_core.exports.jobs.users import SessionUser
from osbuild_core.exports.jobs.variables import Variables
from osbuild_core.exports.jobs.workdir import WorkingDirectory, WorkingDirectoryError

SessionCallback = Callable[[str, ActionStatus], None]


class _Entered(NamedTuple):
    """An environment that has been entered, and the action that did it."""

    environment: Environment
    running: Running


class Session:
    """Runs environments and tasks, one action at a time.

    What runs an action returns as soon as its command runs, or has failed to start; ``callback`` is then told of
    every change, with the session's id and an :class:`ActionStatus`. It is called in the session's thread, or in
    the caller's before what was called returns, and should not take long.

    ``revision_extensions`` are the extensions in use: their names, or an object that has them as ``extensions``;
    None is all of them. ``journal`` takes what is printed and what happens, None is ``LOG``; ``switch`` is how
    commands are started, None is as ``user``. Where the session is ``attended``, whoever runs something calls
    :meth:`wait` afterwards, and is told of everything there: that saves waking up a thread of its own.

    Raises WorkingDirectoryError, a RuntimeError, where there is no place to work in.

    A context manager; leaving it ends everything.
    """

    def __init__(
        self,
        *,
        session_id: str,
        job_parameter_values: JobParameterValues,
        job_name: str | None = None,
        path_mapping_rules: Sequence[PathMappingRule] | None = None,
        retain_working_dir: bool = False,
        user: SessionUser | None = None,
        callback: SessionCallback | None = None,
        os_env_vars: Mapping[str, str] | None = None,
        session_root_directory: Path | None = None,
        revision_extensions: Any = None,
        journal: Journal | None = None,
        switch: Switch | None = None,
        attended: bool = False,
    ) -> None:
        self._id = session_id
        self._callback = callback
        self._retain = retain_working_dir
        # Between whoever cancels an action, which may be a signal handler, and its end.
        self._lock = threading.RLock()
        self._running: Running | None = None
        self._ending = False
        self._entered: dict[str, _Entered] = {}
        rules = in_order(path_mapping_rules or ())
        self._switch = switch if switch is not None else switch_to(user)
        directory = WorkingDirectory(session_root_directory, self._switch.owner, self._switch.group)
        self._around = Surroundings(
            Guarded(journal) if journal is not None else LogJournal(session_id),
            Redactor(),
            Variables({**(os_env_vars or {}), "OPENJD_SESSION_WORKING_DIR": str(directory.path)}),
            directory,
            _extensions(revision_extensions),
        )
        self._journal = self._around.journal
        try:
            directory.write(directory.path / PATH_MAPPING, rules_document(rules))
            self._launcher = Launcher(
                self._around,
                self._switch,
                rules,
                job_parameter_values,
                remove=not retain_working_dir,
                attended=attended,
            )
        except BaseException:
            directory.remove()
            raise
        self._state = SessionState.READY
        host = os.uname()
        about = f"osbuild-core {__version__}, {host.sysname} {host.release}, {host.machine}"
        self._journal.note(about, LogContent.HOST_INFO, logging.DEBUG)
        self._journal.note(f"Session Working Directory: {self.working_directory}", LogContent.FILE_PATH)

    # What it is

    @property
    def working_directory(self) -> Path:
        """Where its commands run: a directory of mode 0700, removed at the end."""
        return self._around.directory.path

    @property
    def files_directory(self) -> Path:
        """Where embedded files are, in a directory for each script."""
        return self._around.directory.files

    @property
    def state(self) -> SessionState:
        """What it can do next."""
        return self._state

    @property
    def action_status(self) -> ActionStatus | None:
        """What is known of the action that runs, or ran last; None before the first one."""
        return None if self._running is None else self._running.status

    @property
    def environments_entered(self) -> tuple[str, ...]:
        """The identifiers of the environments that it is in, in the order in which they were entered."""
        return tuple(self._entered)

    def get_enabled_extensions(self) -> list[str]:
        """Return the names of the extensions in use."""
        return sorted(self._around.extensions)

    # What it does

    def enter_environment(
        self,
        *,
        environment: Environment,
        identifier: str | None = None,
        os_env_vars: Mapping[str, str] | None = None,
        step_name: str | None = None,
    ) -> str:
        """Enter ``environment`` and return how it is called here; what is left of it is killed when it is exited.

        ``os_env_vars`` are for this action, before the variables of environments. Raises RuntimeError unless READY.
        """
        self._need(SessionState.READY)
        if identifier is None:
            identifier = f"{self._id}:{uuid.uuid4().hex}"
        elif identifier in self._entered:
            raise RuntimeError(f"the environment {identifier} has been entered already")
        banner(self._journal, f"Entering Environment: {environment.name}")
        running = self._begin(identifier)
        self._entered[identifier] = _Entered(environment, running)
        variables = self._around.variables
        variables.enter(identifier, {})
        script = environment.script
        try:
            running.places = self._around.directory.allocate(files_of(script), running.prefix)
            values = {
                name: invoking.resolved(value, self._launcher.symbols)
                for name, value in (environment.variables or {}).items()
            }
        except (FormatStringError, WorkingDirectoryError) as error:
            running.fail(f"environment {environment.name!r}: {text_of(error)}")
            return identifier
        for name, value in values.items():
            self._around.note(f"Setting: {name}={value}", LogContent.PARAMETER_INFO)
        variables.enter(identifier, values)
        self._launcher.run(
            running,
            script.actions.onEnter if script is not None else None,
            script,
            variables.changes(os_env_vars),
            notice=invoking.ENVIRONMENT_NOTICE,
        )
        return identifier

    def exit_environment(
        self,
        *,
        identifier: str,
        os_env_vars: Mapping[str, str] | None = None,
        keep_session_running: bool = False,
    ) -> None:
        """Leave the environment that was entered last.

        From then on only environments can be left, unless ``keep_session_running`` is set. Raises RuntimeError
        unless READY or READY_ENDING, and for another environment.
        """
        self._need(SessionState.READY, SessionState.READY_ENDING)
        if identifier not in self._entered:
            raise RuntimeError(f"the environment {identifier} has not been entered")
        last = list(self._entered)[-1]
        if last != identifier:
            raise RuntimeError(f"the environment {identifier} cannot be exited before {last}")
        entered = self._entered.pop(identifier)
        self._ending = self._ending or not keep_session_running
        banner(self._journal, f"Exiting Environment: {entered.environment.name}")
        number = entered.running.number
        running = self._begin(identifier, leaving=True, release=() if number is None else (number,))
        running.places = entered.running.places
        script = entered.environment.script
        self._launcher.run(
            running,
            script.actions.onExit if script is not None else None,
            script,
            self._around.variables.changes(os_env_vars),
            notice=invoking.ENVIRONMENT_NOTICE,
            timeout=invoking.EXIT_TIMEOUT,
        )

    def run_task(
        self,
        *,
        step_script: StepScript,
        task_parameter_values: TaskParameterSet,
        os_env_vars: Mapping[str, str] | None = None,
        log_task_banner: bool = True,
        step_name: str | None = None,
    ) -> None:
        """Run a task; what it leaves behind is killed when it ends. Raises RuntimeError unless READY."""
        self._need(SessionState.READY)
        running = self._begin()

        def heading() -> None:
            if log_task_banner:
                banner(self._journal, "Running Task")
            if task_parameter_values:
                lines = [
                    f"{name}({getattr(parameter.type, 'value', parameter.type)}) = {parameter.value}"
                    for name, parameter in task_parameter_values.items()
                ]
                self._around.note("\n".join(["Parameter values:", *lines]), LogContent.PARAMETER_INFO)

        running.heading = heading
        try:
            running.places = self._around.directory.allocate(files_of(step_script), running.prefix)
        except WorkingDirectoryError as error:
            running.fail(text_of(error))
            return
        self._launcher.run(
            running,
            step_script.actions.onRun,
            step_script,
            self._around.variables.changes(os_env_vars),
            notice=invoking.TASK_NOTICE,
            symbols=invoking.task_symbols(
                task_parameter_values, self._launcher.mapped(task_parameter_values)
            ),
        )

    def run_subprocess(
        self,
        *,
        command: str,
        args: Sequence[str] | None = None,
        timeout: int | None = None,
        os_env_vars: Mapping[str, str] | None = None,
        use_session_env_vars: bool = True,
        log_banner_message: str | None = None,
    ) -> None:
        """Run a command as it is; what it leaves behind is killed when it ends. ``timeout`` is in seconds.

        Raises RuntimeError unless READY, ValueError for a command or a timeout that is none.
        """
        self._need(SessionState.READY)
        if timeout is not None and timeout <= 0:
            raise ValueError("a timeout is a positive number of seconds")
        if not command.strip():
            raise ValueError("there is no command")
        if log_banner_message:
            banner(self._journal, log_banner_message)
        changes = self._around.variables.changes(os_env_vars, environments=use_session_env_vars)
        self._launcher.launch(self._begin(), (command, *(args or ())), changes, timeout)

    def cancel_action(self, *, time_limit: timedelta | None = None, mark_action_failed: bool = False) -> None:
        """End the action that runs, by the method that it has, within ``time_limit`` (0: at once).

        Returns at once. May be called again to make it more urgent. The action will be CANCELED, or FAILED with
        ``mark_action_failed``. Raises RuntimeError where nothing runs.
        """
        with self._lock:
            if self._state not in (SessionState.RUNNING, SessionState.CANCELING) or self._running is None:
                raise RuntimeError("there is no action that runs")
            self._running.marked_failed = self._running.marked_failed or mark_action_failed
            self._state = SessionState.CANCELING
            self._launcher.cancel(None if time_limit is None else time_limit.total_seconds())

    def wait(self) -> None:
        """Wait for the end of the action that runs, if one does."""
        self._launcher.wait()

    def cleanup(self) -> None:
        """End what still runs and, unless it is to be kept, remove the working directory."""
        if self._state is SessionState.ENDED:
            return
        self._launcher.close()
        self._state = SessionState.ENDED
        if self._retain:
            self._journal.note(f"Working directory kept: {self.working_directory}", LogContent.FILE_PATH)
            return
        try:
            self._switch.empty(self.working_directory)
            self._around.directory.remove()
        except WorkingDirectoryError as error:
            self._journal.note(f"cannot remove {text_of(error)}", LogContent.FILE_PATH, logging.WARNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    # From an action to its command

    def _need(self, *states: SessionState) -> None:
        if self._state not in states:
            names = " or ".join(state.name for state in states)
            raise RuntimeError(f"the session has to be {names} for that, and is {self._state.name}")

    def _begin(
        self, environment: str | None = None, *, leaving: bool = False, release: tuple[int, ...] = ()
    ) -> Running:
        """Take up a new action."""
        self._running = Running(self, self._around, environment, leaving=leaving, release=release)
        return self._running

    # What its action tells it

    def begun(self) -> None:
        """Be busy."""
        self._state = SessionState.RUNNING

    def changed(self) -> None:
        """Tell the callback of the status."""
        if self._callback is None or self._running is None:
            return
        try:
            self._callback(self._id, self._running.status)
        except Exception as error:
            # The session has to go on, whatever its owner's function does.
            text = f"the callback failed: {type(error).__name__}"
            self._journal.note(text, LogContent.EXCEPTION_INFO, logging.ERROR)

    def over(self, state: ActionState) -> None:
        """Be ready for what comes next."""
        with self._lock:
            ending = self._ending or state is not ActionState.SUCCESS
            self._state = SessionState.READY_ENDING if ending else SessionState.READY
        self.changed()

    def end_as_failed(self) -> None:
        """Cancel the action, unless that is on its way."""
        if self._state is SessionState.RUNNING:
            with contextlib.suppress(RuntimeError):
                self.cancel_action(mark_action_failed=True)


def _extensions(given: Any) -> frozenset[str]:
    if given is None:
        return frozenset(SUPPORTED)
    names: Collection[str] = getattr(given, "extensions", given)
    return frozenset(str(name) for name in names)
