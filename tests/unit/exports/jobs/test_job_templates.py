"""What is right and what is wrong with a template, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osbuild_core.exports.jobs.decode import (
    decode_any_template,
    decode_environment_template,
    decode_job_template,
)
from osbuild_core.exports.jobs.errors import DecodeValidationError
from osbuild_core.exports.jobs.job import (
    Action,
    CancelationMethodNotifyThenTerminate,
    EmbeddedFileText,
    StepActions,
    StepScript,
)
from osbuild_core.exports.jobs.schema import template_schema
from osbuild_core.model.errors import place_text
from tests.unit.exports.jobs.cases import CASES, SCRIPT, Case, bundle, job, outer, parameter, step


def refusal(template: object, extensions: tuple[str, ...] | None = None) -> DecodeValidationError:
    with pytest.raises(DecodeValidationError) as caught:
        decode_any_template(template=template, supported_extensions=extensions)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_mistake_is_found_at_its_place(case: Case) -> None:
    try:
        decode_any_template(template=case.template, supported_extensions=case.extensions)
        found: tuple[str, ...] = ()
    except DecodeValidationError as error:
        found = tuple(place_text(issue.path) for issue in error.issues)
    assert found == case.paths


def test_names_of_cases_are_their_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("version", ["jobtemplate-2023-09", "environment-2023-09"])
def test_the_schema_accepts_what_is_right(version: str) -> None:
    schema = template_schema(version)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    accepted = refused = 0
    for case in CASES:
        if case.template.get("specificationVersion") != version or "null" in case.name:
            continue
        if not case.paths:
            assert validator.is_valid(case.template), case.id
            accepted += 1
        refused += not validator.is_valid(case.template)
    assert accepted > 1
    assert refused > 1


@pytest.mark.parametrize("template", [None, [], "text", 5, {}, {"specificationVersion": []}, {1: 2}])
def test_what_is_no_template_has_one_reason(template: object) -> None:
    assert len(refusal(template).issues) == 1


def test_a_template_of_the_other_kind_is_named() -> None:
    with pytest.raises(DecodeValidationError, match="version of an environment template"):
        decode_job_template(template=outer())
    with pytest.raises(DecodeValidationError, match="version of a job template"):
        decode_environment_template(template=job())


def test_keys_that_are_no_strings_are_refused_wherever_they_are() -> None:
    assert [i.code for i in refusal(job() | {5: 6}).issues] == ["job.key"]
    assert refusal(job(jobEnvironments=[{"name": "E", "variables": {5: "a"}}])).issues[0].path[-1] == "5"


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        (job(desciption="x"), "did you mean 'description'?"),
        (parameter("int"), "did you mean 'INT'?"),
        (bundle(job(), "TASK_CHUNKNG"), "did you mean 'TASK_CHUNKING'?"),
        (parameter("INT") | {"name": "{{Parm.P}}"}, "did you mean 'Param.P'?"),
        (parameter("PATH") | {"name": "{{Param.P}}"}, "RawParam.P is the path as it was given"),
        (step(script={"actions": {"onRun": {"command": "a", "args": [1]}}}), 'write "1"'),
        (job(name="n" * 200), "with the extension FEATURE_BUNDLE_1 it may have 512"),
        (
            step(python={"script": "1"}) | {"steps": [{"name": "A", "python": {"script": "1"}}]},
            "extensions: [FEATURE_BUNDLE_1]",
        ),
    ],
)
def test_what_to_do_is_said(template: dict[str, object], hint: str) -> None:
    assert hint in [issue.hint for issue in refusal(template).issues]


def test_a_circle_of_steps_is_shown_with_the_way_around_it() -> None:
    steps = [
        {"name": name, "script": SCRIPT, "dependencies": [{"dependsOn": other}]}
        for name, other in [("A", "B"), ("B", "C"), ("C", "B"), ("D", "E"), ("E", "D")]
    ]
    messages = [issue.message for issue in refusal(job(steps=steps)).issues]
    assert [message.rpartition(": ")[2] for message in messages] == ["B -> C -> B", "D -> E -> D"]


def test_a_long_chain_of_steps_is_no_circle() -> None:
    steps = [{"name": "S0", "script": SCRIPT}] + [
        {"name": f"S{n}", "script": SCRIPT, "dependencies": [{"dependsOn": f"S{n - 1}"}]}
        for n in range(1, 3000)
    ]
    assert len(decode_job_template(template=job(steps=steps[::-1])).steps) == 3000


def test_all_of_many_mistakes_are_told_at_once() -> None:
    broken = {"name": 5, "script": {"actions": {"onRun": {"command": "", "args": [3], "timeout": -1}}}}
    template = job(
        name="", description=7, steps=[broken, {"name": "B"}, 5], parameterDefinitions=[{}, {"type": "X"}]
    )
    assert len(refusal(template).issues) == 10


def test_defaults_and_types_of_what_is_read() -> None:
    template = decode_job_template(
        template=job(
            parameterDefinitions=[{"name": "N", "type": "INT", "default": "7"}],
            steps=[
                {
                    "name": "A",
                    "script": {
                        "actions": {
                            "onRun": {
                                "command": "run",
                                "args": ["{{Param.N}}"],
                                "timeout": "9",
                                "cancelation": {"mode": "NOTIFY_THEN_TERMINATE"},
                            }
                        }
                    },
                }
            ],
        )
    )
    (definition,) = template.parameterDefinitions
    assert definition.default == 7
    action = template.steps[0].script.actions.onRun
    assert action.args[0].resolve({"Param.N": "8"}) == "8"
    assert (action.timeout, action.cancelation) == (9, CancelationMethodNotifyThenTerminate())
    assert template.steps[0].stepEnvironments == template.jobEnvironments == template.extensions == ()


def test_a_script_of_one_file_is_a_script() -> None:
    template = bundle(job(steps=[{"name": "A", "powershell": {"script": "x", "args": ["y"], "timeout": 3}}]))
    script = decode_job_template(template=template).steps[0].script
    file = EmbeddedFileText("Script", "x", "script.ps1", True)  # type: ignore[arg-type]
    action = Action("powershell", ("-File", "{{Task.File.Script}}", "y"), 3)  # type: ignore[arg-type]
    assert script == StepScript(StepActions(action), (file,))
    assert action.args[1] == script.actions.onRun.args[1]
    assert script.actions.onRun.args[1].resolve({"Task.File.Script": "/s"}) == "/s"


JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        float("nan"),
        "",
        "{{",
        "{{Param.P}}",
        "\ud800",
        "x" * 3000,
        [],
        [[]],
        {},
        {"": 1},
        {1: 2},
        [None],
    ]
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in ``value``."""
    yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield from spots(member, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return ``value`` with ``by`` at ``path``."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_nothing_that_a_document_may_have_is_a_bug(data: st.DataObject) -> None:
    template = data.draw(st.sampled_from([case.template for case in CASES]))
    for _ in range(data.draw(st.integers(1, 3))):
        template = replaced(template, data.draw(st.sampled_from(list(spots(template)))), data.draw(JUNK))
    try:
        decode_any_template(template=template)
    except DecodeValidationError as error:
        assert error.issues
        assert all(issue.code.startswith("job.") for issue in error.issues)
        str(error)
