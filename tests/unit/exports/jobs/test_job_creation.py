"""From templates and values to jobs: parameters, paths, environments around a job, the order of steps."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.exports.jobs import (
    CompatibilityError,
    DecodeValidationError,
    Job,
    ParameterError,
    ParameterValue,
    ParameterValueType,
    StepDependencyGraph,
    create_job,
    decode_environment_template,
    decode_job_template,
    merge_job_parameter_definitions,
    preprocess_job_parameters,
)
from osbuild_core.exports.jobs.dependencies import cycles, ordered
from osbuild_core.exports.jobs.job import HostRequirements
from osbuild_core.exports.jobs.spaces import number_text
from osbuild_core.model.errors import place_text
from tests.unit.exports.jobs.cases import (
    amount,
    bundle,
    chunked,
    job,
    outer,
    parameter,
    space,
    step,
    steps,
    task,
)

HERE = {"job_template_dir": Path("/templates"), "current_working_dir": Path("/current")}


def values_of(template: dict[str, Any], environments: Any = None, **given: Any) -> dict[str, str]:
    values = preprocess_job_parameters(
        job_template=decode_job_template(template=template),
        job_parameter_values=given,
        environment_templates=environments,
        **HERE,
    )
    return {name: value.value for name, value in values.items()}


def made(template: dict[str, Any], **given: Any) -> Job:
    decoded = decode_job_template(template=template)
    values = preprocess_job_parameters(job_template=decoded, job_parameter_values=given, **HERE)
    return create_job(job_template=decoded, job_parameter_values=values)


def places(error: DecodeValidationError) -> list[str]:
    return [place_text(issue.path) for issue in error.issues]


def several(*kinds: str, **members: Any) -> dict[str, Any]:
    definitions = [{"name": f"P{n}", "type": kind} for n, kind in enumerate(kinds)]
    return job(parameterDefinitions=definitions, **members)


def test_all_that_is_wrong_with_values_is_told_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        values_of(several("INT", "FLOAT", "STRING", "INT"), P0="x", P1=[1], P2=True, Q="1")
    found = {place_text(issue.path): issue for issue in caught.value.issues}
    assert sorted(found) == ["P0", "P1", "P2", "P3", "Q"]
    assert found["P3"].code == "job.parameter-missing"
    assert found["Q"].hint == "there are: P0, P1, P2, P3"


@pytest.mark.parametrize(
    ("template", "value", "result"),
    [
        (parameter("INT", minValue=0), "-1", None),
        (parameter("INT", maxValue=0), 1, None),
        (parameter("INT"), str(2**63), None),
        (parameter("INT"), 1.0, None),
        (parameter("FLOAT", minValue="0.1"), 0.1, "0.1"),
        (parameter("FLOAT", allowedValues=["1.50"]), "1.5", "1.5"),
        (parameter("FLOAT"), "inf", None),
        (parameter("STRING", maxLength=3), "abcd", None),
        (parameter("STRING"), 5, "5"),
        (parameter("STRING"), None, None),
        (parameter("PATH", maxLength=3), "abc", "/current/abc"),
        (parameter("PATH", allowedValues=["a", "b"]), "b", "/current/b"),
        (parameter("PATH"), "", ""),
        (parameter("PATH"), "/x/../y", "/x/../y"),
    ],
)
def test_values(template: dict[str, Any], value: object, result: str | None) -> None:
    if result is None:
        with pytest.raises(ParameterError):
            values_of(template, P=value)
    else:
        assert values_of(template, P=value) == {"P": result}
        # And a job can be made of it, though the path is another one by now.
        assert made(template, P=value).parameters["P"].value == result


@pytest.mark.parametrize(
    ("default", "inside", "anywhere"),
    [
        ("a/./b", "/templates/a/b", "/templates/a/b"),
        ("a/../../templates/b", "/templates/b", "/templates/b"),
        ("../b", None, "/b"),
        ("/b", None, "/b"),
        ("", "", ""),
    ],
)
def test_default_paths(default: str, inside: str | None, anywhere: str) -> None:
    template = parameter("PATH", default=default)
    if inside is None:
        with pytest.raises(ParameterError) as caught:
            values_of(template)
        assert [issue.code for issue in caught.value.issues] == ["job.path"]
    else:
        assert values_of(template) == {"P": inside}
    values = preprocess_job_parameters(
        job_template=decode_job_template(template=template),
        job_parameter_values={},
        allow_job_template_dir_walk_up=True,
        **HERE,
    )
    assert values["P"].value == anywhere


def test_without_directories_paths_stay_as_they_are() -> None:
    template = decode_job_template(template=several("PATH"))
    nowhere = {"job_template_dir": Path(), "current_working_dir": Path()}
    values = preprocess_job_parameters(
        job_template=template,
        job_parameter_values={"P0": "a"},
        allow_job_template_dir_walk_up=True,
        **nowhere,
    )
    assert values["P0"].value == "a"
    with pytest.raises(ParameterError, match="absolute"):
        preprocess_job_parameters(job_template=template, job_parameter_values={"P0": "a"}, **nowhere)


def around(kind: str, **members: Any) -> Any:
    return decode_environment_template(
        template=outer(parameterDefinitions=[{"name": "P", "type": kind} | members])
    )


def test_definitions_are_merged() -> None:
    template = decode_job_template(template=parameter("INT", allowedValues=[1, 2, 3, 4], maxValue=4))
    (merged,) = merge_job_parameter_definitions(
        job_template=template,
        environment_templates=[
            around("INT", default=1, minValue=1),
            around("INT", default=3, minValue=2, allowedValues=[3, 4, 5]),
        ],
    )
    assert (merged.default, merged.minValue, merged.maxValue, merged.allowedValues) == (3, 2, 4, (3, 4))
    lengths = merge_job_parameter_definitions(
        environment_templates=[around("PATH", minLength=2, dataFlow="IN"), around("PATH", maxLength=3)]
    )
    assert (lengths[0].minLength, lengths[0].maxLength, lengths[0].dataFlow) == (2, 3, "IN")


@pytest.mark.parametrize(
    ("template", "environment"),
    [
        (parameter("INT"), around("STRING")),
        (parameter("PATH", objectType="FILE"), around("PATH")),
        (parameter("PATH", dataFlow="IN"), around("PATH", dataFlow="OUT")),
        (parameter("INT", minValue=5), around("INT", maxValue=4)),
        (parameter("STRING", minLength=5), around("STRING", maxLength=4)),
        (parameter("INT", allowedValues=[1]), around("INT", allowedValues=[2])),
        (parameter("INT", allowedValues=[1]), around("INT", minValue=2)),
        (parameter("INT", maxValue=4), around("INT", default=5)),
    ],
)
def test_definitions_that_do_not_go_together(template: dict[str, Any], environment: Any) -> None:
    decoded = decode_job_template(template=template)
    with pytest.raises(CompatibilityError) as caught:
        merge_job_parameter_definitions(job_template=decoded, environment_templates=[environment])
    assert places(caught.value) == ["P"]
    assert issubclass(CompatibilityError, ValueError)


def test_constraints_of_environments_are_about_paths_as_they_were_written() -> None:
    template = decode_job_template(template=parameter("PATH"))
    environments = [around("PATH", allowedValues=["a", "b"], maxLength=1)]
    values = preprocess_job_parameters(
        job_template=template,
        job_parameter_values={"P": "a"},
        job_template_dir=Path("/templates"),
        current_working_dir=Path("/current"),
        environment_templates=environments,
    )
    made = create_job(job_template=template, job_parameter_values=values, environment_templates=environments)
    assert made.parameters["P"].value == "/current/a"


def test_parameters_of_environments_need_values_too() -> None:
    environment = around("INT", minValue=3)
    with pytest.raises(ParameterError) as caught:
        values_of(job(), [environment])
    assert places(caught.value) == ["P"]
    assert values_of(job(), [environment], P=3) == {"P": "3"}


def test_everything_that_is_known_is_resolved() -> None:
    template = bundle(
        several("STRING", "INT", "PATH", "FLOAT")
        | {"name": "{{Param.P0}} of {{RawParam.P2}}"}
        | {
            "steps": [
                {
                    "name": "Only",
                    "script": {"actions": {"onRun": {"command": "{{Param.P0}}"}}},
                    "hostRequirements": {
                        "amounts": [{"name": "amount.{{Param.P0}}", "min": "{{Param.P3}}", "max": 9}],
                        "attributes": [{"name": "attr.x", "anyOf": ["{{Param.P0}}"]}],
                    },
                    "parameterSpace": {
                        "taskParameterDefinitions": [
                            task("A", "INT", ["{{Param.P1}}", "07", 3]),
                            task("B", "FLOAT", ["{{Param.P3}}", "02.50", 1e22]),
                            task("C", "PATH", ["{{RawParam.P2}}/x"]),
                            task("D", "INT", "1-{{Param.P1}}:2"),
                            chunked("1-9", "E", defaultTaskCount="{{Param.P1}}"),
                        ]
                    },
                }
            ]
        },
        "FEATURE_BUNDLE_1",
        "TASK_CHUNKING",
    )
    found = made(template, P0="abc", P1="5", P2="p", P3="01.50")
    assert found.name == "abc of /current/p"
    (only,) = found.steps
    assert only.script.actions.onRun.command == "{{Param.P0}}"
    assert isinstance(only.hostRequirements, HostRequirements)
    assert only.hostRequirements.amounts[0] == ("amount.abc", Decimal("1.50"), Decimal(9))
    assert only.hostRequirements.attributes[0].anyOf == ("abc",)
    assert only.parameterSpace is not None
    ranges = {n: list(p.range) for n, p in only.parameterSpace.taskParameterDefinitions.items()}
    assert ranges["A"] == ["5", "7", "3"]
    assert ranges["B"] == ["1.50", "2.50", "1e+22"]
    assert ranges["C"] == ["/current/p/x"]
    assert ranges["D"] == [1, 3, 5]
    chunks = only.parameterSpace.taskParameterDefinitions["E"].chunks
    assert chunks is not None
    assert chunks.defaultTaskCount == 5
    assert found.parameters["P3"].value == "01.50"
    assert found.extensions == ("FEATURE_BUNDLE_1", "TASK_CHUNKING")


_SPACE = "steps[0].parameterSpace"
_TASK = f"{_SPACE}.taskParameterDefinitions[0]"
_HOST = "steps[0].hostRequirements"


@pytest.mark.parametrize(
    ("template", "value", "where"),
    [
        (job(name="{{Param.P0}}"), "", ["name"]),
        (job(name="{{Param.P0}}"), "n" * 129, ["name"]),
        (job(name="{{Param.P0}}"), "a\nb", ["name"]),
        (space(task(values="1-{{Param.P0}}")), "0", [f"{_TASK}.range"]),
        (space(task(values="1-{{Param.P0}}")), "x", [f"{_TASK}.range"]),
        (space(task(values=[1, "{{Param.P0}}"])), "x", [f"{_TASK}.range[1]"]),
        (space(task(kind="FLOAT", values=["{{Param.P0}}"])), "x", [f"{_TASK}.range[0]"]),
        (space(task(kind="PATH", values=["{{Param.P0}}"])), "", [f"{_TASK}.range[0]"]),
        (space(task(kind="STRING", values=["{{Param.P0}}" * 2])), "x" * 513, [f"{_TASK}.range[0]"]),
        (
            space(task("A"), task("B", values="1-{{Param.P0}}"), combination="(A, B)"),
            "4",
            [f"{_SPACE}.combination"],
        ),
        (
            bundle(space(chunked(defaultTaskCount="{{Param.P0}}")), "TASK_CHUNKING"),
            "0",
            [f"{_TASK}.chunks.defaultTaskCount"],
        ),
        (
            bundle(step(hostRequirements={"amounts": [amount(min="{{Param.P0}}", max=2)]})),
            "3",
            [f"{_HOST}.amounts[0].max"],
        ),
        (
            bundle(step(hostRequirements={"amounts": [amount(max="{{Param.P0}}")]})),
            "0",
            [f"{_HOST}.amounts[0].max"],
        ),
        (
            step(
                hostRequirements={
                    "amounts": [amount("amount.{{Param.P0}}", min=1), amount("amount.x", min=1)]
                }
            ),
            "X",
            [f"{_HOST}.amounts[1].name"],
        ),
        (
            step(hostRequirements={"amounts": [amount("{{Param.P0}}", min=1)]}),
            "a" * 101,
            [f"{_HOST}.amounts[0].name"],
        ),
        (
            step(
                hostRequirements={
                    "attributes": [{"name": "attr.worker.os.family", "allOf": ["{{Param.P0}}"]}]
                }
            ),
            "beos",
            [f"{_HOST}.attributes[0].allOf[0]"],
        ),
    ],
)
def test_what_parameters_must_not_make_of_a_template(
    template: dict[str, Any], value: str, where: list[str]
) -> None:
    template = template | {"parameterDefinitions": [{"name": "P0", "type": "STRING"}]}
    with pytest.raises(DecodeValidationError) as caught:
        made(template, P0=value)
    assert places(caught.value) == where


def test_a_job_can_be_made_without_looking_at_values_before() -> None:
    template = decode_job_template(template=parameter("INT", default=3) | {"name": "{{Param.P}}"})
    assert create_job(job_template=template, job_parameter_values={}).name == "3"
    given = {"P": ParameterValue(ParameterValueType.INT, "x")}
    with pytest.raises(DecodeValidationError):
        create_job(job_template=template, job_parameter_values=given)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("02.50", "2.50"),
        ("007", "7"),
        ("000", "0"),
        ("0.50", "0.50"),
        ("-0.00", "0.00"),
        ("-01", "-1"),
        (" +5 ", "+5"),
    ],
)
def test_numbers_keep_what_was_written(written: str, kept: str) -> None:
    assert number_text(written) == kept


def test_steps_come_after_those_that_they_depend_on() -> None:
    found = made(steps("A", "B", "C", "D", "E", A=["D"], D=["C", "E"]))
    graph = StepDependencyGraph(job=found)
    assert [s.name for s in graph.topo_sorted()] == ["C", "E", "D", "A", "B"]
    assert [s.name for s in graph.needed_for(stepname="D")] == ["C", "E", "D"]
    node = graph.step_node(stepname="D")
    assert (node.step.name, node.origins, node.dependents) == ("D", ("C", "E"), ("A",))


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), unique=True, max_size=4), max_size=10))
def test_an_order_is_found_unless_there_is_a_circle(drawn: dict[int, list[int]]) -> None:
    graph = {str(name): [str(other) for other in found if other in drawn] for name, found in drawn.items()}
    circles = list(cycles(graph))
    for circle in circles:
        assert circle[0] == circle[-1]
        assert all(after in graph[before] for before, after in pairwise(circle))
    if circles:
        with pytest.raises(ValueError, match="circle"):
            ordered(graph)
        return
    order = ordered(graph)
    assert sorted(order) == sorted(graph)
    for name, found in graph.items():
        assert all(order.index(other) < order.index(name) for other in found)
