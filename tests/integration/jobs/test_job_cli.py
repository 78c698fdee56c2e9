"""``osbuild-core job check``, ``summary`` and ``schema`` as the openjd command's callers use them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.integration.core_cli.conftest import Cli
from tests.integration.jobs.openjd import interpreter
from tests.unit.exports.jobs.cases import SCRIPT, bundle, chunked, job, outer, parameter, steps, task

TEMPLATE = bundle(
    job(
        name="Render {{Param.Scene}}",
        parameterDefinitions=[
            {"name": "Scene", "type": "STRING", "default": "one", "description": "what to render"},
            {"name": "Last", "type": "INT", "default": 100, "minValue": 1},
            {"name": "Out", "type": "PATH", "default": "out"},
        ],
        jobEnvironments=[{"name": "Tools", "variables": {"OUT": "{{Param.Out}}"}}],
        steps=[
            {
                "name": "Frames",
                "description": "every frame",
                "script": SCRIPT,
                "parameterSpace": {
                    "taskParameterDefinitions": [chunked("1-{{Param.Last}}"), task("L", "STRING", ["a", "b"])]
                },
            },
            {
                "name": "Film",
                "script": SCRIPT,
                "dependencies": [{"dependsOn": "Frames"}],
                "stepEnvironments": [{"name": "Codec", "variables": {"A": "1"}}],
            },
        ],
    ),
    "TASK_CHUNKING",
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def write(cli: Cli, template: object, name: str = "t.yaml") -> str:
    text = json.dumps(template) if name.endswith(".json") else yaml.safe_dump(template, sort_keys=False)
    (cli.directory / name).write_text(text)
    return name


def refused(cli: Cli, *arguments: str) -> dict[str, Any]:
    """Return what a command that fails prints with ``--output json``."""
    done = cli.run("job", *arguments, "--output", "json")
    assert (done.returncode, done.stderr) == (1, "")
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["status"] == "error"
    return result


@pytest.mark.parametrize("name", ["t.yaml", "t.json", "template without a suffix"])
def test_a_template_that_is_right(cli: Cli, name: str) -> None:
    done = cli.run("job", "check", write(cli, TEMPLATE, name))
    message = f"Template at '{name}' passes validation checks."
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{message}\n", "")
    for output, load in (("json", json.loads), ("yaml", yaml.safe_load)):
        done = cli.run("job", "check", name, "--output", output)
        assert load(done.stdout) == {"status": "success", "message": message}


def test_environment_templates_are_checked_too(cli: Cli) -> None:
    assert cli.run("job", "check", write(cli, outer())).returncode == 0
    done = cli.run("job", "summary", "t.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "error: t.yaml: specificationVersion: this is the version of an environment"
    )


def test_everything_that_is_wrong_has_its_line(cli: Cli) -> None:
    template = steps("A", "B", A=["B"], B=["A"]) | {"nmae": 1, "description": ""}
    done = cli.run("job", "check", write(cli, template))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: t.yaml: nmae: there is no such key (did you mean 'name'?)",
        "error: t.yaml: description: it is empty",
        "error: t.yaml: steps[0].dependencies: steps depend on each other in a circle: A -> B -> A",
    ]
    errors = refused(cli, "check", "t.yaml")["errors"]
    assert [(e["code"], e["path"]) for e in errors] == [
        ("job.key", ["nmae"]),
        ("job.length", ["description"]),
        ("job.cycle", ["steps", 0, "dependencies"]),
    ]
    done = cli.run("job", "check", "t.yaml", "--output", "yaml")
    assert yaml.safe_load(done.stdout)["errors"] == errors


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("none.yaml", None, "cannot read none.yaml: No such file or directory"),
        (
            "t.yaml",
            "a: b: c",
            "t.yaml: line 1, column 5: it is not YAML: mapping values are not allowed in this context",
        ),
        (
            "t.json",
            "{",
            "t.json: it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ("t.yaml", "", "t.yaml: it has to be a mapping, not empty"),
        (
            "t.yaml",
            "a: 1",
            "t.yaml: specificationVersion is missing (there are: jobtemplate-2023-09, environment-2023-09)",
        ),
    ],
)
def test_what_is_no_template_at_all(cli: Cli, name: str, text: str | None, line: str) -> None:
    if text is not None:
        (cli.directory / name).write_text(text)
    done = cli.run("job", "check", name)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {line}\n")
    assert refused(cli, "check", name)["message"] == line


def test_names_cannot_write_on_the_terminal(cli: Cli) -> None:
    done = cli.run("job", "check", write(cli, job(**{"\x1b[2J\nerror: x": 1})))
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_only_the_extensions_that_are_accepted(cli: Cli) -> None:
    write(cli, TEMPLATE)
    assert cli.run("job", "check", "t.yaml", "--extensions", "task_chunking, EXPR").returncode == 0
    errors = refused(cli, "check", "t.yaml", "--extensions", "")["errors"]
    assert errors[0]["path"] == ["extensions", 0]
    message = refused(cli, "check", "t.yaml", "--extensions", "TASK_CHUNK")["message"]
    assert message == "there is no extension 'TASK_CHUNK' (did you mean 'TASK_CHUNKING'?)"


def test_an_extension_that_needs_openjd_model_says_so(cli: Cli) -> None:
    (error,) = refused(cli, "check", write(cli, bundle(job(name="{{ 1 + 1 }}"), "EXPR")))["errors"]
    assert (error["code"], error["path"]) == ("job.extension", ["extensions", 0])
    assert error["hint"] == "pip install openjd-model"


def test_the_summary_has_what_openjd_prints(cli: Cli) -> None:
    write(cli, TEMPLATE)
    (cli.directory / "values.yaml").write_text("Last: 7\nScene: two\n")
    arguments = [
        "summary",
        "t.yaml",
        "-p",
        "file://values.yaml",
        "--job-param",
        '{"Scene": "three"}',
        "--output",
        "json",
    ]
    ours = cli.run("job", *arguments)
    openjd = interpreter().with_name("openjd")
    theirs = subprocess.run(
        [openjd, *arguments], cwd=cli.directory, capture_output=True, text=True, check=True
    )
    assert json.loads(ours.stdout) == json.loads(theirs.stdout)
    arguments[2:2] = ["--step", "Frames"]
    ours = cli.run("job", *arguments)
    theirs = subprocess.run(
        [openjd, *arguments], cwd=cli.directory, capture_output=True, text=True, check=True
    )
    # There, what is nothing is left out, the number 0 too.
    assert json.loads(ours.stdout) == {"total_environments": 0} | json.loads(theirs.stdout)


def test_the_summary_as_people_read_it(cli: Cli) -> None:
    write(cli, TEMPLATE)
    done = cli.run("job", "summary", "t.yaml", "-p", "Last=7", "-p", "Out=sub", "-p", "Scene=a=b")
    assert (
        done.stdout
        == f"""\
