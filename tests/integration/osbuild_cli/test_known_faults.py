"""What goes wrong in osbuild 191 and not here. Numbers are those of the list of its faults that we keep."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.integration.engine.conftest import eventually
from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import HELLO, INLINE, copy_hello, mkdir, tar_of

pytestmark = pytest.mark.root

RECORDS = ("--monitor=JSONSeqMonitor", "--monitor-fd=3")


@pytest.mark.parametrize("code", ["while True: print('chatty'); time.sleep(0.01)", "time.sleep(3600)"])
def test_5_the_timeout_of_a_stage_fires_and_is_a_result(bench, code):
    manifest = bench.fail_with(code)
    ran = bench.osbuild(manifest, "--export", "p", "--stage-timeout", "1", "--json", *RECORDS)
    assert ran.status == 1
    assert ran.result.failed["type"] == "org.osbuild.bad"
    data = clientparser.exception(ran.result.failed["error"])
    assert data["type"] == "stage.timeout" and "1 s" in data["value"]
    assert ran.records[-1].message == "manifest - failed\n"
    assert bench.leftovers() == []


def test_5_no_timeout_is_no_limit(bench):
    manifest = bench.fail_with("time.sleep(0.1)")
    assert bench.osbuild(manifest, "--export", "p", "--stage-timeout", "0").status == 0


def test_6_output_that_is_no_utf_8(bench):
    split = "\n".join(f"os.write(1, {bytes([b])!r}); time.sleep(0.05)" for b in "€".encode())
    manifest = bench.fail_with(f"os.write(1, b'bad \\xff byte\\n')\n{split}")
    ran = bench.osbuild(manifest, "--export", "p", "--json", *RECORDS)
    assert ran.status == 0
    output = ran.result.log["p"][0].output
    assert output.endswith("bad \ufffd byte\n€")
    assert "".join(s.message for s in ran.records if s.origin == "stages/org.osbuild.bad") == output


def without_traceback(ran):
    assert "Traceback" not in ran.stderr + ran.stdout
    return ran.result


def test_7_a_service_that_fails(bench):
    device = {"type": "org.osbuild.loopback", "options": {"filename": "missing"}}
    stage = {"type": "org.osbuild.noop", "devices": {"disk": device}}
    ran = bench.osbuild(bench.document({"name": "p", "stages": [stage]}), "--export", "p", "--json")
    result = without_traceback(ran)
    assert (ran.status, result.error) == (1, "stage")
    assert "missing" in clientparser.exception(result.failed["error"])["value"]
    assert "device/disk" in ran.stderr
    assert bench.leftovers() == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"build": "name:none"}, ("pipelines", 0, "build")),
        ({"stages": [tar_of("none")]}, ("pipelines", 0, "stages", 0, "inputs", "tree", "references")),
        (
            {
                "stages": [
                    {
                        "type": "org.osbuild.noop",
                        "mounts": [
                            {"name": "m", "type": "org.osbuild.ext4", "source": "none", "target": "/"}
                        ],
                    }
                ]
            },
            ("pipelines", 0, "stages", 0, "mounts", 0, "source"),
        ),
    ],
)
def test_7_a_reference_to_nothing(bench, change, path):
    ran = bench.osbuild(bench.document({"name": "p", "stages": [], **change}), "--export", "p", "--json")
    result = without_traceback(ran)
    assert (ran.status, result.error) == (2, clientparser.VALIDATION)
    assert [place for _, place in result.errors] == [path]


def in_run():
    return {path.name for path in Path("/run/osbuild").iterdir()} if Path("/run/osbuild").is_dir() else set()


def test_8_sigterm_leaves_nothing(bench):
    before = in_run()
    bench.add_stage("org.osbuild.wait", "print('here')\ntime.sleep(3600)")
    disk = {"disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}}
    truncate = {"type": "org.osbuild.truncate", "options": {"filename": "disk", "size": "1048576"}}
    path = bench.manifest({"name": "p", "stages": [truncate, {"type": "org.osbuild.wait", "devices": disk}]})
    own = ("--store", bench.store, "--libdir", bench.library, "--output-directory", bench.out)
    call = bench.call(*own, "--export", "p", "--json", *RECORDS, path)
    assert eventually(lambda: b"here" in call.monitor), call.wait()
    ran = call.stop(signal.SIGTERM)
    assert (ran.status, ran.result.error) == (143, "cancelled")
    assert bench.leftovers() == []
    assert in_run() <= before


def test_11_what_is_stored_already_needs_no_sources(bench):
    pipelines = (
        {"name": "os", "stages": [copy_hello()]},
        {"name": "archive", "stages": [tar_of("os")]},
        {"name": "more", "stages": [tar_of("os"), mkdir("more")]},
    )
    manifest = bench.document(*pipelines, sources=INLINE)
    assert bench.osbuild(manifest, "--export", "archive").status == 0
    (bench.store / "sources" / "org.osbuild.files" / HELLO).unlink()
    # Neither can it be fetched again, nor has it to be: not for what is there, nor for what stands on that.
    broken = bench.document(*pipelines, sources=json.loads(json.dumps(INLINE).replace("aGVsbG8K", "AAAA")))
    ran = bench.osbuild(broken, "--export", "archive", "--export", "more", "--json")
    assert ran.status == 0
    assert ran.result.sources == {}
    assert set(ran.result.log) == {"more"}


def test_11_a_download_shows_how_far_it_is(bench):
    do = (
        "for n, checksum in enumerate(items):\n"
        "    open(os.path.join(self.cache, checksum), 'w').write(str(n))\n"
        "    self.report(checksum)\n"
        "    time.sleep(0.6)"
    )
    bench.add_service("sources/org.osbuild.slow", do)
    items = {f"sha256:{n:064x}": {} for n in range(4)}
    manifest = bench.document({"name": "p"}, sources={"org.osbuild.slow": {"items": items}})
    ran = bench.osbuild(manifest, *RECORDS)
    assert ran.status == 0, ran.stderr
    done = [s.progress[1][1] for s in ran.records if s.origin == "org.osbuild" and s.pipeline]
    assert len(done) >= 2 and done == sorted(set(done))


def test_14_inspect_loses_nothing(bench):
    bench.add_service("sources/org.osbuild.own", "return")
    outer = {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}
    stage = {
        "type": "org.osbuild.noop",
        "options": {"n": 1},
        "devices": {"outer": outer, "inner": {**outer, "parent": "outer"}},
    }
    pipeline = {"name": "p", "runner": "org.osbuild.linux", "source-epoch": 1, "stages": [stage]}
    sources = {"org.osbuild.own": {"items": {HELLO: {"url": "none"}}, "options": {"more": [1]}}}
    manifest = bench.document(pipeline, sources=sources, metadata={"generators": [{"name": "a test"}]})
    found = clientparser.one_document(bench.osbuild(manifest, "--inspect").stdout)
    assert found["pipelines"][0]["stages"][0].pop("id")
    assert found == json.loads(manifest)


def test_14_metadata_of_each_stage(bench):
    """osbuild's document has no room for two stages of one type; ours has."""
    bench.add_stage("org.osbuild.meta", "osbuild.api.metadata({'n': args['options']['n']})")
    stages = [{"type": "org.osbuild.meta", "options": {"n": n}} for n in (1, 2)]
    manifest = bench.document({"name": "p", "stages": stages})
    merged = bench.osbuild(manifest, "--export", "p", "--json").result.metadata
    assert merged == {"p": {"org.osbuild.meta": {"n": 2}}}
    path = bench.directory / "manifest.json"
    path.write_text(manifest)
    (pipeline,) = bench.result(path)["pipelines"]
    assert [stage["metadata"] for stage in pipeline["stages"]] == [{"n": 1}, {"n": 2}]


def test_the_context_of_a_record_is_not_that_of_the_stage_before(bench):
    manifest = bench.document({"name": "a", "stages": [mkdir("a")]}, {"name": "b", "stages": [tar_of("a")]})
    seen = bench.osbuild(manifest, "--export", "b", *RECORDS).records
    (start,) = [s for s in seen if s.message == "Starting pipeline b"]
    assert (start.pipeline, start.stage) == ("b", None)
