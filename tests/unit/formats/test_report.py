from __future__ import annotations

import pytest

from osbuild_core import formats
from osbuild_core.formats.report import refusal
from osbuild_core.model.errors import UsageError
from osbuild_core.model.results import (
    ExportResult,
    Failure,
    PipelineResult,
    RunResult,
    SourceItemResult,
    SourceResult,
    StageResult,
)

ONE = "sha256:" + "1" * 64
BOOM = {"type": "ValueError", "value": "boom", "traceback": "…"}


@pytest.fixture
def manifest(library):
    return formats.load(
        {"version": "2", "pipelines": [{"name": "os", "stages": [{"type": "org.osbuild.noop"}]}]}, library
    )


def stage(index: int = 0, *, pipeline: str = "os", **more) -> StageResult:
    return StageResult(
        pipeline, index, "org.osbuild.noop", f"id{index}", **{"success": True, "output": "text", **more}
    )


def test_success(manifest):
    stages = (
        stage(0, cached=True, metadata={"a": 1, "b": 1}),
        stage(1, metadata={"b": 2}),
    )
    result = RunResult(
        True,
        (
            PipelineResult("build", "x", True, (stage(0, cached=True),)),
            PipelineResult("os", "id1", True, stages),
        ),
        (SourceResult("org.osbuild.curl", True, (SourceItemResult(ONE, True, cached=True),)),),
    )
    assert formats.output(manifest, result) == {
        "type": "result",
        "success": True,
        "metadata": {"os": {"org.osbuild.noop": {"a": 1, "b": 2}}},
        "sources": {"success": True, "org.osbuild.curl": [{"checksum": ONE, "cached": True}]},
        "log": {"os": [{"id": "id1", "type": "org.osbuild.noop", "output": "text"}]},
    }


@pytest.mark.parametrize(("data", "shown"), [(BOOM, {"type": "exception", "data": BOOM}), (None, None)])
def test_a_failed_stage(manifest, data, shown):
    failed = stage(0, success=False, error=Failure("stage.exit", "exit status 2", data=data))
    document = formats.output(manifest, RunResult(False, (PipelineResult("os", None, False, (failed,)),)))
    entry = {"id": "id0", "type": "org.osbuild.noop", "output": "text"}
    assert document == {
        "type": "error",
        "success": False,
        "error": {"type": "org.osbuild.error.stage", "details": {"stage": {**entry, "error": shown}}},
        "sources": {"success": True},
        "log": {"os": [{**entry, "success": False, **({"error": shown} if shown else {})}]},
    }


def test_a_failed_source(manifest):
    item = SourceItemResult(ONE, False, error="not found")
    source = SourceResult("org.osbuild.curl", False, (item,), output="curl: 404")
    assert formats.output(manifest, RunResult(False, sources=(source,))) == {
        "type": "error",
        "success": False,
        "error": {
            "type": "org.osbuild.error.source",
            "details": {"source": {"type": "org.osbuild.curl", "output": "curl: 404"}},
        },
        "sources": {
            "success": False,
            "org.osbuild.curl": [{"checksum": ONE, "cached": False, "error": "not found"}],
        },
        "log": {},
    }


@pytest.mark.parametrize(
    ("failure", "kind", "value"),
    [
        (
            Failure("stage.timeout", "did not end within 3 s", "raise it"),
            "stage.timeout",
            "did not end within 3 s (raise it)",
        ),
        (Failure("service.failed", "no such file"), "service.failed", "no such file"),
        (Failure("stage.exit", "ended with status 3"), None, None),
    ],
)
def test_what_ended_a_stage_from_outside_is_in_the_form_of_an_exception(manifest, failure, kind, value):
    result = RunResult(False, (PipelineResult("os", None, False, (stage(0, success=False, error=failure),)),))
    document = formats.output(manifest, result)
    error = document["error"]["details"]["stage"]["error"]
    data = {"type": kind, "value": value, "traceback": ""}
    assert error == ({"type": "exception", "data": data} if kind else None)
    assert document["log"]["os"][0].get("error") == error


CANCELLED = Failure("cancelled", "cancelled")


