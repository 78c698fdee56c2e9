"""openjd-model and we say the same about every template; where not, the table says why."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.jobs.create import create_job
from osbuild_core.exports.jobs.decode import decode_any_template, decode_job_template
from osbuild_core.exports.jobs.errors import DecodeValidationError
from osbuild_core.exports.jobs.job import model_to_object
from osbuild_core.exports.jobs.parameters import preprocess_job_parameters
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from tests.integration.jobs.openjd import ask
from tests.unit.exports.jobs.cases import (
    CASES,
    SUPPORTED,
    bundle,
    chunked,
    job,
    parameter,
    space,
    task,
)

VERDICTS = """
import json, sys
from openjd.model import decode_environment_template, decode_job_template
verdicts = []
for template, extensions in json.load(sys.stdin):
    outer = str(template.get("specificationVersion")).startswith("environment")
    decode = decode_environment_template if outer else decode_job_template
    try:
        decode(template=template, supported_extensions=extensions)
        verdicts.append("right")
    except Exception as error:
        verdicts.append(f"{type(error).__name__}: {error}")
json.dump(verdicts, sys.stdout)
"""

TASKS = """
import json, sys
from openjd.model import StepParameterSpaceIterator, create_job, decode_job_template
found = []
for template, size in json.load(sys.stdin):
    try:
        made = decode_job_template(template=template, supported_extensions=["TASK_CHUNKING"])
        made = create_job(job_template=made, job_parameter_values={})
        tasks = StepParameterSpaceIterator(
            space=made.steps[0].parameterSpace, chunks_task_count_override=size
        )
        # Not list(tasks): that asks for a length, which is an error where chunks are adaptive.
        found.append([{name: v.value for name, v in sorted(t.items())} for t in tasks])
    except Exception as error:
        found.append(None)
json.dump(found, sys.stdout)
"""

JOBS = """
import json, pathlib, sys
from openjd.model import create_job, decode_job_template, model_to_object, preprocess_job_parameters
found = []
for template, values in json.load(sys.stdin):
    try:
        decoded = decode_job_template(template=template, supported_extensions=["FEATURE_BUNDLE_1"])
        given = preprocess_job_parameters(
            job_template=decoded, job_parameter_values=values,
            job_template_dir=pathlib.Path("/templates"), current_working_dir=pathlib.Path("/current"),
        )
        made = create_job(job_template=decoded, job_parameter_values=given)
        found.append({name: value.value for name, value in given.items()} | {"": made.name})
    except ValueError as error:
        found.append(None)
json.dump(found, sys.stdout)
"""

HANDED_OVER = """
import json, sys
from osbuild_core.exports.jobs import create_job, decode_job_template, preprocess_job_parameters
from osbuild_core.exports.jobs import DecodeValidationError
from osbuild_core.exports.jobs.parameters import preprocess_job_parameters
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from pathlib import Path
good, bad = json.load(sys.stdin)
template = decode_job_template(template=good)
values = preprocess_job_parameters(
    job_template=template, job_parameter_values={"N": "4"},
    job_template_dir=Path("/t"), current_working_dir=Path("/w"),
)
made = create_job(job_template=template, job_parameter_values=values)
steps = [step.name for step in made.foreign.steps]
try:
    decode_job_template(template=bad)
    issues = None
except DecodeValidationError as error:
    issues = [[list(issue.path), issue.message] for issue in error.issues]
