"""The argument vectors of the programs that call osbuild, and what these programs then see."""

from __future__ import annotations

import json

import pytest

from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import HELLO, INLINE, copy_hello, mkdir, tar_of

pytestmark = pytest.mark.root

MONITORS = ([], ["--monitor=JSONSeqMonitor"], ["--monitor=LogMonitor"], ["--monitor=NullMonitor"])
FAILING = {"type": "org.osbuild.error", "options": {"returncode": 3}}


def image(*, fails: bool = False):
    """A manifest as those of images: a tree with content from a source, an archive of it."""
    stages = [mkdir("etc"), copy_hello(), *([FAILING] if fails else [])]
    pipelines = [
        {"name": "os", "source-epoch": 1700000000, "stages": stages},
        {"name": "archive", "stages": [tar_of("os")]},
    ]
    return json.dumps({"version": "2", "pipelines": pipelines, "sources": INLINE})


def image_builder(bench, *more):
    """Return what image-builder, bootc-image-builder and composer's worker pass."""
    return [
        "--store",
        bench.store,
        "--output-directory",
        bench.out,
        "--cache-max-size=21474836480",
        "-",
        *more,
    ]


EXPORT = ("--export", "archive")


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
@pytest.mark.parametrize("monitor", MONITORS)
def test_image_builder(bench, monitor, json_flag):
    more = [*EXPORT, "--checkpoint", "os", *monitor, "--monitor-fd=3", *json_flag]
    ran = bench.call(*image_builder(bench, *more), manifest=image()).wait()
    assert (ran.status, ran.stderr) == (0, "")
    assert (bench.out / "archive" / "t.tar").is_file()
    check_monitor(ran, monitor, json_flag, success=True)
    if not json_flag:
        assert ran.stdout == ""
        return
    result = ran.result
    assert {name: [s.type for s in stages] for name, stages in result.log.items()} == {
        "os": ["org.osbuild.mkdir", "org.osbuild.copy"],
        "archive": ["org.osbuild.tar"],
    }
    assert result.sources == {"org.osbuild.inline": [{"checksum": HELLO, "cached": False}]}


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
@pytest.mark.parametrize("monitor", MONITORS)
def test_image_builder_when_a_stage_fails(bench, monitor, json_flag):
    more = [*EXPORT, *monitor, "--monitor-fd=3", *json_flag]
    ran = bench.call(*image_builder(bench, *more), manifest=image(fails=True)).wait()
    assert ran.status == 1
    assert "org.osbuild.error: pipelines[0].stages[2]: ended with status 3" in ran.stderr
    check_monitor(ran, monitor, json_flag, success=False)
    if not json_flag:
        assert ran.stdout == ""
        return
    result = ran.result
    assert result.error == "stage"
    assert (result.failed["type"], result.failed["error"]) == ("org.osbuild.error", None)
    assert "failing with exit status 3" in result.failed["output"]
    assert [stage.success for stage in result.log["os"]] == [True, True, False]


def check_monitor(ran, monitor, json_flag, *, success):
    """Look at what came out of descriptor 3. Without a monitor of their own, calls with --json have none."""
    name = (
        monitor[0].removeprefix("--monitor=") if monitor else ("NullMonitor" if json_flag else "LogMonitor")
    )
    if name == "NullMonitor":
        assert ran.monitor == b""
    elif name == "LogMonitor":
        text = ran.monitor.decode()
        assert "Pipeline os: " in text and "org.osbuild.mkdir: " in text and "⏱  Duration: " in text
        assert ("failing with exit status 3" in text) != success
    else:
        ends = [s for s in ran.records if s.result is not None and s.stage is not None]
        assert [s.result["success"] for s in ends] == [True, True, success]
        assert [s.stage for s in ends] == [
            "org.osbuild.mkdir",
            "org.osbuild.copy",
            "org.osbuild.tar" if success else "org.osbuild.error",
        ]


def test_image_builder_when_a_source_fails(bench):
    document = json.loads(image())
    document["sources"]["org.osbuild.inline"]["items"][HELLO]["data"] = "aGVsbG8h"
    more = [*EXPORT, "--monitor=JSONSeqMonitor", "--monitor-fd=3", "--json"]
    ran = bench.call(*image_builder(bench, *more), manifest=json.dumps(document)).wait()
    assert ran.status == 1
    result = ran.result
    assert (result.error, result.failed["type"]) == ("source", "org.osbuild.inline")
    assert HELLO in result.failed["output"]
    assert [item["checksum"] for item in result.sources["org.osbuild.inline"] if item["error"]] == [HELLO]
    assert result.log == {}
    failed = [status for status in ran.records if status.result is not None]
    assert failed[0].result["success"] is False and failed[0].pipeline == "source org.osbuild.inline"