def test_what_was_cancelled_is_not_the_reason(manifest):
    first = stage(0, pipeline="a", success=False, error=CANCELLED)
    second = stage(0, pipeline="b", success=False, error=Failure("stage.exit", "ended with status 1"))
    pipelines = (
        PipelineResult("a", None, False, (first,), CANCELLED),
        PipelineResult("b", None, False, (second._replace(id="guilty"),)),
    )
    sources = (SourceResult("org.osbuild.curl", False, error=CANCELLED),)
    document = formats.output(manifest, RunResult(False, pipelines, sources))
    assert document["error"]["details"]["stage"]["id"] == "guilty"
    assert "error" not in document["log"]["a"][0]
    alone = formats.output(manifest, RunResult(False, pipelines[:1], sources))
    assert alone["error"]["type"] == "org.osbuild.error.cancelled"
    assert formats.output(manifest, RunResult(False))["error"] == alone["error"]


def test_what_did_not_come_about():
    assert refusal(UsageError("no", code="usage.unknown-export", hint="say so")) == {
        "type": "error",
        "success": False,
        "error": {
            "type": "org.osbuild.error.usage",
            "details": {"code": "usage.unknown-export", "message": "no", "hint": "say so"},
        },
        "log": {},
    }


def test_failures_that_are_no_module_s(manifest):
    failure = Failure("sandbox.no-bwrap", "no bubblewrap", "install it")
    expected = {"name": "os", "code": "sandbox.no-bwrap", "message": "no bubblewrap", "hint": "install it"}
    pipeline = RunResult(False, (PipelineResult("os", None, False, error=failure),))
    export = RunResult(False, exports=(ExportResult("os", False, error=failure),))
    for result, what in ((pipeline, "pipeline"), (export, "export")):
        error = formats.output(manifest, result)["error"]
        assert error == {"type": f"org.osbuild.error.{what}", "details": {what: expected}}


def test_version_1_is_nested_as_its_pipelines_are(library):
    noop = {"name": "org.osbuild.noop"}
    build = {"pipeline": {"stages": [noop]}, "runner": "org.osbuild.linux"}
    manifest = formats.load({"pipeline": {"build": build, "stages": [noop], "assembler": noop}}, library)
    failed = stage(0, pipeline="assembler", success=False, error=Failure("stage.failed", "no", data=BOOM))
    result = RunResult(
        False,
        (
            PipelineResult("build", "b", True, (stage(0, cached=True),)),
            PipelineResult("tree", "t", True, (stage(0, metadata={"a": 1}),)),
            PipelineResult("assembler", None, False, (failed,)),
        ),
    )
    entry = {"id": "id0", "type": "org.osbuild.noop", "output": "text"}
    error = {"type": "exception", "data": BOOM}
    assert formats.output(manifest, result) == {
        "success": False,
        "build": {"success": True},
        "stages": [{**entry, "success": True, "error": None, "metadata": {"a": 1}}],
        "assembler": {**entry, "success": False, "error": error, "metadata": {}},
    }


@pytest.fixture
def manifest_1(library):
    noop = {"name": "org.osbuild.noop"}
    build = {"pipeline": {"stages": [noop]}, "runner": "org.osbuild.linux"}
    return formats.load({"pipeline": {"build": build, "stages": [noop], "assembler": noop}}, library)


def test_version_1_when_a_build_pipeline_failed(manifest_1):
    failed = stage(0, success=False, error=Failure("stage.exit", "no"))
    pipelines = (
        PipelineResult("build", None, False, (failed,)),
        PipelineResult("tree", None, False, error=CANCELLED),
        PipelineResult("assembler", None, False, error=CANCELLED),
    )
    entry = {"id": "id0", "type": "org.osbuild.noop", "output": "text", "success": False, "error": None}
    assert formats.output(manifest_1, RunResult(False, pipelines)) == {
        "success": False,
        "build": {"success": False, "stages": [{**entry, "metadata": {}}]},
    }


def test_version_1_found_in_the_store(manifest_1):
    found = PipelineResult("assembler", "a", True, (stage(0, pipeline="assembler", cached=True),))
    document = formats.output(manifest_1, RunResult(True, (found,)))
    assert document == {"success": True, "build": {"success": True}}


def test_version_1_when_a_source_failed(manifest_1):
    source = SourceResult("org.osbuild.curl", False, output="curl: 404")
    document = formats.output(manifest_1, RunResult(False, sources=(source,)))
    assert document["success"] is False
    assert document["error"] == {
        "type": "org.osbuild.error.source",
        "details": {"source": {"type": "org.osbuild.curl", "output": "curl: 404"}},
    }
