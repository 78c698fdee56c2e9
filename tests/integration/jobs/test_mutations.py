"""openjd-model and we say the same about templates that were changed in one place, and make the same jobs of them."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.jobs.create import create_job
from osbuild_core.exports.jobs.decode import decode_any_template
from osbuild_core.exports.jobs.errors import DecodeValidationError
from osbuild_core.exports.jobs.job import model_to_object
from osbuild_core.exports.jobs.parameters import preprocess_job_parameters
from osbuild_core.exports.jobs.space import StepParameterSpaceIterator
from osbuild_core.exports.jobs.template import EnvironmentTemplate
from osbuild_core.model.errors import place_text
from tests.integration.jobs.mutations import EXTENSIONS, mutations
from tests.integration.jobs.openjd import ask

COUNT = 400
"""Templates that openjd-model is asked about at once."""

SOAK_ROUNDS = 25
TASKS = 40
"""Tasks of a step that are compared."""

JOBS = """
import json, pathlib, sys
from itertools import islice
from openjd.model import (
    StepParameterSpaceIterator, create_job, decode_environment_template, decode_job_template, model_to_object,
    preprocess_job_parameters,
)
templates, extensions, count = json.load(sys.stdin)
found = []
for template in templates:
    outer = str(template.get("specificationVersion")).startswith("environment")
    decode = decode_environment_template if outer else decode_job_template
    reason = made = None
    try:
        decoded = decode(template=template, supported_extensions=extensions)
        right = True
    except Exception as error:
        right, reason = False, f"{type(error).__name__}: {error}"
    if right and not outer:
        try:
            values = preprocess_job_parameters(
                job_template=decoded, job_parameter_values={},
                job_template_dir=pathlib.Path("/templates"), current_working_dir=pathlib.Path("/current"),
            )
            job = create_job(job_template=decoded, job_parameter_values=values)
            spaces = [StepParameterSpaceIterator(space=step.parameterSpace) for step in job.steps]
            tasks = [[{n: v.value for n, v in t.items()} for t in islice(space, count)] for space in spaces]
            made = [json.loads(json.dumps(model_to_object(model=job), default=str)), tasks]
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
    found.append([right, made, reason])
json.dump(found, sys.stdout)
"""

JUSTIFIED = (
    # What ours says, at which places: the table in docs/jobs.md says why.
    r"a whole number, not (a boolean|'[^']*\.0+ ?'|'.*_.*')",
    r"at (most|least) -?9223372036854775807|9223372036854775808",
    r"combination: (there is no parameter|'.*' is missing|the terms of .* need as many values)",
    r"it needs (min, max|anyOf, allOf|amounts, attributes|onEnter, onExit|a script, variables).* or both",
    r"script is missing",
    r"it has to be a number, not 'inf'|'inf' |max: it is 0",
    r"is the name of a directory",
    r"it has \d+ characters, at most 1024",
)
"""Reasons for which we alone refuse a template."""


def ours(template: dict[str, Any]) -> tuple[bool, Any, list[str]]:
    try:
        decoded = decode_any_template(template=template, supported_extensions=EXTENSIONS)
    except DecodeValidationError as error:
        return False, None, [f"{place_text(i.path)}: {i.message}" for i in error.issues]
    if isinstance(decoded, EnvironmentTemplate):
        return True, None, []
    try:
        values = preprocess_job_parameters(
            job_template=decoded,
            job_parameter_values={},
            job_template_dir=Path("/templates"),
            current_working_dir=Path("/current"),
        )
        job = create_job(job_template=decoded, job_parameter_values=values)
    except DecodeValidationError as error:
        return True, None, [f"{place_text(i.path)}: {i.message}" for i in error.issues]
    spaces = [StepParameterSpaceIterator(space=step.parameterSpace) for step in job.steps]
    tasks = [[{n: v.value for n, v in t.items()} for t in islice(space, TASKS)] for space in spaces]
    return True, [json.loads(json.dumps(model_to_object(job), default=str)), tasks], []


def comparable(template: dict[str, Any], made: Any) -> Any:
    """Return a job and its tasks without what is of no meaning, or ours alone."""
    job, tasks = made
    for before, step in zip(template["steps"], job["steps"], strict=True):
        if before.get("script") is None:
            # The name of a file that nobody gave one.
            (file,) = step["script"]["embeddedFiles"]
            run = step["script"]["actions"]["onRun"]
            run["args"] = [
                word.replace(f"Task.File.{file['name']}}}", "Task.File.Script}") for word in run["args"]
            ]
            file.update(name="Script", filename=Path(file["filename"]).suffix)
    if re.search(r":\s*-", json.dumps([s.get("parameterSpace") for s in template["steps"]])):
        # The order of a range with a negative step.
        tasks = [sorted(each, key=json.dumps) for each in tasks]
    return [_plain(job, ""), tasks]


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        kept = {n: _plain(v, n) for n, v in value.items() if n != "dataFlow"}
        return {n: v for n, v in kept.items() if (n, v) != ("runnable", False)}
    if isinstance(value, list):
        return [str(item) if name == "range" else _plain(item, name) for item in value]
    return value


@pytest.mark.parametrize("rounds", [1, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)])
def test_templates_changed_in_one_place(rounds: int) -> None:
    for seed in range(rounds):
        compare(seed)


def compare(seed: int) -> None:
    changed = [(json.loads(json.dumps(template)), what) for template, what in mutations(seed, COUNT)]
    answers = ask(JOBS, [[template for template, _ in changed], EXTENSIONS, TASKS])
    surprises, same = [], 0
    for (template, what), (right, made, reason) in zip(changed, answers, strict=True):
        found, mine, issues = ours(template)
        if found != right or (mine is None) != (made is None):
            alone = [text for text in issues if not any(re.search(known, text) for known in JUSTIFIED)]
            crash = reason is not None and reason.startswith(("TypeError", "KeyError"))
            # A crash is no verdict; and it cannot make a job of a step whose name cannot be that of a file.
            if not crash and (alone or not (issues or "Task.File." in str(reason))):
                surprises.append(f"{what}: openjd-model says {reason}, we say {issues}")
        elif mine is not None:
            if comparable(template, mine) == comparable(template, made):
                same += 1
            else:
                surprises.append(f"{what}: another job")
    assert not surprises, "\n".join([f"seed {seed}", *surprises])
    assert same > COUNT / 16
