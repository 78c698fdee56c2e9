"""What has come of tasks, kept in a file from one run to the next, by the content of the tasks.

JSON lines, the last one about a task counts: ``{"key", "step", "state", …}`` of one that has run, ``{"forget":
[keys]}`` and ``{"forget_steps": [digests]}`` at the beginning of a run that is to do everything anew. A line that
was cut short is left out. One run at a time has the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from osbuild_core.exports.jobs.job import (
    Environment,
    Job,
    JobParameterValues,
    Step,
    TaskParameterSet,
    model_to_object,
)
from osbuild_core.exports.jobs.status import ActionState
from osbuild_core.model.errors import OsbuildError

FORM = "osbuild-core job results 1"
STALE = 4
"""How many lines there may be for each one that counts."""


class ResultsError(OsbuildError):
    """The file with results cannot be used."""

    code = "job.results"


def digest(content: Any) -> str:
    """Return a name for ``content``, which JSON can have."""
    return hashlib.sha256(json.dumps([FORM, content], sort_keys=True).encode()).hexdigest()


def step_digests(
    job: Job, values: JobParameterValues, around: Sequence[Environment], more: Any
) -> dict[str, str]:
    """Return a digest of each step: of its script and environments, the job's, the parameters, and of all steps
    that it depends on with their tasks. ``more`` is what else matters: path mapping, the tree that it runs on.

    Of files that parameters name, only the names count.
    """
    common = [
        {name: [str(getattr(v.type, "value", v.type)), str(v.value)] for name, v in values.items()},
        model_to_object([*around, *job.jobEnvironments]),
        more,
    ]
    steps = {step.name: step for step in job.steps}
    found: dict[str, str] = {}

    def of(step: Step) -> str:
        if step.name not in found:
            before = [
                [of(steps[d.dependsOn]), model_to_object(steps[d.dependsOn].parameterSpace)]
                for d in step.dependencies
            ]
            own = [step.name, model_to_object(step.script), model_to_object(step.stepEnvironments)]
            found[step.name] = digest([common, own, before])
        return found[step.name]

    from osbuild_core.exports.jobs.dependencies import StepDependencyGraph

    for step in StepDependencyGraph(job=job).topo_sorted():
        of(step)
    return found


def task_key(step: str, task: TaskParameterSet) -> str:
    """Return the key of a task of the step with that digest."""
    return digest([step, {name: [parameter.type.value, parameter.value] for name, parameter in task.items()}])


class Results:
    """The results in the file at ``path``. A context manager. Raises ResultsError where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._error(error) from error
        self._file: IO[bytes] = open(fd, "ab", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                # A device may have no end.
                raise OSError(errno.EINVAL, "it is no regular file")
            data = path.read_bytes()
            self._states = self._read(data)
            if data and not data.endswith(b"\n"):
                # Cut short: what comes next has a line of its own.
                self._file.write(b"\n")
            if data.count(b"\n") > STALE * (len(self._states) + 100):
                self._rewrite()
        except BlockingIOError:
            self._file.close()
            raise ResultsError(
                f"another run has {path} open",
                hint="wait for it, or name another file with --results",
                retryable=True,
            ) from None
        except OSError as error:
            self._file.close()
            raise self._error(error) from error

    def _error(self, error: OSError) -> ResultsError:
        return ResultsError(
            f"cannot use {self.path}: {(error.strerror or str(error)).lower()}",
            hint="name another file with --results",
        )

    @staticmethod
    def _read(data: bytes) -> dict[str, tuple[str, str]]:
        states: dict[str, tuple[str, str]] = {}
        for line in data.split(b"\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                item = json.loads(line)
                if "forget" in item:
                    for key in item["forget"]:
                        states.pop(key, None)
                elif "forget_steps" in item:
                    gone = set(item["forget_steps"])
                    states = {key: value for key, value in states.items() if value[0] not in gone}
                else:
                    states[item["key"]] = (item["step"], item["state"])
        return states

    def _rewrite(self) -> None:
        """Leave out what does not count any more. A kill meanwhile makes tasks run again, nothing worse."""
        lines = [{"key": key, "step": step, "state": state} for key, (step, state) in self._states.items()]
        self._file.truncate(0)
        self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def done(self, key: str) -> bool:
        """Tell whether the task with that key has been done well."""
        return self._states.get(key, ("", ""))[1] == ActionState.SUCCESS

    def forget(self, *, steps: Iterable[str] = (), keys: Iterable[str] = ()) -> None:
        """Forget what has come of all tasks of these steps, and of these tasks."""
        for name, gone in (("forget_steps", list(steps)), ("forget", list(keys))):
            if gone and self._states:
                self._write({name: gone})

    def keep(self, key: str, step: str, state: ActionState, more: Mapping[str, Any]) -> None:
        """Keep what has come of a task."""
        self._states[key] = (step, state)
        self._write({"key": key, "step": step, "state": state, **more})

    def _write(self, document: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(document).encode() + b"\n")
        except OSError as error:
            raise self._error(error) from error

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def default_path(template: Path) -> Path:
    """Return where the results of the template at that path are kept: a file of its own among the user's state."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(os.path.abspath(template))).hexdigest()[:20]
    return base / "osbuild-core" / "jobs" / f"{name}.jsonl"
