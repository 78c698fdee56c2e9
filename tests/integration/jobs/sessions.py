"""Sessions as tests have them: run an action, wait for its end, see what came of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osbuild_core.exports.jobs import (
    ActionState,
    ActionStatus,
    Environment,
    JobTemplate,
    ParameterValue,
    ParameterValueType,
    Session,
    StepScript,
    create_job,
    decode_job_template,
)
from osbuild_core.exports.jobs.log import LogContent

PATIENCE = 30.0
"""Seconds after which a test that waits has failed."""


class Record:
    """A journal that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def output(self, text: str) -> None:
        self.lines += text.split("\n")

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        self.notes += text.split("\n")


class Run:
    """A session with all that it told."""

    def __init__(self, **options: Any) -> None:
        self.record = Record()
        self.told: list[ActionStatus] = []
        self._ended = threading.Event()
        values = options.pop("parameters", {})
        self.session = Session(
            **{
                "session_id": "test",
                "job_parameter_values": {n: string(v) for n, v in values.items()},
                "callback": self._tell,
                "journal": self.record,
                **options,
            }
        )

    def _tell(self, session_id: str, status: ActionStatus) -> None:
        assert session_id == "test"
        self.told.append(status)
        if status.state is not ActionState.RUNNING:
            self._ended.set()

    @property
    def lines(self) -> list[str]:
        return self.record.lines

    @property
    def directory(self) -> Path:
        return self.session.working_directory

    def wait(self) -> ActionStatus:
        """Wait for the end of the action; return how it was."""
        assert self._ended.wait(PATIENCE), f"still running: {self.lines[-5:]}"
        status = self.session.action_status
        assert status is not None and status.state is not ActionState.RUNNING
        return status

    def begin(self, what: StepScript | str, values: Mapping[str, str] | None = None, **more: Any) -> None:
        self._ended.clear()
        given = {name: string(value) for name, value in (values or {}).items()}
        script = shell(what) if isinstance(what, str) else what
        self.session.run_task(step_script=script, task_parameter_values=given, **more)

    def task(
        self, what: StepScript | str, values: Mapping[str, str] | None = None, **more: Any
    ) -> ActionStatus:
        """Run a task, given as a script or as text for sh."""
        self.begin(what, values, **more)
        return self.wait()

    def enter(self, environment: Environment, **more: Any) -> ActionStatus:
        self._ended.clear()
        self.entered = self.session.enter_environment(environment=environment, **more)
        return self.wait()

    def exit(self, identifier: str | None = None, **more: Any) -> ActionStatus:
        self._ended.clear()
        last = identifier or self.session.environments_entered[-1]
        self.session.exit_environment(identifier=last, **more)
        return self.wait()

    def cancel(self, **more: Any) -> ActionStatus:
        self.session.cancel_action(**more)
        return self.wait()

    def until(self, line: str) -> None:
        """Wait until the command has printed ``line``."""
        wait_for(lambda: line in self.lines)


@contextmanager
def opened(**options: Any) -> Iterator[Run]:
    run = Run(**options)
    with run.session:
        yield run


def string(value: str) -> ParameterValue:
    return ParameterValue(ParameterValueType.STRING, value)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "this did not come"
        time.sleep(0.005)


def sh(text: str, **more: Any) -> dict[str, Any]:
    return {"command": "sh", "args": ["-c", text], **more}


def template(**members: Any) -> JobTemplate:
    return decode_job_template(
        template={
            "specificationVersion": "jobtemplate-2023-09",
            "name": "Test",
            "extensions": ["FEATURE_BUNDLE_1", "REDACTED_ENV_VARS"],
            "parameterDefinitions": [{"name": "P", "type": "PATH", "default": ""}],
            "steps": [{"name": "S", "script": {"actions": {"onRun": {"command": "true"}}}}],
            **members,
        }
    )


def script(on_run: Mapping[str, Any], *files: Mapping[str, Any], **step: Any) -> StepScript:
    """Return a step's script with this action and these embedded files."""
    content = {"actions": {"onRun": on_run}, **({"embeddedFiles": list(files)} if files else {})}
    made = template(steps=[{"name": "S", "script": content, **step}])
    return create_job(job_template=made, job_parameter_values={}).steps[0].script


def shell(text: str, **more: Any) -> StepScript:
    """Return the script of a step that runs ``text`` with sh."""
    return script(sh(text, **more))


def environment(
    name: str = "E",
    enter: str | Mapping[str, Any] | None = None,
    leave: str | Mapping[str, Any] | None = None,
    files: tuple[Mapping[str, Any], ...] = (),
    **members: Any,
) -> Environment:
    actions = {
        key: sh(value) if isinstance(value, str) else value
        for key, value in (("onEnter", enter), ("onExit", leave))
        if value is not None
    }
    if not actions:
        members.setdefault("variables", {"NOTHING": ""})
    else:
        members["script"] = {"actions": actions, **({"embeddedFiles": list(files)} if files else {})}
    return template(jobEnvironments=[{"name": name, **members}]).jobEnvironments[0]


def alive(pid: int | str) -> bool:
    """Tell whether a process is there and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def descendants(pid: int | None = None) -> list[int]:
    """Return the processes that descend from this one, or from ``pid``."""
    found: list[int] = []
    waiting = [pid if pid is not None else os.getpid()]
    while waiting:
        parent = waiting.pop()
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                new = [int(word) for word in children.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += new
            waiting += new
    return found