json.dump({"name": made.name, "steps": steps, "extensions": template.extensions, "issues": issues}, sys.stdout)
"""


def ours(template: dict[str, Any], extensions: tuple[str, ...]) -> bool:
    try:
        decode_any_template(template=template, supported_extensions=extensions)
        return True
    except DecodeValidationError:
        return False


def test_the_verdict_is_the_same_on_every_template_but_those_that_are_listed() -> None:
    verdicts = ask(VERDICTS, [(case.template, case.extensions) for case in CASES])
    surprises = []
    for case, verdict in zip(CASES, verdicts, strict=True):
        same = ours(case.template, case.extensions) == (verdict == "right")
        if same != (case.differs is None):
            surprises.append(f"{case.id}: openjd-model says: {verdict}")
    assert not surprises, "\n".join(surprises)


def spaces_of(seed: int) -> list[tuple[dict[str, Any], int | None]]:
    """Return parameter spaces of all kinds, each with a size for its chunks."""
    chance = random.Random(seed)

    def ranges() -> str:
        parts, at = [], chance.randint(-5, 5)
        for _ in range(chance.randint(1, 4)):
            size, pace = chance.choice([0, 1, 2, 5, 9]), chance.choice(["", "", ":1", ":2", ":3"])
            parts.append(f"{at}-{at + size}{pace}" if size else str(at))
            at += size + chance.choice([1, 1, 2, 4])
        chance.shuffle(parts)
        return ", ".join(parts)

    found = []
    for _ in range(300):
        names = list("ABCD")[: chance.randint(1, 4)]
        with_chunks = chance.random() < 0.5
        parameters = []
        for name in names:
            if with_chunks and name == "A":
                values: Any = chance.choice([ranges(), [chance.randint(0, 6) for _ in range(5)]])
                more = {"targetRuntimeSeconds": chance.choice([0, 5])} if chance.random() < 0.4 else {}
                kind = chance.choice(["CONTIGUOUS", "NONCONTIGUOUS"])
                parameters.append(
                    chunked(values, name, defaultTaskCount=chance.randint(1, 5), rangeConstraint=kind, **more)
                )
            else:
                values = chance.choice(
                    [("INT", ranges()), ("STRING", ["x", "y"]), ("FLOAT", [1.5, "02.50", "-0"])]
                )
                parameters.append(task(name, *values))
        free = [name for name in names if not (with_chunks and name == "A")]
        terms = list(names)
        if len(free) > 1 and chance.random() < 0.5:
            terms = [f"({free[0]}, {free[1]})", *(name for name in names if name not in free[:2])]
        chance.shuffle(terms)
        combination = chance.choice([None, " * ".join(terms)])
        template = bundle(space(*parameters, combination=combination), "TASK_CHUNKING")
        found.append((template, chance.choice([None, None, 1, 3])))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_the_tasks_are_the_same_in_the_same_order(seed: int) -> None:
    templates = spaces_of(seed)
    made = 0
    for (template, size), expected in zip(templates, ask(TASKS, templates), strict=True):
        try:
            decoded = decode_job_template(template=template)
            step = create_job(job_template=decoded, job_parameter_values={}).steps[0]
        except DecodeValidationError:
            assert expected is None, template
            continue
        tasks = StepParameterSpaceIterator(space=step.parameterSpace, chunks_task_count_override=size)
        found = [{name: value.value for name, value in sorted(point.items())} for point in tasks]
        assert found == expected, template
        made += 1
    assert made > 200


VALUES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    (parameter("INT"), {"P": "5"}),
    (parameter("INT"), {"P": 5}),
    (parameter("INT"), {"P": "five"}),
    (parameter("INT"), {"P": True}),
    (parameter("INT", minValue=3), {"P": "2"}),
    (parameter("INT", allowedValues=[1, 2]), {"P": "2"}),
    (parameter("INT", allowedValues=[1, 2]), {"P": "3"}),
    (parameter("INT"), {}),
    (parameter("INT", default="007"), {}),
    (parameter("INT", default=1), {"Q": 1}),
    (parameter("FLOAT", default=1.5), {}),
    (parameter("FLOAT", maxValue="1.5"), {"P": "1.50"}),
    (parameter("FLOAT"), {"P": "much"}),
    (parameter("STRING", minLength=2), {"P": "a"}),
    (parameter("STRING"), {"P": 5}),
    (parameter("STRING"), {"P": ""}),
    (parameter("PATH"), {"P": "a/b"}),
    (parameter("PATH"), {"P": "/a/b"}),
    (parameter("PATH"), {"P": ""}),
    (parameter("PATH", default="a/../b"), {}),
    (parameter("PATH", default="../a"), {}),
    (parameter("PATH", default="/a"), {}),
    (parameter("PATH", default=""), {}),
    (parameter("STRING") | {"name": "{{Param.P}}"}, {"P": "a"}),
    (parameter("STRING") | {"name": "{{Param.P}}"}, {"P": ""}),
    (parameter("STRING") | {"name": "{{Param.P}}"}, {"P": "a" * 129}),
    (parameter("STRING") | {"name": "{{Param.P}}"}, {"P": "a\nb"}),
    (bundle(parameter("STRING") | {"name": "{{Param.P}}"}), {"P": "a" * 129}),
)


def test_values_of_parameters_become_the_same() -> None:
    for (template, values), expected in zip(VALUES, ask(JOBS, VALUES), strict=True):
        assert made(template, values) == expected, (template["parameterDefinitions"], values)


def made(template: dict[str, Any], values: dict[str, Any]) -> dict[str, str] | None:
    decoded = decode_job_template(template=template)
    try:
        given = preprocess_job_parameters(
            job_template=decoded,
            job_parameter_values=values,
            job_template_dir=Path("/templates"),
            current_working_dir=Path("/current"),
        )
        name = create_job(job_template=decoded, job_parameter_values=given).name
    except DecodeValidationError:
        return None
    return {name: value.value for name, value in given.items()} | {"": name}


def test_templates_with_expressions_are_handed_over() -> None:
    good = bundle(parameter("INT") | {"name": "twice {{ Param.N * 2 }}"}, "EXPR")
    good["parameterDefinitions"][0]["name"] = "N"
    bad = bundle(job(name="{{ Param.N * }}", description=5), "EXPR")
    found = ask(HANDED_OVER, [good, bad])
    assert (found["name"], found["steps"], found["extensions"]) == ("twice 8", ["Only"], ["EXPR"])
    assert [path for path, _ in found["issues"]].count(["description"]) == 1
    assert len(found["issues"]) > 1


def test_jobs_have_the_same_members() -> None:
    script = """
