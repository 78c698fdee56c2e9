"""A job as it is run: what a template became when its parameters got their values.

Names are those of openjd-model. What the specification resolves when a job is made (names, ranges, host
requirements) is plain here; what it resolves in a session or for a task is a :class:`FormatString`.
Lists that a template leaves out are empty tuples, so that a caller can go through them without asking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from decimal import Decimal

    from osbuild_core.exports.jobs.formatstring import FormatString
    from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr


class ParameterValueType(StrEnum):
    """The types of job and task parameters."""

    STRING = "STRING"
    INT = "INT"
    FLOAT = "FLOAT"
    PATH = "PATH"
    CHUNK_INT = "CHUNK[INT]"
    """Of task parameters only: several integers at once, as a range expression."""


class ParameterValue(NamedTuple):
    """The value of a parameter, always as a string."""

    type: ParameterValueType
    value: str


JobParameterValues: TypeAlias = dict[str, ParameterValue]
TaskParameterSet: TypeAlias = dict[str, ParameterValue]


class CancelationMethodTerminate(NamedTuple):
    """End the processes of an action at once."""

    mode: str = "TERMINATE"


class CancelationMethodNotifyThenTerminate(NamedTuple):
    """Notify an action, and end its processes after a while.

    ``notifyPeriodInSeconds``: 1 to 600; None is the default of where the action stands, 120 for a task's and
    30 for an environment's; a format string (FEATURE_BUNDLE_1) gives such a number when it is resolved.
    """

    notifyPeriodInSeconds: int | FormatString | None = None
    mode: str = "NOTIFY_THEN_TERMINATE"


class CancelationMethodDeferred(NamedTuple):
    """A method whose ``mode`` is known when the action starts (FEATURE_BUNDLE_1): a format string."""

    mode: FormatString
    notifyPeriodInSeconds: int | FormatString | None = None


CancelationMethod: TypeAlias = (
    CancelationMethodTerminate | CancelationMethodNotifyThenTerminate | CancelationMethodDeferred
)


class Action(NamedTuple):
    """A command to run.

    ``timeout`` is in seconds, a format string with FEATURE_BUNDLE_1. No ``cancelation`` is TERMINATE.
    """

    command: FormatString
    args: tuple[FormatString, ...] = ()
    timeout: int | FormatString | None = None
    cancelation: CancelationMethod | None = None


class StepActions(NamedTuple):
    """What a task of a step runs."""

    onRun: Action


class EnvironmentActions(NamedTuple):
    """What entering and leaving an environment runs; at least one of the two is there."""

    onEnter: Action | None = None
    onExit: Action | None = None


class EmbeddedFileText(NamedTuple):
    """A text file that is written before an action runs.

    ``filename`` is a name without directories, None for one that whoever writes it makes up. ``endOfLine``
    is AUTO, LF or CRLF (FEATURE_BUNDLE_1); None leaves the text as it is.
    """

    name: str
    data: FormatString
    filename: str | None = None
    runnable: bool = False
    endOfLine: str | None = None
    type: str = "TEXT"


EmbeddedFile: TypeAlias = EmbeddedFileText


class StepScript(NamedTuple):
    """What a step does."""

    actions: StepActions
    embeddedFiles: tuple[EmbeddedFile, ...] = ()


class EnvironmentScript(NamedTuple):
    """What an environment does when it is entered and left."""

    actions: EnvironmentActions
    embeddedFiles: tuple[EmbeddedFile, ...] = ()


class Environment(NamedTuple):
    """What is set up before tasks run and taken down after them: variables, a script, or both."""

    name: str
    description: str | None = None
    script: EnvironmentScript | None = None
    variables: Mapping[str, FormatString] = {}


class TaskChunksDefinition(NamedTuple):
    """How the values of a CHUNK[INT] parameter are put together (TASK_CHUNKING).

    ``defaultTaskCount``: values of a chunk, at least 1. ``targetRuntimeSeconds``: how long a chunk is wanted
    to take, 0 or None for chunks of the default size. ``rangeConstraint``: CONTIGUOUS or NONCONTIGUOUS.
    """

    defaultTaskCount: int
    rangeConstraint: str
    targetRuntimeSeconds: int | None = None


class RangeListTaskParameterDefinition(NamedTuple):
    """The values of a task parameter, one by one, as strings."""

    type: ParameterValueType
    range: Sequence[str]
    chunks: TaskChunksDefinition | None = None


class RangeExpressionTaskParameterDefinition(NamedTuple):
    """The values of an integer task parameter, as a range expression."""

    type: ParameterValueType
    range: IntRangeExpr
    chunks: TaskChunksDefinition | None = None


TaskParameter: TypeAlias = RangeListTaskParameterDefinition | RangeExpressionTaskParameterDefinition


class StepParameterSpace(NamedTuple):
    """The parameters of a step's tasks; ``combination`` None is the product of all, in their order."""

    taskParameterDefinitions: Mapping[str, TaskParameter]
    combination: str | None = None


ParameterSpace: TypeAlias = StepParameterSpace


class AmountRequirement(NamedTuple):
    """How much of something a host has to have."""

    name: str
    min: Decimal | None = None
    max: Decimal | None = None


class AttributeRequirement(NamedTuple):
    """What a host has to be: one of ``anyOf``, all of ``allOf``."""

    name: str
    anyOf: tuple[str, ...] | None = None
    allOf: tuple[str, ...] | None = None


class HostRequirements(NamedTuple):
    """What a host needs for the tasks of a step."""

    amounts: tuple[AmountRequirement, ...] = ()
    attributes: tuple[AttributeRequirement, ...] = ()


class StepDependency(NamedTuple):
    """The name of a step that has to be done before."""

    dependsOn: str


class Step(NamedTuple):
    """One step: its script is run once for each point of its parameter space."""

    name: str
    script: StepScript
    description: str | None = None
    stepEnvironments: tuple[Environment, ...] = ()
    parameterSpace: StepParameterSpace | None = None
    hostRequirements: HostRequirements | None = None
    dependencies: tuple[StepDependency, ...] = ()


class JobParameter(NamedTuple):
    """A parameter of a job with its value; ``dataFlow`` of a path is NONE, IN, OUT or INOUT."""

    type: ParameterValueType
    value: str
    description: str | None = None
    dataFlow: str | None = None


class Job(NamedTuple):
    """A job: every parameter has a value, every name is resolved.

    ``foreign`` is the job as openjd-model has it, for a template that was handed over to that; steps,
    parameters and environments are there only, under the same names.
    """

    name: str
    steps: tuple[Step, ...]
    description: str | None = None
    parameters: Mapping[str, JobParameter] = {}
    jobEnvironments: tuple[Environment, ...] = ()
    extensions: tuple[str, ...] = ()
    foreign: Any = None


def model_to_object(model: Any) -> Any:
    """Return ``model`` as JSON has it: mappings, lists, strings, numbers; without what is not set."""
    if isinstance(model, Enum):
        return model.value
    if isinstance(model, tuple) and hasattr(model, "_fields"):
        values = ((name, getattr(model, name)) for name in model._fields)
        return {name: model_to_object(v) for name, v in values if v is not None and v not in ((), {})}
    if isinstance(model, Mapping):
        return {name: model_to_object(value) for name, value in model.items()}
    if isinstance(model, (list, tuple)):
        return [model_to_object(value) for value in model]
    if model is None or isinstance(model, (bool, int, float)):
        return model
    return str(model)
