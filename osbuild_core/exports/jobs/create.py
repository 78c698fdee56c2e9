"""From a template and values for its parameters to a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar, cast

from osbuild_core.exports.jobs import combination
from osbuild_core.exports.jobs.errors import DecodeValidationError, ExpressionError
from osbuild_core.exports.jobs.extensions import create_foreign
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.exports.jobs.job import (
    AmountRequirement,
    AttributeRequirement,
    HostRequirements,
    Job,
    JobParameter,
    JobParameterValues,
    ParameterValueType,
    RangeExpressionTaskParameterDefinition,
    RangeListTaskParameterDefinition,
    Step,
    StepParameterSpace,
    TaskChunksDefinition,
    TaskParameter,
)
from osbuild_core.exports.jobs.parameters import preprocess_job_parameters
from osbuild_core.exports.jobs.rangeexpr import IntRangeExpr
from osbuild_core.exports.jobs.requirements import (
    ATTRIBUTES,
    AmountRequirementTemplate,
    AttributeRequirementTemplate,
    HostRequirementsTemplate,
    name_problem,
    value_problems,
)
from osbuild_core.exports.jobs.shape import Number, Reader, Scope, Whole
from osbuild_core.exports.jobs.spaces import (
    LONGEST_VALUE,
    Element,
    StepParameterSpaceDefinition,
    TaskParameterDefinition,
    number_text,
)
from osbuild_core.exports.jobs.template import JOB_NAME, EnvironmentTemplate, JobTemplate, StepTemplate
from osbuild_core.model.errors import Path

if TYPE_CHECKING:
    from decimal import Decimal

_Template = TypeVar("_Template", JobTemplate, EnvironmentTemplate)


def create_job(
    *,
    job_template: JobTemplate,
    job_parameter_values: JobParameterValues,
    environment_templates: Sequence[EnvironmentTemplate] | None = None,
) -> Job:
    """Return the job that a template makes with these values.

    Values that are missing are the parameters' defaults; paths are taken as they are: call
    :func:`~osbuild_core.exports.jobs.parameters.preprocess_job_parameters` before. The environments matter for
    their parameters only. Raises DecodeValidationError with everything that is wrong.
    """
    if job_template.foreign is not None:
        return create_foreign(job_template, job_parameter_values, environment_templates)
    # Nothing is joined to a directory that is not absolute.
    values = preprocess_job_parameters(
        job_template=_paths_are_done(job_template, job_parameter_values),
        job_parameter_values={name: parameter.value for name, parameter in job_parameter_values.items()},
        job_template_dir=FilePath(),
        current_working_dir=FilePath(),
        allow_job_template_dir_walk_up=True,
        environment_templates=[
            _paths_are_done(template, job_parameter_values) for template in environment_templates or ()
        ],
    )
    symbols = {f"RawParam.{name}": parameter.value for name, parameter in values.items()}
    for name, parameter in values.items():
        if parameter.type is not ParameterValueType.PATH:
            symbols[f"Param.{name}"] = parameter.value
    maker = _Maker(symbols, frozenset(job_template.extensions))
    name = maker.text(job_template.name)
    JOB_NAME.allows(name, ("name",), maker.reader)
    steps = tuple(maker.step(step, ("steps", index)) for index, step in enumerate(job_template.steps))
    if maker.reader.issues:
        raise DecodeValidationError(maker.reader.issues)
    parameters = {
        d.name: JobParameter(d.type, values[d.name].value, d.description, d.dataFlow)
        for d in job_template.parameterDefinitions
    }
    return Job(
        name=name,
        steps=steps,
        description=job_template.description,
        parameters=parameters,
        jobEnvironments=job_template.jobEnvironments,
        extensions=job_template.extensions,
    )


def _paths_are_done(template: _Template, values: JobParameterValues) -> _Template:
    """Return ``template`` without constraints on the paths that have values: those were about what was written."""
    return template._replace(
        parameterDefinitions=tuple(
            d._replace(allowedValues=None, minLength=None, maxLength=None)
            if d.type is ParameterValueType.PATH and d.name in values
            else d
            for d in template.parameterDefinitions
        )
    )


class _Maker:
    """Resolves what is known when a job is submitted, and notes what it must not become."""

    def __init__(self, symbols: dict[str, str], extensions: frozenset[str]) -> None:
        self.symbols = symbols
        self.reader = Reader(extensions)

    def text(self, value: str) -> str:
        """Return ``value`` with its references resolved. They were all checked when it was decoded."""
        return value.resolve(self.symbols) if isinstance(value, FormatString) else value

    def step(self, step: StepTemplate, path: Path) -> Step:
        space, host = step.parameterSpace, step.hostRequirements
        return Step(
            name=step.name,
            script=step.script,
            description=step.description,
            stepEnvironments=step.stepEnvironments,
            parameterSpace=self.space(space, (*path, "parameterSpace")) if space is not None else None,
            hostRequirements=self.host(host, (*path, "hostRequirements")) if host is not None else None,
            dependencies=step.dependencies,
        )

    def space(self, space: StepParameterSpaceDefinition, path: Path) -> StepParameterSpace:
        before = len(self.reader.issues)
        definitions = {
            definition.name: self.parameter(definition, (*path, "taskParameterDefinitions", index))
            for index, definition in enumerate(space.taskParameterDefinitions)
        }
        if space.combination is not None and len(self.reader.issues) == before:
            lengths = {name: len(definition.range) for name, definition in definitions.items()}
            try:
                combination.length(combination.parse(space.combination), lengths)
            except ExpressionError as error:
                self.reader.add((*path, "combination"), str(error), code="job.combination")
        return StepParameterSpace(definitions, space.combination)

    def parameter(self, definition: TaskParameterDefinition, path: Path) -> TaskParameter:
        chunks = None
        if definition.chunks is not None:
            count, target = definition.chunks.defaultTaskCount, definition.chunks.targetRuntimeSeconds
            chunks = TaskChunksDefinition(
                self.whole(count, 1, (*path, "chunks", "defaultTaskCount")) or 1,
                definition.chunks.rangeConstraint,
                None if target is None else self.whole(target, 0, (*path, "chunks", "targetRuntimeSeconds")),
            )
        place = (*path, "range")
        if isinstance(definition.range, str):
            return self.expression(definition.type, definition.range, chunks, place)
        values = tuple(
            self.element(definition.type, value, (*place, index))
            for index, value in enumerate(definition.range)
        )
        return RangeListTaskParameterDefinition(definition.type, values, chunks)

    def expression(
        self, kind: ParameterValueType, text: FormatString, chunks: TaskChunksDefinition | None, path: Path
    ) -> TaskParameter:
        try:
            values = IntRangeExpr.from_str(self.text(text))
        except ExpressionError as error:
            self.reader.add(path, f"{self.text(text)!r}: {error}", code="job.range")
            values = IntRangeExpr((range(1),))
        return RangeExpressionTaskParameterDefinition(kind, values, chunks)

    def element(self, kind: ParameterValueType, value: Element, path: Path) -> str:
        """Return an element of a range as the string that tasks see."""
        if not isinstance(value, FormatString):
            return str(value)
        text = self.text(value)
        if kind in (ParameterValueType.INT, ParameterValueType.CHUNK_INT):
            return str(self.whole(text, None, path))
        if kind is ParameterValueType.FLOAT:
            return "" if Number().read(text, path, self.reader, Scope()) is None else number_text(text)
        if len(text) > LONGEST_VALUE:
            message = f"it has {len(text)} characters, at most {LONGEST_VALUE} are allowed"
            self.reader.add(path, message, code="job.length")
        elif not text and kind is ParameterValueType.PATH:
            self.reader.add(path, "it is empty", code="job.length")
        return text

    def whole(self, value: int | str, low: int | None, path: Path) -> int | None:
        given = self.text(value) if isinstance(value, str) else value
        number = Whole(low=low).read(given, path, self.reader, Scope())
        return cast("int | None", number)

    def host(self, host: HostRequirementsTemplate, path: Path) -> HostRequirements:
        amounts = tuple(self.amount(a, (*path, "amounts", i)) for i, a in enumerate(host.amounts))
        attributes = tuple(self.attribute(a, (*path, "attributes", i)) for i, a in enumerate(host.attributes))
        for key, found in (("amounts", amounts), ("attributes", attributes)):
            names = [requirement.name.lower() for requirement in cast("tuple[Any, ...]", found)]
            for index, name in enumerate(names):
                if name in names[:index]:
                    message = f"{name!r} is there already, in element {names.index(name)}"
                    self.reader.add((*path, key, index, "name"), message, code="job.duplicate")
        return HostRequirements(amounts, attributes)

    def name(self, name: FormatString, kind: str, path: Path) -> str:
        text = self.text(name)
        if problem := name_problem(text, kind):
            self.reader.add((*path, "name"), problem)
        return text

    def amount(self, amount: AmountRequirementTemplate, path: Path) -> AmountRequirement:
        low = self.number(amount.min, False, (*path, "min"))
        high = self.number(amount.max, True, (*path, "max"))
        if low is not None and high is not None and low > high:
            self.reader.add((*path, "max"), f"it is {high}, less than min ({low})", code="job.bounds")
        return AmountRequirement(self.name(amount.name, "amount", path), low, high)

    def number(self, value: Decimal | FormatString | None, above: bool, path: Path) -> Decimal | None:
        if not isinstance(value, str):
            return value
        number = Number(low=0, above=above).read(self.text(value), path, self.reader, Scope())
        return cast("Decimal | None", number)

    def attribute(self, attribute: AttributeRequirementTemplate, path: Path) -> AttributeRequirement:
        name = self.name(attribute.name, "attr", path)
        found: dict[str, tuple[str, ...] | None] = {}
        for key, values in (("anyOf", attribute.anyOf), ("allOf", attribute.allOf)):
            found[key] = None if values is None else tuple(self.text(value) for value in values)
            for index, problem in value_problems(name, found[key] or ()):
                self.reader.add((*path, key, index), problem)
        if len(found["allOf"] or ()) > 1 and name.lower() in ATTRIBUTES:
            message = f"a host has one value of {name} only"
            self.reader.add((*path, "allOf"), message, code="job.length")
        return AttributeRequirement(name, found["anyOf"], found["allOf"])