import json, sys
from openjd.model import create_job, decode_job_template, model_to_object
template, extensions = json.load(sys.stdin)
made = decode_job_template(template=template, supported_extensions=extensions)
print(json.dumps(model_to_object(model=create_job(job_template=made, job_parameter_values={})), default=str))
"""
    template = bundle(
        job(
            description="all",
            parameterDefinitions=[{"name": "P", "type": "INT", "default": 2, "description": "number"}],
            jobEnvironments=[
                {
                    "name": "E",
                    "variables": {"A": "{{Param.P}}"},
                    "script": {
                        "actions": {"onEnter": {"command": "a", "timeout": 3}, "onExit": {"command": "b"}},
                        "embeddedFiles": [
                            {"name": "F", "type": "TEXT", "data": "d", "filename": "f", "runnable": True}
                        ],
                    },
                }
            ],
            steps=[
                {
                    "name": "A",
                    "description": "first",
                    "hostRequirements": {
                        "amounts": [{"name": "amount.worker.vcpu", "min": "{{Param.P}}", "max": 4}],
                        "attributes": [{"name": "attr.worker.os.family", "anyOf": ["linux"]}],
                    },
                    "parameterSpace": {
                        "taskParameterDefinitions": [
                            task("X", "STRING", ["{{Param.P}}", "y"]),
                            chunked("1-{{Param.P}}", "Y", targetRuntimeSeconds=5),
                        ],
                        "combination": "X * Y",
                    },
                    "script": {
                        "actions": {
                            "onRun": {
                                "command": "c",
                                "args": ["{{Task.Param.X}}"],
                                "timeout": "{{Param.P}}",
                                "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 5},
                            }
                        }
                    },
                },
                {
                    "name": "B",
                    "dependencies": [{"dependsOn": "A"}],
                    "script": {"actions": {"onRun": {"command": "d"}}},
                },
            ],
        ),
        *SUPPORTED,
    )
    found = model_to_object(
        create_job(job_template=decode_job_template(template=template), job_parameter_values={})
    )
    assert found == ask(script, [template, SUPPORTED])
