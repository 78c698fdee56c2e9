"""What goes wrong in osbuild 191 and not here. Numbers are those of the list of its faults that we keep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE, eventually
from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import HELLO, INLINE, copy_hello, mkdir, tar_of

pytestmark = pytest.mark.root

RECORDS = ("--monitor=JSONSeqMonitor", "--monitor-fd=3")

MEET = """
deadline = time.monotonic() + 60
open(here, 'w').close()
while not os.path.exists(there):
    if time.monotonic() > deadline:
        raise RuntimeError('nobody came')
    time.sleep(0.02)
"""
"""Code that ends when somebody else runs it at the same time; ``here`` and ``there`` are files."""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor has one pipeline at a time")
def test_1_pipelines_run_at_the_same_time(bench):
    mount = bench.add_marks()
    places = "here, there = ('/run/osbuild/mounts/marks/' + args['options'][w] for w in ('here', 'there'))"
    bench.add_stage("org.osbuild.meet", f"{places}\n{MEET}")

    def meeting(here, there):
        options = {"here": here, "there": there}
        return {
            "name": here,
            "stages": [{"type": "org.osbuild.meet", "options": options, "mounts": [mount]}],
        }

    manifest = bench.document(meeting("a", "b"), meeting("b", "a"))
    ran = bench.osbuild(manifest, "--export", "a", "--export", "b", "--json")
    assert ran.status == 0, ran.stderr
    assert bench.leftovers() == []


def test_1_sources_are_fetched_at_the_same_time(bench):
    sources = {}
    for number, (here, there) in enumerate((("left", "right"), ("right", "left"))):
        places = f"here, there = {str(bench.directory / here)!r}, {str(bench.directory / there)!r}"
        store = "open(os.path.join(self.cache, next(iter(items))), 'w').write('x')"
        bench.add_service(f"sources/org.osbuild.{here}", f"{places}\n{MEET}\n{store}")
        sources[f"org.osbuild.{here}"] = {"items": {f"sha256:{number:064x}": {}}}
    ran = bench.osbuild(bench.document({"name": "p"}, sources=sources), "--json")
    assert ran.status == 0, ran.stderr


SIZE = 20 << 20


def used(directory):
    """Return how many bytes are on the disk for what is below ``directory``; what has several names counts once."""
    paths = (path.lstat() for path in directory.rglob("*"))
    return sum({found.st_ino: found.st_blocks * 512 for found in paths}.values())


def test_2_a_checkpoint_costs_what_its_stage_changed(bench):
    def info():
        return json.loads(bench.run("store", "info", "--store", bench.store, "--json").stdout)

    bench.add_stage("org.osbuild.big", f"open(args['tree'] + '/big', 'wb').write(os.urandom({SIZE}))")
    stages = [{"type": "org.osbuild.big"}, *(mkdir(f"d{n}") for n in range(5))]
    manifest = bench.document({"name": "p", "stages": stages})
    assert bench.osbuild(manifest, "--export", "p", "--checkpoint", "*").status == 0
    about = info()
    # And what the runner made.
    assert about["objects"] == len(stages) + 1
    if about["backend"] != "overlay":
        pytest.skip("overlay mounts do not work on this file system")
    assert SIZE <= used(bench.store) < 1.5 * SIZE
    # Nor is the tree copied for what is built on one of them.
    other = bench.document({"name": "p", "stages": [*stages[:3], mkdir("other")]})
    (entry,) = bench.osbuild(other, "--export", "p", "--json").result.log["p"]
    assert entry.type == "org.osbuild.mkdir"
    assert info()["objects"] == about["objects"] + 1
    assert used(bench.store) < 1.5 * SIZE


def test_2_what_was_built_is_kept_without_a_checkpoint_and_without_a_size(bench):
    stages = [mkdir("a"), mkdir("b")]
    bench.osbuild(bench.document({"name": "p", "stages": stages}), "--export", "p")
    longer = bench.document({"name": "p", "stages": [*stages, mkdir("c")]})
    (entry,) = bench.osbuild(longer, "--export", "p", "--json").result.log["p"]
    assert entry.type == "org.osbuild.mkdir"
    assert sorted(os.listdir(bench.out / "p")) == ["a", "b", "c"]


def test_3_many_references_are_loaded_in_no_time(bench):
    """20,000 of them, for which osbuild takes some minutes."""
    items = {f"sha256:{n:064x}": {"url": "http://127.0.0.1:1/"} for n in range(20_000)}
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(items)}
    stage = {
        "type": "org.osbuild.copy",
        "inputs": {"f": files},
        "options": {"paths": [{"from": f"input://f/{next(iter(items))}", "to": "tree:///f"}]},
    }
    path = bench.manifest({"name": "p", "stages": [stage]}, sources={"org.osbuild.curl": {"items": items}})
    words = [OSBUILD, "--inspect", path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=bench.environment)
    assert done.returncode == 0, done.stderr
    (stage,) = clientparser.one_document(done.stdout)["pipelines"][0]["stages"]
    assert len(stage["inputs"]["f"]["references"]) == len(items)


def test_4_the_build_root_is_prepared_once(bench):
    for path in (bench.library / "runners").iterdir():
        path.unlink()
        path.write_text('#!/bin/sh\n# osbuild-core: effect-kept\necho being prepared\nexec "$@"\n')
        path.chmod(0o755)
    stages = [mkdir(name) for name in ("a", "b", "c")]
    ran = bench.osbuild(bench.document({"name": "p", "stages": stages}), "--export", "p", "--json", *RECORDS)
    assert ran.status == 0, ran.stderr
    assert "".join(record.message for record in ran.records).count("being prepared") == 1
    # Nor is it what the stages said.
    assert [entry.output for entry in ran.result.log["p"]] == [""] * 3
    more = bench.document({"name": "p", "stages": [*stages, mkdir("d")]})
    again = bench.osbuild(more, "--export", "p", *RECORDS)
    assert "being prepared" not in "".join(record.message for record in again.records)


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


USUAL = {
    **{
        "chown": 0,
        "dac_override": 1,
        "dac_read_search": 2,
        "fowner": 3,
        "fsetid": 4,
        "setgid": 6,
        "setuid": 7,
    },
    **{"setpcap": 8, "linux_immutable": 9, "net_bind_service": 10, "ipc_lock": 14, "sys_chroot": 18},
    **{"sys_admin": 21, "sys_nice": 23, "sys_resource": 24, "mknod": 27, "audit_write": 29, "setfcap": 31},
    **{"mac_override": 32},
}
"""The capabilities that every stage has, with their numbers (linux/capability.h)."""


@pytest.mark.parametrize("lacking", ["sys_nice", "net_raw"])
def test_9_a_stage_has_no_more_capabilities_than_it_may(bench, lacking):
    """Even where the caller lacks one of those that it is to get."""
    code = "print(next(l for l in open('/proc/self/status') if l.startswith('CapEff')), end='')"
    bench.add_stage("org.osbuild.caps", code)
    path = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.caps"}]})
    own = ["--store", bench.store, "--libdir", bench.library, "--output-directory", bench.out]
    without = ["setpriv", f"--bounding-set=-{lacking}", f"--inh-caps=-{lacking}"]
    done = subprocess.run(
        [*without, OSBUILD, *own, "--export", "p", "--json", path],
        capture_output=True,
        text=True,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output = clientparser.result(done.stdout).log["p"][0].output
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapPrm:")[2].split()[0], 16)
    expected = sum(1 << number for name, number in USUAL.items() if name != lacking) & held
    assert int(output.split()[1], 16) == expected


def test_10_what_changes_the_result_is_built_again(bench):
    """The id has no devices, no runner and no code of modules, as osbuild's; what is found again does."""
    uuid = {"uuid": "2ee5b0ae-5b6a-4c08-a5e9-4b3b0b3b4b0e"}

    def build(start):
        device = {"type": "org.osbuild.loopback", "options": {"filename": "disk", "start": start}}
        truncate = {"type": "org.osbuild.truncate", "options": {"filename": "disk", "size": "4194304"}}
        mkfs = {"type": "org.osbuild.mkfs.ext4", "options": uuid, "devices": {"device": device}}
        manifest = bench.document({"name": "p", "stages": [truncate, mkfs]})
        ran = bench.osbuild(manifest, "--export", "p", "--json")
        assert ran.status == 0, ran.stderr
        return [(entry.type, entry.id) for entry in ran.result.log.get("p", [])]

    first = build(0)
    assert build(0) == []
    # The one before it made way for what was written into its disk, so that one may be run again as well.
    assert build(8)[-1:] == first[1:]
    assert (bench.out / "p" / "disk").read_bytes()[8 * 512 + 1024 + 56 :][:2] == b"\x53\xef"
    program = bench.library / "stages" / "org.osbuild.mkfs.ext4"
    program.write_text(program.read_text() + "\n")
    assert build(8)[-1:] == first[1:]
    for path in (bench.library / "runners").iterdir():
        path.write_text(path.read_text() + "\n")
    assert build(8) == first
    assert build(8) == []


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


