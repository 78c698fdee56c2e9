"""Files that are no manifest, and manifests that cannot be: refused in one line, by both commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.engine.conftest import Bench
from tests.integration.hardening.faces import FACES, Expected, Face, check

pytestmark = pytest.mark.root

NOOP = {"type": "org.osbuild.noop", "options": {}}
HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
OK = {"version": "2", "pipelines": [{"name": "p", "stages": [NOOP]}]}


def of(*pipelines: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"version": "2", "pipelines": list(pipelines), **more}).encode()


def stage(**more: Any) -> bytes:
    """A manifest whose second stage has ``more``."""
    return of({"name": "p", "stages": [NOOP, {**NOOP, **more}]})


def tree(reference: str) -> dict[str, Any]:
    """A stage that takes the tree of a pipeline."""
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [reference]}
    return {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t"}}


def pipeline(name: str, *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "stages": list(stages) or [NOOP], **more}


def no_json(message: str, hint: str = "") -> Expected:
    return Expected("manifest", "manifest.json", message, hint=hint)


def refused(code: str, place: tuple[str | int, ...], message: str = "", hint: str = "") -> Expected:
    return Expected("manifest", f"manifest.{code}", message, place, hint)


FIRST = ("pipelines", 0, "stages", 0)
STAGE = ("pipelines", 0, "stages", 1)
NESTED = b"[" * 100_000 + b"]" * 100_000
FORMAT = refused("format", (), "is no JSON object", '"version": "2"')

ROWS: dict[str, tuple[bytes, Expected]] = {
    "empty": (b"", no_json("is not JSON", "has what was to write it failed?")),
    "truncated": (json.dumps(OK).encode()[:40], no_json("is not JSON")),
    "two documents": (json.dumps(OK).encode() * 2, no_json("Extra data")),
    "byte order mark": (
        b"\xef\xbb\xbf" + json.dumps(OK).encode(),
        no_json("byte order mark", "save it as UTF-8 without one"),
    ),
    "UTF-16": (json.dumps(OK).encode("utf-16"), Expected("manifest", "manifest.json", "it is not UTF-8 text")),
    "binary": (bytes(range(256)) * 50, Expected("manifest", "manifest.json", "it is not UTF-8 text")),
    "zeros": (bytes(5000), no_json("is not JSON")),
    "nested lists": (NESTED, no_json("nested too deeply")),
    "nested objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, no_json("nested too deeply")),
    "nested options": (of({"name": "p", "x": "N"}).replace(b'"N"', NESTED), no_json("nested too deeply")),
    "a huge number": (of().replace(b"[]", b"9" * 5000), no_json("too many digits")),
    "a list": (b"[]", FORMAT),
    "a number": (b"3", FORMAT),
    "null": (b"null", FORMAT),
    "unknown version": (b'{"version": "3"}', refused("format", ("version",), "version '3'", '"version": "2"')),
    "version as a number": (b'{"version": 2}', refused("format", ("version",), "version 2")),
    "version as a list": (b'{"version": ["2"]}', refused("format", ("version",), "version ['2']")),
    "of no version": (b'{"pipelines": []}', refused("schema", (), "'pipelines' was unexpected")),
    "unknown stage": (
        stage(type="org.osbuild.nop"),
        refused("unknown-stage", STAGE, "'org.osbuild.nop'", "did you mean 'org.osbuild.noop'?"),
    ),
    "a stage elsewhere": (stage(type="../stages/org.osbuild.noop"), refused("unknown-stage", STAGE)),
    "a stage with a zero": (stage(type="org.osbuild.noop\0"), refused("unknown-stage", STAGE)),
    "no stage": (stage(type=None), refused("schema", (*STAGE, "type"), "None is not of type 'string'")),
    "wrong option": (
        stage(type="org.osbuild.mkdir", options={"paths": [{"path": "/a", "mod": 7}]}),
        refused("schema", (*STAGE, "options", "paths", 0), "'mod' was unexpected", "did you mean 'mode'?"),
    ),
    "option of another type": (
        stage(type="org.osbuild.hostname", options={"hostname": 7}),
        refused("schema", (*STAGE, "options", "hostname"), "7 is not of type 'string'", "modules show stages/"),
    ),
    "unknown source": (
        of(pipeline("p"), sources={"org.osbuild.crl": {"items": {}}}),
        refused("unknown-source", ("sources", "org.osbuild.crl"), hint="did you mean 'org.osbuild.curl'?"),
    ),
    "unknown device": (
        stage(devices={"d": {"type": "org.osbuild.loopbac"}}),
        refused("unknown-device", (*STAGE, "devices", "d"), hint="did you mean 'org.osbuild.loopback'?"),
    ),
    "unknown mount": (
        stage(mounts=[{"name": "m", "type": "org.osbuild.ext5"}]),
        refused("unknown-mount", (*STAGE, "mounts", 0), hint="did you mean 'org.osbuild.ext4'?"),
    ),
    "unknown input": (
        stage(inputs={"i": {"type": "org.osbuild.file", "origin": "org.osbuild.source", "references": [HELLO]}}),
        refused("unknown-input", (*STAGE, "inputs", "i"), hint="did you mean 'org.osbuild.files'?"),
    ),
    "unknown build pipeline": (
        of(pipeline("built"), pipeline("p", build="name:buil")),
        refused("unknown-reference", ("pipelines", 1, "build"), "'buil'", "did you mean 'built'?"),
    ),
    "a reference without its prefix": (
        of(pipeline("b"), pipeline("p", build="b")),
        refused("unknown-reference", ("pipelines", 1, "build"), hint='write "name:b"'),
    ),
    "unknown input pipeline": (
        of(pipeline("p", tree("name:q"))),
        refused("unknown-reference", (*FIRST, "inputs", "tree", "references"), "'q'", "there are: p"),
    ),
    "built on itself": (
        of(pipeline("p", build="name:p")),
        refused("cycle", ("pipelines", 0, "build"), "refers to itself", "take one of the references out"),
    ),
    "its own input": (
        of(pipeline("p", tree("name:p"))),
        refused("cycle", ("pipelines", 0, "stages", 0, "inputs", "tree", "references"), "refers to itself"),
    ),
    "in a circle": (
        of(pipeline("p", build="name:b"), pipeline("b", tree("name:p"))),
        refused("cycle", ("pipelines", 0, "build"), "need each other", "take one of the references out"),
    ),
    "forward": (
        of(pipeline("p", build="name:b"), pipeline("b")),
        refused("forward-reference", ("pipelines", 0, "build"), hint="move 'b' before 'p'"),
    ),
    "on an empty pipeline": (
        of({"name": "b"}, pipeline("p", build="name:b")),
        refused("empty-pipeline", ("pipelines", 1, "build"), hint="has no tree"),
    ),
    "two of one name": (
        of(pipeline("p"), pipeline("p")),
        refused("duplicate-name", ("pipelines", 1, "name"), "a second pipeline is named 'p'"),
    ),
    "a name that leads out": (of(pipeline("../p")), refused("name", ("pipelines", 0, "name"))),
    "a name that no file can have": (of(pipeline("\ud800")), refused("name", ("pipelines", 0, "name"))),
    "a time that no file can have": (
        of(pipeline("p", **{"source-epoch": -(10**26)})),
        refused("source-epoch", ("pipelines", 0, "source-epoch"), "no file can have a time"),
    ),
    "devices in a circle": (
        stage(
            devices={
                "a": {"type": "org.osbuild.loopback", "parent": "b", "options": {"filename": "f"}},
                "b": {"type": "org.osbuild.loopback", "parent": "a", "options": {"filename": "f"}},
            }
        ),
        refused("cycle", (*STAGE, "devices", "b", "parent"), "opened on itself"),
    ),
    "a mount of no device": (
        stage(mounts=[{"name": "m", "type": "org.osbuild.ext4", "source": "d", "target": "/"}]),
        refused("unknown-reference", (*STAGE, "mounts", 0, "source"), "there is no device 'd'"),
    ),
    "an item of no source": (
        of(pipeline("p", {**tree(HELLO), "inputs": {"tree": {
            "type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}}})),
        refused("unknown-source-item", ("pipelines", 0, "stages", 0, "inputs", "tree", "references"), HELLO),
    ),
}  # fmt: skip


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
@pytest.mark.parametrize("row", ROWS)
def test_what_is_no_manifest(bench: Bench, row: str, face: Face) -> None:
    data, expected = ROWS[row]
    manifest = bench.directory / "manifest.json"
    manifest.write_bytes(data)
    check(face, bench, face.run(bench, manifest), expected)
    assert not (bench.directory / "out").exists()
