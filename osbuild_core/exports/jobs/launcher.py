"""From an action to its command: values put in, files written, the command started in the session's directory."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from osbuild_core.exports.jobs import invocation as invoking
from osbuild_core.exports.jobs.command import Command, CommandError
from osbuild_core.exports.jobs.errors import FormatStringError
from osbuild_core.exports.jobs.job import (
    Action,
    EmbeddedFile,
    EnvironmentScript,
    JobParameterValues,
    StepScript,
)
from osbuild_core.exports.jobs.log import LogContent, small_banner
from osbuild_core.exports.jobs.messages import hide_assignment
from osbuild_core.exports.jobs.pathmapping import PathMappingRule, mapped_path
from osbuild_core.exports.jobs.processes import Processes
from osbuild_core.exports.jobs.running import Running, Surroundings
from osbuild_core.exports.jobs.status import ActionState
from osbuild_core.exports.jobs.switching import Switch
from osbuild_core.exports.jobs.workdir import WorkingDirectoryError
from osbuild_core.model.errors import SandboxError

PATH_MAPPING = "path_mapping.json"
"""File in the working directory that commands find the rules in."""


class Launcher:
    """Starts the commands of a session, as ``switch`` says; where we are killed, its directory goes if ``remove``."""

    def __init__(
        self,
        around: Surroundings,
        switch: Switch,
        rules: Sequence[PathMappingRule],
        values: JobParameterValues,
        *,
        remove: bool,
        attended: bool = False,
    ) -> None:
        self._around = around
        self._switch = switch
        self._rules = tuple(rules)
        path = around.directory.path
        self.symbols = {
            "Session.WorkingDirectory": str(path),
            "Session.HasPathMappingRules": "true" if rules else "false",
            "Session.PathMappingRulesFile": str(path / PATH_MAPPING),
            **invoking.job_symbols(values, self.mapped(values)),
        }
        self._processes = Processes(path, switch.environment, remove=remove, attended=attended)
        self.wait = self._processes.wait
        self.cancel = self._processes.cancel
        self.close = self._processes.close

    def mapped(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return where the paths among ``values`` are on this host."""
        return {
            name: mapped_path(self._rules, parameter.value)
            for name, parameter in values.items()
            if self._rules and invoking.is_path(parameter.type)
        }

    def run(
        self,
        running: Running,
        action: Action | None,
        script: StepScript | EnvironmentScript | None,
        changes: Mapping[str, str | None],
        *,
        notice: int,
        timeout: float | None = None,
        symbols: Mapping[str, str] | None = None,
    ) -> None:
        """Run ``action`` of ``script``, where the template has one, with these changes to the environment."""
        if action is None:
            self.release(running)
            running.finish(ActionState.SUCCESS)
            return
        known = {**self.symbols, **running.places, **(symbols or {})}
        try:
            self._write(running, files_of(script), known)
            made = invoking.invocation(action, known, notice=notice, timeout=timeout)
        except (FormatStringError, WorkingDirectoryError) as error:
            self.release(running)
            running.fail(text_of(error))
            return
        self.launch(running, made.argv, changes, made.timeout, made.notice)

    def _write(self, running: Running, files: Sequence[EmbeddedFile], known: Mapping[str, str]) -> None:
        if files:
            running.head()
            small_banner(self._around.journal, "Phase: Setup")
            self._around.directory.write_files(files, running.prefix, running.places, known)
        for file in files:
            place = running.places[f"{running.prefix}.{file.name}"]
            self._around.note(f"Wrote: {file.name} -> {place}", LogContent.FILE_PATH)

    def launch(
        self,
        running: Running,
        argv: Sequence[str],
        changes: Mapping[str, str | None],
        timeout: float | None,
        notice: float = 0.0,
    ) -> None:
        """Start the command of ``running``, and have that told of it."""
        journal = self._around.journal
        command = Command(
            tuple(argv),
            changes,
            str(self._around.directory.path),
            timeout=timeout,
            notify=notice,
            keep=running.keep,
            release=running.release,
        )
        running.number = self._processes.number()
        running.owner.begun()
        try:
            # What there is to write is written while it starts: nothing is told of it before.
            pid = self._processes.start(
                self._switch.command(command), running, lambda: self._announce(running, command)
            )
        except (CommandError, SandboxError, WorkingDirectoryError) as error:
            self.release(running)
            running.fail(text_of(error), getattr(error, "status", None))
            return
        journal.note(f"Command started as pid: {pid}\nOutput:", LogContent.PROCESS_CONTROL)
        running.owner.changed()
        self._processes.follow()

    def _announce(self, running: Running, command: Command) -> None:
        running.head()
        line = "-" * 46
        shown = hide_assignment(shlex.join(command.argv).replace("\n", "\\n"))
        self._around.note(
            f"{line}\nPhase: Running action\n{line}\nRunning command {shown}", LogContent.PROCESS_CONTROL
        )

    def release(self, running: Running) -> None:
        """Kill what was kept until this action, which has no command to do that with."""
        if running.release:
            with contextlib.suppress(SandboxError):
                self._processes.release(running.release)


def files_of(script: StepScript | EnvironmentScript | None) -> tuple[EmbeddedFile, ...]:
    """Return the embedded files of a script."""
    return tuple(script.embeddedFiles or ()) if script is not None else ()


def text_of(error: Exception) -> str:
    """Return what is wrong in one line, with the hint that there may be."""
    hint = getattr(error, "hint", None)
    return f"{error} ({hint})" if hint else str(error)