def test_composer_fetches_beforehand_and_builds_from_that_store(bench):
    ran = bench.call(*image_builder(bench, "--json"), manifest=image()).wait()
    assert ran.status == 0
    assert ran.result.log == {} and ran.result.metadata == {}
    assert (bench.store / "sources" / "org.osbuild.files" / HELLO).read_bytes() == b"hello\n"
    assert not bench.out.exists() and list((bench.store / "objects").iterdir()) == []
    built = bench.call(*image_builder(bench, *EXPORT, "--json"), manifest=image()).wait().result
    assert built.sources == {"org.osbuild.inline": [{"checksum": HELLO, "cached": True}]}


def test_virtual_machines_are_refused_before_anything_is_done(bench):
    more = [*EXPORT, "--in-vm", "archive", "--monitor=JSONSeqMonitor", "--monitor-fd=3", "--json"]
    ran = bench.call(*image_builder(bench, *more), manifest=image()).wait()
    assert ran.status == 1
    assert ran.result.failed["code"] == "usage.in-vm"
    assert "archive" in ran.stderr and ran.stderr.count("\n") == 1
    assert ran.monitor == b"" and not bench.store.exists()


def test_the_version(bench):
    ran = bench.call("--version").wait()
    assert (ran.status, ran.stdout) == (0, "osbuild 191\n")


def test_inspect_as_the_test_library_of_images_calls_it(bench):
    ran = bench.call("--inspect", "-", manifest=image()).wait()
    assert ran.status == 0
    pipelines = clientparser.one_document(ran.stdout)["pipelines"]
    built = bench.call(*image_builder(bench, *EXPORT, "--json"), manifest=image()).wait().result
    ids = {p["name"]: [stage["id"] for stage in p["stages"]] for p in pipelines}
    assert ids == {name: [stage.id for stage in stages] for name, stages in built.log.items()}


def test_inspect_without_a_manifest(bench):
    ran = bench.call("--inspect").wait()
    assert ran.status == 2
    assert "MANIFEST" in ran.stderr and ran.stdout == ""


COREOS = ("deployed-tree", "tree", "raw-image", "metal", "metal4k")


@pytest.mark.parametrize("fails", [False, True])
def test_coreos_assembler(bench, fails):
    pipelines = [{"name": name, "stages": [mkdir(name)]} for name in COREOS]
    pipelines[-1]["stages"] += [FAILING] if fails else []
    path = bench.manifest(*pipelines)
    checkpoints = [word for name in COREOS for word in ("--checkpoint", name)]
    exports = ["--export=metal", "--export=metal4k"]
    own = ["--out", bench.out, "--store", bench.store, "--cache-max-size", "20GiB"]
    ran = bench.call(*own, *checkpoints, *exports, path).wait()
    assert ran.status == (1 if fails else 0), ran.stderr
    assert "Pipeline metal4k: " in ran.stdout
    if fails:
        assert "ended with status 3" in ran.stderr
        # The log has it all already.
        assert "failing with exit status 3" in ran.stdout and "failing with" not in ran.stderr
    else:
        assert (bench.out / "metal" / "metal").is_dir() and (bench.out / "metal4k" / "metal4k").is_dir()
        # Only what is exported is built.
        assert "Pipeline tree: " not in ran.stdout


@pytest.mark.parametrize("size", [[], ["--cache-max-size=5GB"]])
@pytest.mark.parametrize("fails", [False, True])
def test_automotive_image_builder(bench, fails, size):
    # Its build pipelines have a system in them; here the host is one.
    stages = [mkdir("etc"), *([FAILING] if fails else [])]
    path = bench.manifest({"name": "build", "stages": [mkdir("usr")]}, {"name": "image", "stages": stages})
    own = ["--store", bench.store, "--output-directory", bench.out]
    ran = bench.call(*own, "--checkpoint", "build", *size, "--export", "image", path).wait()
    assert ran.status == (1 if fails else 0), ran.stderr
    assert ("manifest" in ran.stdout) and (bench.out / "image" / "etc").is_dir() != fails