Job: Render a=b
Parameters:
  Scene (STRING): a=b
  Last (INT): 7
  Out (PATH): {cli.directory}/sub
Total steps: 2
Total tasks: 15
Total environments: 2
Environment Tools

1. Frames: 14 tasks
   task parameter C (CHUNK[INT])
   task parameter L (STRING)

2. Film: 1 task
   after Frames
   in the environment Codec
"""
    )
    done = cli.run("job", "summary", "t.yaml", "--step", "Film")
    assert done.stdout == "Film: 1 task\n   after Frames\n   in the environment Codec\n"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-p", "Last=0"], ["t.yaml: Last: 0 is less than minValue (1)"]),
        (
            ["-p", "Lst=3", "-p", "Last=x"],
            [
                "t.yaml: Lst: there is no such parameter (did you mean 'Last'?)",
                "t.yaml: Last: it has to be a whole number, not 'x'",
            ],
        ),
        (
            ["-p", "Last"],
            ["""--job-param 'Last' has no value (NAME=VALUE, file://FILE or {"NAME": "VALUE"})"""],
        ),
        (
            ["-p", '{"a"}'],
            ["--job-param: it is not JSON: Expecting ':' delimiter: line 1 column 5 (char 4)"],
        ),
        (["-p", "file://none"], ["cannot read none: No such file or directory"]),
        (["-p", "file://t.yaml"], ["t.yaml: {name}: there is no such parameter"]),
        (["--step", "Frame"], ["the job 'Render one' has no step 'Frame' (did you mean 'Frames'?)"]),
    ],
)
def test_values_that_do_not_fit(cli: Cli, arguments: list[str], lines: list[str]) -> None:
    write(cli, TEMPLATE)
    done = cli.run("job", "summary", "t.yaml", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    if "file://t.yaml" in arguments:
        # A template is a mapping as well.
        assert [line.split(": ")[2] for line in done.stderr.splitlines()] == list(TEMPLATE)
    else:
        assert done.stderr.splitlines() == [f"error: {line}" for line in lines]


def test_a_default_path_outside_of_the_template_is_refused(cli: Cli) -> None:
    (error,) = refused(cli, "summary", write(cli, parameter("PATH", default="../x")))["errors"]
    assert (error["code"], error["path"]) == ("job.path", ["P"])


@pytest.mark.parametrize("version", ["jobtemplate-2023-09", "environment-2023-09"])
def test_the_schema_is_one(cli: Cli, version: str) -> None:
    schema = json.loads(cli.run("job", "schema", "--version", version).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    done = cli.run("job", "schema", "--version", version, "--output", "json")
    result = json.loads(done.stdout)
    assert (result["status"], json.loads(result["message"])) == ("success", schema)


def test_a_traceback_only_for_those_who_ask(cli: Cli) -> None:
    write(cli, job(name=""))
    assert "Traceback" not in cli.run("job", "check", "t.yaml").stderr
    asked = cli.run("--debug", "job", "check", "t.yaml").stderr
    assert "Traceback" in asked
    assert asked.splitlines()[-1] == "error: t.yaml: name: it is empty"


def test_wrong_options_are_a_usage_error(cli: Cli) -> None:
    for arguments in (
        ["check"],
        ["check", "a", "b"],
        ["schema"],
        ["schema", "--version", "1"],
        ["chek", "a"],
    ):
        done = cli.run("job", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'check'?" in done.stderr


def test_a_check_imports_neither_pydantic_nor_what_runs_jobs(cli: Cli) -> None:
    write(cli, TEMPLATE)
    done = cli.run("job", "check", "t.yaml", env=cli.environment | {"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "osbuild_core.exports.jobs.decode" in imported
    slow = {
        "pydantic",
        "jsonschema",
        "rich",
        "asyncio",
        "logging",
        "decimal",
        "subprocess",
        "osbuild_core.engine",
    }
    assert not imported & slow