def test_12_a_user_without_rights_can_fetch_and_is_told_that_building_needs_root(bench):
    manifest = bench.document({"name": "p", "stages": [copy_hello()]}, sources=INLINE)
    # Directories of tests are closed to others.
    with tempfile.TemporaryDirectory() as store:
        os.chown(store, 65534, 65534)

        def osbuild(*words):
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", OSBUILD]
            return subprocess.run(
                [*nobody, *words],
                input=manifest,
                capture_output=True,
                text=True,
                cwd="/",
                env=bench.environment,
            )

        if osbuild("--version").returncode != 0:
            pytest.skip("the program is closed to other users")
        done = osbuild("--store", store, "--json", "-")
        assert done.returncode == 0 and clientparser.result(done.stdout).success, done.stderr
        assert os.listdir(f"{store}/sources/org.osbuild.files") == [HELLO]
        done = osbuild("--store", store, "--output-directory", f"{store}/out", "--export", "p", "--json", "-")
        result = clientparser.result(done.stdout)
        assert (done.returncode, result.failed["code"]) == (1, "sandbox.not-root")
        assert done.stderr.count("\n") == 1


def test_13_packages_of_debian(bench):
    """That a whole tree of them comes out is for the tests of whole images."""
    deb = {
        "type": "org.osbuild.deb",
        "inputs": {
            "packages": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
        },
    }
    pipeline = {"name": "p", "runner": "org.osbuild.debian12", "stages": [deb]}
    ran = bench.osbuild(bench.document(pipeline, sources=INLINE), "--inspect")
    assert ran.status == 0, ran.stdout


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


def test_15_a_store_can_be_made_smaller(bench):
    manifest = bench.document({"name": "p", "stages": [mkdir("a"), copy_hello()]}, sources=INLINE)
    bench.osbuild(manifest, "--export", "p")
    done = bench.run("store", "gc", "--store", bench.store, "--max-size", "0", "--json", program=OSBUILD_CORE)
    assert json.loads(done.stdout)["left"] == 0
    assert bench.osbuild(manifest, "--export", "p").status == 0


def test_the_context_of_a_record_is_not_that_of_the_stage_before(bench):
    manifest = bench.document({"name": "a", "stages": [mkdir("a")]}, {"name": "b", "stages": [tar_of("a")]})
    seen = bench.osbuild(manifest, "--export", "b", *RECORDS).records
    (start,) = [s for s in seen if s.message == "Starting pipeline b"]
    assert (start.pipeline, start.stage) == ("b", None)
