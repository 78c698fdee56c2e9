"""Stages of others: what they raise, write and print."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.foreign.conftest import Appliance, motd

pytestmark = pytest.mark.root

ANYTHING = {"options": {"additionalProperties": True}}
STAGE = """#!/usr/bin/python3
import os, sys
import osbuild.api

def main(args):
    {body}

if __name__ == "__main__":
    sys.exit(main(osbuild.api.arguments()))
"""


def stage(appliance: Appliance, body: str) -> dict[str, Any]:
    """Add a stage whose ``main`` is ``body`` and return it for a manifest."""
    appliance.add("stages/org.example.any", STAGE.format(body=body.replace("\n", "\n    ")), ANYTHING)
    return {"type": "org.example.any"}


def test_an_exception_has_type_value_and_traceback(appliance: Appliance) -> None:
    refuse = {"type": "org.example.refuse", "options": {"reason": "grün"}}
    done = appliance.osbuild(appliance.stages(motd(), refuse), "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["type"], document["success"]) == ("error", False)
    failed = document["error"]["details"]["stage"]
    assert failed["type"] == "org.example.refuse"
    data = failed["error"]["data"]
    assert failed["error"]["type"] == "exception"
    assert (data["type"], data["value"]) == ("PolicyError", "policy forbids this:\n  grün")
    assert "in check" in data["traceback"] and "raise PolicyError(" in data["traceback"]
    assert "checking the policy\n" in failed["output"]
    assert "PolicyError: policy forbids this:" in failed["output"]
    assert appliance.error(appliance.stages(motd(), refuse)) == (
        "stage.exception",
        "PolicyError: policy forbids this:",
    )


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("raise SystemExit('no way')", "stage.exit", "ended with status 1"),
        ("raise KeyboardInterrupt", "stage.", ""),
        (
            "import no_such_package",
            "stage.exception",
            "ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("from osbuild.util import no_such_part", "stage.exception", "ImportError: cannot import name"),
        ("raise type('Größe', (Exception,), {})('x' * 300000)", "stage.exception", "Größe: xxx"),
        ("raise ValueError(chr(0xdc80))", "stage.exception", "ValueError: "),
        ("return 'text'", "stage.exit", "ended with status 1"),
    ],
)
def test_a_stage_that_fails(appliance: Appliance, body: str, code: str, message: str) -> None:
    found, said = appliance.error(appliance.stages(stage(appliance, body)))
    assert found.startswith(code)
    assert said.startswith(message)


def test_metadata_may_be_large(appliance: Appliance) -> None:
    """As that of a stage that lists 100,000 files."""
    body = "osbuild.api.metadata({'files': {str(n): 'x' * 40 for n in range(100_000)}})"
    document = appliance.result(appliance.stages(stage(appliance, body), motd()))
    assert len(document["metadata"]["os"]["org.example.any"]["files"]) == 100_000
    again = appliance.result(appliance.stages(stage(appliance, body), motd()))
    assert again["metadata"] == document["metadata"]


def test_the_last_metadata_counts_and_none_is_none(appliance: Appliance) -> None:
    body = "osbuild.api.metadata({'a': 1, 'b': 'ü'})\nosbuild.api.metadata({'a': [None, 2.5]})"
    document = appliance.result(appliance.stages(motd(), stage(appliance, body)))
    assert document["metadata"] == {"os": {"org.example.any": {"a": [None, 2.5]}}}


def test_a_stage_that_fails_has_no_metadata(appliance: Appliance) -> None:
    body = "osbuild.api.metadata({'a': 1})\nreturn 1"
    done = appliance.osbuild(appliance.stages(stage(appliance, body)), "--json")
    assert done.returncode == 1
    assert "metadata" not in json.loads(done.stdout) or not json.loads(done.stdout)["metadata"]


def test_output_that_is_no_text(appliance: Appliance) -> None:
    body = (
        "os.write(1, b'\\xff\\xc3')\nos.write(1, b'\\xbc\\x00\\n')\n"
        "os.write(2, b'to the other\\n' * 2)\nsys.stdout.write('end')"
    )
    document = appliance.result(appliance.stages(stage(appliance, body)))
    noise = "appliance runner: warning: no seat found\n"
    assert (
        appliance.output_of(document, "org.example.any")
        == noise + "\ufffdü\0\nto the other\nto the other\nend"
    )


def test_a_stage_sees_what_osbuild_shows(appliance: Appliance) -> None:
    body = (
        "assert args['tree'] == '/run/osbuild/tree'\n"
        "places = {'devices': '/dev', 'inputs': '/run/osbuild/inputs', 'mounts': '/run/osbuild/mounts'}\n"
        "assert args['paths'] == places\n"
        "assert args['meta']['id'] and args['inputs'] == args['devices'] == args['mounts'] == {}\n"
        "assert os.environ['container'] == 'bwrap-osbuild' and os.environ['PYTHONPATH'] == '/run/osbuild/lib'\n"
        "assert sys.argv == ['/run/osbuild/bin/org.example.any']\n"
        "assert {'stages', 'inputs', 'osbuild'} <= set(os.listdir('/run/osbuild/lib'))\n"
        "assert open('/proc/cmdline').read().strip() == 'root=/dev/osbuild'\n"
        "assert sys.stdin.read() == ''"
    )
    appliance.result(appliance.stages(stage(appliance, body)))


def test_other_modules_of_the_library_are_beside_it(appliance: Appliance) -> None:
    (appliance.library / "stages" / "shared.py").write_text("TEXT = 'shared'\n")
    body = "sys.path.insert(0, '/run/osbuild/lib/stages')\nimport shared\nprint(shared.TEXT)"
    document = appliance.result(appliance.stages(stage(appliance, body)))
    assert appliance.output_of(document, "org.example.any").endswith("shared\n")


def test_a_stage_for_version_1_takes_no_inputs(appliance: Appliance) -> None:
    """As with osbuild: a module that only has a schema of version 1 has options, devices and mounts."""
    wrong = {**motd(), "inputs": {}}
    done = appliance.core(appliance.stages(wrong), "--json")
    assert done.returncode == 2
    assert "inputs" in done.stdout
    appliance.result(appliance.stages({**motd(), "devices": {}, "mounts": []}))


def test_version_1(appliance: Appliance) -> None:
    manifest = appliance.directory / "manifest.json"
    pipeline = {"stages": [{"name": "org.example.motd", "options": {"text": "one"}}]}
    manifest.write_text(json.dumps({"pipeline": pipeline}))
    done = appliance.osbuild(manifest, "--json", export="tree")
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    assert (stage["type"], stage["success"]) == ("org.example.motd", True)
    assert (appliance.output / "tree/etc/motd").read_text() == "appliance: one\n"


BROKEN = {
    "put together": ('SCHEMA = "" + x', "org.example.bad: SCHEMA in line 2 is put together by the program"),
    "no JSON": ("SCHEMA = '{'", "org.example.bad: SCHEMA is not JSON"),
    "no schema": ('SCHEMA = \'"type": "strange"\'', "org.example.bad"),
    "no pattern": ('SCHEMA = \'"properties": {"a": {"pattern": "("}}\'', "org.example.bad"),
    "no definition": ('SCHEMA = \'"properties": {"a": {"$ref": "#/definitions/none"}}\'', "org.example.bad"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_schema_is_an_error_that_names_the_module(appliance: Appliance, name: str) -> None:
    text, message = BROKEN[name]
    appliance.add("stages/org.example.bad", f"#!/usr/bin/python3\n{text}\n")
    for build in (appliance.core, appliance.osbuild):
        done = build(appliance.stages({"type": "org.example.bad", "options": {"a": "x"}}))
        assert done.returncode in (1, 2), done.stdout
        assert "Traceback" not in done.stderr + done.stdout
        assert message in done.stderr + done.stdout
