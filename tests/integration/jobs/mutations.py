"""Templates that are right, and what becomes of them when one place is changed at random."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.unit.exports.jobs.cases import FILTER

Place = tuple[str | int, ...]

EXTENSIONS = ("TASK_CHUNKING", "REDACTED_ENV_VARS", "FEATURE_BUNDLE_1")

PLAIN: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "$schema": "https://example.org/schema.json",
    "name": "Job {{Param.S}} of {{RawParam.Dir}}",
    "description": "what it does\non two lines",
    "parameterDefinitions": [
        {"name": "S", "type": "STRING", "default": "abc", "minLength": 2, "maxLength": 5},
        {"name": "Choice", "type": "STRING", "default": "b", "allowedValues": ["a", "b"]},
        {"name": "N", "type": "INT", "default": 3, "minValue": 1, "maxValue": "9"},
        {"name": "M", "type": "INT", "default": 2, "allowedValues": [1, 2, 3], "description": "some"},
        {"name": "X", "type": "FLOAT", "default": 1.5, "minValue": "0.5", "maxValue": 2},
        {
            "name": "Dir",
            "type": "PATH",
            "default": "in/put",
            "objectType": "DIRECTORY",
            "dataFlow": "IN",
            "userInterface": {"control": "CHOOSE_DIRECTORY", "label": "Where", "groupLabel": "Files"},
        },
        {
            "name": "File",
            "type": "PATH",
            "default": "a.png",
            "objectType": "FILE",
            "dataFlow": "OUT",
            "minLength": 1,
            "maxLength": 30,
            "userInterface": {
                "control": "CHOOSE_OUTPUT_FILE",
                "fileFilters": [FILTER],
                "fileFilterDefault": FILTER,
            },
        },
        {
            "name": "Box",
            "type": "STRING",
            "default": "ON",
            "allowedValues": ["ON", "off"],
            "userInterface": {"control": "CHECK_BOX", "label": "Box"},
        },
        {
            "name": "Spin",
            "type": "FLOAT",
            "default": "2",
            "userInterface": {"control": "SPIN_BOX", "decimals": 2, "singleStepDelta": 0.25},
        },
        {
            "name": "Step",
            "type": "INT",
            "default": "7",
            "userInterface": {"control": "SPIN_BOX", "singleStepDelta": 2},
        },
    ],
    "jobEnvironments": [
        {
            "name": "Outer",
            "description": "first",
            "variables": {"A": "{{Param.S}} {{Session.WorkingDirectory}}", "_B1": ""},
            "script": {
                "actions": {
                    "onEnter": {
                        "command": "{{Env.File.Enter}}",
                        "args": ["{{Param.Dir}}", "a\nb"],
                        "timeout": 5,
                        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 10},
                    },
                    "onExit": {"command": "true", "cancelation": {"mode": "TERMINATE"}},
                },
                "embeddedFiles": [
                    {
                        "name": "Enter",
                        "type": "TEXT",
                        "filename": "enter.sh",
                        "runnable": True,
                        "data": "#!/bin/sh\necho {{Param.N}} {{Env.File.Enter}}",
                    },
                    {"name": "Other", "type": "TEXT", "data": "{{Session.PathMappingRulesFile}}"},
                ],
            },
        },
        {"name": "Inner", "variables": {"C": "c"}},
    ],
    "steps": [
        {
            "name": "One",
            "description": "the first",
            "stepEnvironments": [{"name": "Around", "variables": {"D": "{{RawParam.File}}"}}],
            "hostRequirements": {
                "amounts": [
                    {"name": "amount.worker.vcpu", "min": 1, "max": 4},
                    {"name": "vendor:amount.custom", "min": "0.5"},
                ],
                "attributes": [
                    {"name": "attr.worker.os.family", "anyOf": ["linux", "macos"]},
                    {"name": "attr.custom.kind", "allOf": ["soft", "{{Param.S}}"]},
                ],
            },
            "parameterSpace": {
                "taskParameterDefinitions": [
                    {"name": "I", "type": "INT", "range": "1-{{Param.N}}"},
                    {"name": "J", "type": "INT", "range": [1, "2", "{{Param.M}}"]},
                    {"name": "F", "type": "FLOAT", "range": [1.5, "2.50", "{{Param.X}}"]},
                    {"name": "T", "type": "STRING", "range": ["x", "{{Param.S}}"]},
                    {"name": "P", "type": "PATH", "range": ["/x/y", "{{RawParam.Dir}}"]},
                ],
                "combination": "(I, J, F) * T * P",
            },
            "script": {
                "actions": {
                    "onRun": {
                        "command": "bash",
                        "args": [
                            "{{Task.File.Run}}",
                            "{{ Task.Param.I }}-{{Task.RawParam.P}}",
                            "{{Param.File}}",
                        ],
                        "timeout": 60,
                        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE"},
                    }
                },
                "embeddedFiles": [
                    {"name": "Run", "type": "TEXT", "data": "echo {{Task.Param.T}}\techo", "filename": "r"}
                ],
            },
        },
        {
            "name": "Two",
            "dependencies": [{"dependsOn": "One"}],
            "parameterSpace": {
                "taskParameterDefinitions": [{"name": "I", "type": "INT", "range": "9-1:-2, 20, 30-40:5"}]
            },
            "script": {"actions": {"onRun": {"command": "echo", "args": ["{{Task.Param.I}}"]}}},
        },
        {
            "name": "Three",
            "dependencies": [{"dependsOn": "One"}, {"dependsOn": "Two"}],
            "script": {"actions": {"onRun": {"command": "echo"}}},
        },
    ],
}

BUNDLED: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "extensions": list(EXTENSIONS),
    "name": "Bundled {{ Param . N }}",
    "parameterDefinitions": [
        {"name": "N", "type": "INT", "default": 12},
        {"name": "Mode", "type": "STRING", "default": "TERMINATE"},
        {"name": "L" + "o" * 70 + "ng", "type": "STRING", "default": ""},
    ],
    "steps": [
        {
            "name": "Chunks " + "s" * 70,
            "hostRequirements": {"amounts": [{"name": "amount.worker.memory", "min": "{{Param.N}}"}]},
            "parameterSpace": {
                "taskParameterDefinitions": [
                    {
                        "name": "C",
                        "type": "CHUNK[INT]",
                        "range": "1-{{Param.N}}, 20-30:2",
                        "chunks": {
                            "defaultTaskCount": 5,
                            "targetRuntimeSeconds": "0",
                            "rangeConstraint": "CONTIGUOUS",
                        },
                    },
                    {"name": "T", "type": "STRING", "range": ["x", ""]},
                ],
                "combination": "T * C",
            },
            "script": {
                "actions": {
                    "onRun": {
                        "command": "echo",
                        "args": ["{{Task.Param.C}}"],
                        "timeout": "{{Param.N}}",
                        "cancelation": {"mode": "{{Param.Mode}}", "notifyPeriodInSeconds": "{{Param.N}}"},
                    }
                },
                "embeddedFiles": [
                    {
                        "name": "F",
                        "type": "TEXT",
                        "data": "a",
                        "endOfLine": "CRLF",
                        "filename": "f" * 80 + ".txt",
                    }
                ],
            },
        },
        {
            "name": "Short",
            "dependencies": [{"dependsOn": "Chunks " + "s" * 70}],
            "parameterSpace": {
                "taskParameterDefinitions": [
                    {
                        "name": "C",
                        "type": "CHUNK[INT]",
                        "range": [5, 1, "3", 2, 9],
                        "chunks": {"defaultTaskCount": "2", "rangeConstraint": "NONCONTIGUOUS"},
                    }
                ]
            },
            "bash": {
                "script": "echo {{Task.Param.C}}",
                "args": ["{{Param.N}}"],
                "timeout": 10,
                "cancelation": {"mode": "TERMINATE"},
            },
        },
        {"name": "Snake", "python": {"script": "print(1)"}},
    ],
}

OUTER: dict[str, Any] = {
    "specificationVersion": "environment-2023-09",
    "extensions": ["REDACTED_ENV_VARS"],
    "parameterDefinitions": [
        {"name": "N", "type": "INT", "default": 3, "minValue": 1},
        {"name": "Dir", "type": "PATH", "default": "x", "objectType": "DIRECTORY"},
    ],
    "environment": {
        "name": "Around",
        "description": "outside",
        "variables": {"E": "{{Param.N}}"},
        "script": {
            "actions": {"onEnter": {"command": "echo", "args": ["{{Env.File.F}}", "{{Param.Dir}}"]}},
            "embeddedFiles": [{"name": "F", "type": "TEXT", "data": "x"}],
        },
    },
}

TEMPLATES = (PLAIN, BUNDLED, OUTER)

_TEXTS = (
    "", " ", "x", "a b", "1", "-1", "0", "007", "+5", " 5 ", "1.5", "1e2", ".5", "5.", "true", "null",
    "x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 512, "x" * 513, "x" * 1024, "x" * 1025, "x" * 2048,
    "x" * 2049, "é", "ß" * 64, "日本", "a\nb", "a\tb", "a\rb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b",
    "\ufeffx", "x\n", "{{", "}}", "{{}}", "{{ }}", "{{Param.N}}", "{{Param.S}}", "{{ Param.N}}{{Param.N }}",
    "{{Param.Dir}}", "{{RawParam.Dir}}", "{{Param.Nope}}", "{{Param}}", "{{Param.}}", "{{.N}}",
    "{{Param..N}}", "{{Param.1}}", "{{Param.N", "{Param.N}", "{{{Param.N}}}", "{{Param.N}} }}",
    "{{Param.N }} {{", "{{\nParam.N\n}}", "{{Param.N + 1}}", "{{Task.Param.I}}", "{{Task.RawParam.C}}",
    "{{Task.File.Run}}", "{{Env.File.Enter}}", "{{Env.File.Other}}", "{{Job.Name}}",
    "{{Session.WorkingDirectory}}", "{{Session.HasPathMappingRules}}", "{{param.n}}", "1-3", "3-1",
    "3-1:-1", "1-3:0", "1-10:3,11", "1-5,5-9", "1-5,6-9", "1 - 5", "1-5:", "1,,2", ",1", "1,", "1-2-3",
    "-5--1", "- 5", "1-5:-1", "5-5:-1", "5-5", "1-9:2,2-8:2", "1-100000000", "A * B", "I", "(I, J)",
    "I * J * F * T * P", "(I,J,F)*T*P", "((I, J), F) * T * P", "(I, J, F) * (T, P)", "(I, J * F) * T * P",
    "(I, J, F) T P", "I*J*F*T*P*I", "(C, T)", "C * T", "T*C*C", "*", "()", "(I)", "TERMINATE", "terminate",
    "NOTIFY_THEN_TERMINATE", "CONTIGUOUS", "FILE", "NONE", "TEXT", "STRING", "INT", "FLOAT", "PATH",
    "CHUNK[INT]", "BOOL", "LIST[INT]", "LF", "AUTO", "HIDDEN", "DROPDOWN_LIST", "LINE_EDIT", "CHECK_BOX",
    "SPIN_BOX", "One", "Two", "Three", "Outer", "Around", "A", "_", "1a", "a-b", "a.b", "a/b", "../x", "/x",
    ".", "..", "a\\b", "amount.worker.gpu", "amount.worker.nope", "amount.job.x", "amount.x", "amount",
    "Amount.Worker.Vcpu", "v:amount.x", "vendor:attr.x", "vendor:amount.worker.x", "attr.worker.cpu.arch",
    "attr.worker.os.family", "attr.x.y.z", "attr.1x", "linux", "LINUX", "windows", "x86_64", "a:b", "*.png",
    "*.*", "*", "*.p?g", "*.tar.gz", "jobtemplate-2023-09", "environment-2023-09", "TASK_CHUNKING", "EXPR",
    "FEATURE_BUNDLE_1", "FEATURE_BUNDLE_2", "https://x",
)  # fmt: skip
_NUMBERS = (
    0,
    1,
    -1,
    2,
    5,
    10,
    50,
    600,
    601,
    0.0,
    0.5,
    1.5,
    3.0,
    -0.5,
    1e3,
    1e-7,
    1e16,
    2**31,
    2**53 + 1,
    2**62,
    10**20,
)
_REST: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    ["a"],
    [1],
    ["a", "a"],
    {"a": "b"},
    {"name": "N"},
)

_KEYS = (
    "name", "Name", "type", "default", "description", "minValue", "maxLength", "allowedValues",
    "userInterface", "range", "chunks", "timeout", "args", "let", "cancelation", "mode", "variables",
    "script", "bash", "node", "onEnter", "onExit", "onRun", "onWrapEnvEnter", "min", "max", "anyOf",
    "allOf", "amounts", "attributes", "filename", "runnable", "data", "endOfLine", "dependencies",
    "parameterSpace", "combination", "extensions", "steps", "objectType", "label", "control", "decimals",
    "x", "",
)  # fmt: skip


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield every place in a document but its root."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*place, key)
        yield from _places(item, (*place, key))


def _at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def mutated(template: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], str]:
    """Return ``template`` with one place changed, and in words what was changed."""
    document = copy.deepcopy(template)
    *before, last = chance.choice(list(_places(document)))
    parent = _at(document, tuple(before))
    value = parent[last]
    where = ".".join(str(key) for key in (*before, last))
    way = chance.choice((_replace, _replace, _replace, _edit, _edit, _remove, _add, _double, _rename, _move))
    what = way(document, parent, last, value, chance)
    return document, f"{where}: {what}"


Way = Callable[[Any, Any, Any, Any, random.Random], str]


def _any(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(chance.choice((_TEXTS, _TEXTS, _NUMBERS, _REST))))


def _replace(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    parent[last] = new = _any(chance)
    return f"{value!r:.60} became {new!r:.80}"


def _edit(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    if isinstance(value, str):
        at = chance.randint(0, len(value))
        piece = chance.choice(
            (" ", "\n", "\t", "\0", "x", "{{", "}}", ".", "-", ":", ",", "*", "(", ")", "1", "é")
        )
        edits = (
            value[:at] + piece + value[at:],
            value[:at] + value[at + 1 :],
            value.upper(),
            value.lower(),
            value * 2,
            f" {value} ",
        )
        parent[last] = chance.choice(edits)
    elif isinstance(value, bool) or value is None:
        parent[last] = str(value)
    elif isinstance(value, (int, float)):
        parent[last] = chance.choice(
            (value + 1, value - 1, -value, str(value), float(value), value * 1000, f"{value}.0")
        )
    elif isinstance(value, list):
        parent[last] = chance.choice(
            (value[::-1], value * 2, value * 200, value[0], dict(enumerate(map(str, value))))
        )
        if isinstance(parent[last], dict):
            parent[last] = {str(key): item for key, item in parent[last].items()}
    else:
        parent[last] = chance.choice(
            ([value], list(value.values()), dict(reversed(value.items())), str(value))
        )
    return f"{value!r:.60} was edited to {parent[last]!r:.80}"


def _remove(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    del parent[last]
    return "is gone"


def _add(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    new = _any(chance)
    if isinstance(value, dict):
        key = chance.choice(_KEYS)
        value[key] = new
        return f"got {key!r}: {new!r:.60}"
    if isinstance(value, list):
        value.insert(chance.randint(0, len(value)), new)
        return f"got {new!r:.60}"
    parent[last] = [value]
    return f"{value!r:.60} is in a list"


def _double(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    if isinstance(parent, list):
        parent.insert(chance.randint(0, len(parent)), copy.deepcopy(value))
        return "is there twice"
    other = chance.choice(list(parent))
    parent[last] = copy.deepcopy(parent[other])
    return f"is a copy of {other}"


def _rename(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    if isinstance(parent, list):
        chance.shuffle(parent)
        return "its list was shuffled"
    new = chance.choice((*_KEYS, str(last).upper(), f"{last} ", f"{last}s"))
    del parent[last]
    parent[new] = value
    return f"is {new!r} now"


def _move(document: Any, parent: Any, last: Any, value: Any, chance: random.Random) -> str:
    """Put what stands somewhere else in its place."""
    other = chance.choice(list(_places(document)))
    parent[last] = copy.deepcopy(_at(document, other))
    return f"{value!r:.40} became what is at {'.'.join(map(str, other))}"


def mutations(seed: int, count: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield so many changed templates, each with what was changed."""
    chance = random.Random(seed)
    for _ in range(count):
        yield mutated(chance.choice(TEMPLATES), chance)
