"""Exports of a manifest: their modules get the finished tree, and what they reply is kept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from .conftest import OSBUILD, Bench, eventually

pytestmark = pytest.mark.root

WRITE = "open(args['tree'] + '/file', 'w').write('content')"
REPLY = (
    "return {'read': open(tree + '/file').read(), 'options': options, 'name': self.name, 'output': output}"
)
PLACE = ["exports", "nightly"]


def prepare(bench: Bench, code: str, options: dict[str, Any] | None = None, **more: Any) -> Path:
    bench.add_stage("org.osbuild.write", WRITE)
    bench.add_service("exports/org.osbuild.out", code)
    export = {"type": "org.osbuild.out", "pipeline": "name:p", "options": options or {}, **more}
    pipelines = [{"name": "p", "stages": [{"type": "org.osbuild.write"}]}, {"name": "empty"}]
    return bench.manifest(*pipelines, exports={"nightly": export})


def export(bench: Bench, manifest: Path, *arguments: Any, status: int = 0) -> dict[str, Any]:
    done = bench.build(manifest, "--export", "nightly", "--json", *arguments)
    assert done.returncode == status, done.stderr
    assert bench.leftovers() == []
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_reply_is_in_the_result_and_beside_it(bench: Bench) -> None:
    manifest = prepare(bench, REPLY, {"where": ["there", 1]})
    out = bench.directory / "out"
    (exported,) = export(bench, manifest, "-o", out)["exports"]
    expected = {
        "read": "content",
        "options": {"where": ["there", 1]},
        "name": "nightly",
        "output": str(out / "nightly"),
    }
    assert exported["success"] and exported["data"] == expected
    assert json.loads((out / "nightly/export.json").read_text()) == expected
    assert list((out / "nightly").iterdir()) == [out / "nightly/export.json"]


def test_it_needs_no_output_directory(bench: Bench) -> None:
    (exported,) = export(bench, prepare(bench, REPLY))["exports"]
    assert exported["data"]["output"] is None and exported["path"] is None


def test_it_runs_whenever_it_is_asked_for_and_only_then(bench: Bench) -> None:
    """Also where all stages are in the store; a build without ``--export`` publishes nothing."""
    manifest = prepare(bench, "open(options['log'], 'a').write('x')", {"log": str(bench.directory / "log")})
    assert bench.build(manifest).returncode == 0
    assert not (bench.directory / "log").exists()
    for _ in range(2):
        export(bench, manifest)
    assert (bench.directory / "log").read_text() == "xx"


def test_a_pipeline_without_stages_has_nothing_to_export(bench: Bench) -> None:
    done = bench.build(prepare(bench, REPLY, pipeline="name:empty"), "--export", "nightly")
    assert done.returncode != 0
    assert "exports.nightly.pipeline: pipeline 'empty' has no stages" in done.stderr


def test_the_tree_cannot_be_changed(bench: Bench) -> None:
    document = export(bench, prepare(bench, "open(tree + '/file', 'w')"), status=1)
    (exported,) = document["exports"]
    assert "Read-only file system" in exported["error"]["message"]


FAILURES = {
    "an error for the user": (
        "raise exports.ExportError('no such bucket', hint='make it', place=['s3', 'bucket'], data={'a': 1})",
        ("export.failed", "no such bucket", "make it", [*PLACE, "options", "s3", "bucket"]),
        {"a": 1},
    ),
    "an exception": (
        "raise ValueError('oh no')",
        ("service.failed", "oh no", "look at its options, and at what it was given", PLACE),
        {},
    ),
    "a reply that is none": ("return ['a']", ("service.protocol", "unexpected reply", None, PLACE), {}),
    "no reply": (
        "os._exit(3)",
        ("service.gone", "ended before it answered", "its output may say why", PLACE),
        {},
    ),
}


@pytest.mark.parametrize("row", FAILURES)
def test_a_failure_has_its_place(bench: Bench, row: str) -> None:
    code, (kind, message, hint, place), data = FAILURES[row]
    out = bench.directory / "out"
    document = export(bench, prepare(bench, code), "-o", out, status=1)
    (exported,) = document["exports"]
    error = exported["error"]
    assert (error["code"], error.get("hint"), error["path"]) == (kind, hint, place)
    assert message in error["message"]
    assert exported["data"] == data
    assert (out / "nightly/export.json").exists() == bool(data)
    # What was built is there, and a failed export does not build it anew.
    assert document["pipelines"][0]["success"]


def test_an_unknown_module_is_refused_before_anything_runs(bench: Bench) -> None:
    manifest = prepare(bench, REPLY, type="org.osbuild.outt")
    done = bench.build(manifest, "--export", "nightly")
    assert done.returncode != 0
    assert "exports.nightly" in done.stderr and "org.osbuild.out'" in done.stderr
    assert bench.ran(prepare(bench, REPLY)) != []


def test_progress_and_output_are_shown(bench: Bench) -> None:
    code = "self.progress(message='pushing'); self.progress(5, 10); print('hello')"
    done = bench.build(prepare(bench, code), "--export", "nightly", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "nightly: pushing\n" in done.stderr
    assert "nightly | export/nightly (org.osbuild.out): hello\n" in done.stderr


WAIT = """
import subprocess
try:
    open(options['begun'], 'w').close()
    subprocess.run(['sleep', '600'])
finally:
    open(options['ended'], 'w').close()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_in_good_order(bench: Bench, number: signal.Signals) -> None:
    begun, ended = bench.directory / "begun", bench.directory / "ended"
    manifest = prepare(bench, WAIT, {"begun": str(begun), "ended": str(ended)})
    process = bench.start(manifest, "--export", "nightly")
    assert eventually(begun.exists)
    bench.stop(process, number)
    assert eventually(ended.exists)
    # A killed engine leaves its directories to the next one.
    assert bench.build(manifest).returncode == 0
    assert eventually(lambda: bench.leftovers() == [])


def test_osbuild_knows_no_such_thing(bench: Bench) -> None:
    manifest = prepare(bench, REPLY)
    done = bench.run("--inspect", "--libdir", bench.library, manifest, program=OSBUILD)
    assert done.returncode != 0
    assert "exports" in done.stdout + done.stderr
