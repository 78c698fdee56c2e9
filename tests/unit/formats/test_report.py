from __future__ import annotations

import pytest

from osbuild_core import formats
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
    failed = stage(0, success=False, error=Failure("stage.failed", "exit status 2", data=data))
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


def test_version_1_when_a_build_pipeline_failed(library):
    noop = {"name": "org.osbuild.noop"}
    build = {"pipeline": {"stages": [noop]}, "runner": "org.osbuild.linux"}
    manifest = formats.load({"pipeline": {"build": build, "stages": [noop]}}, library)
    document = formats.output(manifest, RunResult(False, (PipelineResult("build", None, False),)))
    assert document == {"success": False, "build": {"success": False}}
