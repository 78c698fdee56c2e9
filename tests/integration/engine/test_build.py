"""From a manifest to trees in the store and exports out of it: what runs, what does not, what is left."""

from __future__ import annotations

import json
import tarfile

import pytest

from tests.integration.engine.conftest import OSBUILD

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
SOURCES = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}


def noop(n: int):
    return {"type": "org.osbuild.noop", "options": {"n": n}}


def copy_hello(to: str = "tree:///hello"):
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
    return {
        "type": "org.osbuild.copy",
        "inputs": {"f": files},
        "options": {"paths": [{"from": f"input://f/{HELLO}", "to": to}]},
    }


def tar_of(name: str):
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [f"name:{name}"]}
    return {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t.tar"}}


def skeleton(hostname: str = "one"):
    mkdir = {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}}
    name = {"type": "org.osbuild.hostname", "options": {"hostname": hostname}}
    return [
        {"name": "tree", "source-epoch": 1700000000, "stages": [mkdir, copy_hello(), name]},
        {"name": "tar", "stages": [tar_of("tree")]},
    ]


def test_a_manifest_becomes_a_tar(bench):
    out = bench.directory / "out"
    done = bench.build(bench.manifest(*skeleton(), sources=SOURCES), "--export", "tar", "-o", out)
    assert done.returncode == 0, done.stderr
    with tarfile.open(out / "tar" / "t.tar") as archive:
        assert archive.extractfile("./hello").read() == b"hello\n"
        assert archive.extractfile("./etc/hostname").read().strip() == b"one"
        assert {member.mtime for member in archive} == {1700000000}
    assert bench.leftovers() == []


def test_a_second_build_runs_and_fetches_nothing(bench):
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    assert len(bench.ran(manifest)) == 4
    again = bench.result(manifest)
    assert all(stage["cached"] for pipeline in again["pipelines"] for stage in pipeline["stages"])
    assert again["sources"] == []


def test_a_late_option_runs_its_stage_and_what_follows(bench):
    bench.ran(bench.manifest(*skeleton("one"), sources=SOURCES))
    assert bench.ran(bench.manifest(*skeleton("two"), sources=SOURCES)) == [("tree", 2), ("tar", 0)]
    assert bench.ran(bench.manifest(*skeleton("one"), sources=SOURCES)) == []


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("stages/org.osbuild.hostname", [("tree", 2), ("tar", 0)]),
        ("inputs/org.osbuild.tree", [("tar", 0)]),
        ("inputs/org.osbuild.files", [("tree", 1), ("tree", 2), ("tar", 0)]),
    ],
)
def test_editing_a_module_runs_what_uses_it_and_what_follows(bench, module, expected):
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    bench.ran(manifest)
    with (bench.library / module).open("a") as file:
        file.write("\n# another line\n")
    assert bench.ran(manifest) == expected


def test_four_pipelines_run_at_the_same_time(bench):
    """Each waits until all four are there, which never happens one after the other."""
    gate = bench.directory / "gate"
    gate.mkdir()
    bench.add_stage(
        "org.osbuild.meet",
        """
open(f"/run/osbuild/mounts/gate/{args['options']['n']}", "w").close()
for _ in range(3000):
    if len(os.listdir("/run/osbuild/mounts/gate")) == 4: return 0
    time.sleep(0.01)
return 1
""",
    )
    # A mount service of the test: shows the gate in every sandbox.
    mount = bench.library / "mounts" / "org.osbuild.gate"
    mount.write_text(
        "#!/usr/bin/python3\nimport os, sys\nfrom osbuild import mounts\nfrom osbuild.util import mnt\n\n"
        "class Gate(mounts.MountService):\n"
        "    def mount(self, args):\n"
        "        self.point = os.path.join(args['root'], 'gate'); os.makedirs(self.point)\n"
        f"        os.system(f'mount --bind {gate} ' + self.point)\n"
        "        return self.point\n"
        "    def umount(self): os.system('umount ' + self.point)\n"
        "    def sync(self): pass\n\n"
        "if __name__ == '__main__': Gate.from_args(sys.argv[1:]).main()\n"
    )
    mount.chmod(0o755)
    anything = {"additionalProperties": True}
    mount.with_name("org.osbuild.gate.meta.json").write_text(
        json.dumps({"summary": "a gate", "description": [], "schema_2": anything})
    )
    gate_mount = [{"name": "gate", "type": "org.osbuild.gate"}]
    pipelines = [
        {"name": f"p{n}", "stages": [{"type": "org.osbuild.meet", "options": {"n": n}, "mounts": gate_mount}]}
        for n in range(4)
    ]
    done = bench.build(bench.manifest(*pipelines), "--jobs", 4)
    assert done.returncode == 0, done.stderr
    assert bench.leftovers() == []


def failing(bench):
    bench.add_stage("org.osbuild.bad", "print('this went wrong'); return 3")
    bench.add_stage("org.osbuild.sleep", "time.sleep(args['options']['seconds']); return 0")
    return bench.manifest(
        {"name": "bad", "stages": [{"type": "org.osbuild.bad"}]},
        {"name": "slow", "stages": [{"type": "org.osbuild.sleep", "options": {"seconds": 60}}, noop(1)]},
    )


def test_a_failure_cancels_the_rest_and_shows_its_log(bench):
    done = bench.build(failing(bench), "--jobs", 2)
    assert done.returncode == 1
    assert "this went wrong" in done.stderr
    assert "org.osbuild.bad: pipelines[0].stages[0]: ended with status 3" in done.stderr
    assert bench.leftovers() == []
    # What was cancelled is not taken for done.
    assert (bench.store / "objects").is_dir()
    plan = json.loads(
        bench.run("plan", "--json", "--store", bench.store, "--libdir", bench.library, failing(bench)).stdout
    )
    assert [s["run"] for p in plan["pipelines"] for s in p["stages"]] == [True, True, True]


def test_keep_going_finishes_what_does_not_depend_on_the_failure(bench):
    bench.add_stage("org.osbuild.bad", "return 3")
    manifest = bench.manifest(
        {"name": "bad", "stages": [{"type": "org.osbuild.bad"}]},
        {"name": "needs", "build": "name:bad", "stages": [noop(1)]},
        {"name": "good", "stages": [noop(n) for n in range(3)]},
    )
    done = bench.build(manifest, "--jobs", 1, "--keep-going", "--json")
    assert done.returncode == 1
    results = {p["name"]: p for p in json.loads(done.stdout)["pipelines"]}
    assert results["good"]["success"] and len(results["good"]["stages"]) == 3
    assert results["bad"]["stages"][0]["error"]["code"] == "stage.exit"
    assert results["needs"]["error"]["code"] == "cancelled"


def test_an_exception_of_a_stage_is_its_error(bench):
    bench.add_stage("org.osbuild.raise", "raise ValueError('no such thing')")
    done = bench.build(bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.raise"}]}), "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["pipelines"][0]["stages"][0]["error"]
    assert error["code"] == "stage.exception"
    assert error["message"] == "ValueError: no such thing"
    assert error["data"]["type"] == "ValueError"


def test_metadata_comes_out_the_same_fresh_and_cached(bench):
    bench.add_stage("org.osbuild.meta", "osbuild.api.metadata({'packages': [1, 2]}); return 0")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.meta"}, noop(1)]})
    fresh, cached = (
        [s["metadata"] for s in bench.result(manifest)["pipelines"][0]["stages"]] for _ in range(2)
    )
    assert fresh == cached == [{"packages": [1, 2]}, None]


def test_stage_timeout(bench):
    bench.add_stage("org.osbuild.sleep", "time.sleep(60)")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.sleep"}]})
    done = bench.build(manifest, "--stage-timeout", "3", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["pipelines"][0]["stages"][0]["error"]["code"] == "stage.timeout"
    assert bench.leftovers() == []


def test_a_stage_sees_what_the_runner_made_and_not_what_the_stage_before_left(bench):
    bench.add_stage("org.osbuild.litter", "open('/etc/litter', 'w').close(); open('/var/tmp/l', 'w').close()")
    bench.add_stage(
        "org.osbuild.look",
        "assert not os.path.exists('/etc/litter') and os.listdir('/var/tmp') == []\n"
        "assert os.path.exists('/etc/ld.so.cache')\nopen('/var/tmp/again', 'w').close()",
    )
    stages = [{"type": f"org.osbuild.{name}"} for name in ("litter", "look", "look")]
    stages[2]["options"] = {"n": 2}
    bench.result(bench.manifest({"name": "p", "stages": stages}))


def test_the_backends_make_the_same_tar(bench):
    tars = []
    for backend in ("overlay", "copy"):
        out = bench.directory / backend
        bench.store = bench.directory / f"store-{backend}"
        manifest = bench.manifest(*skeleton(), sources=SOURCES)
        done = bench.build(manifest, "--store-backend", backend, "--export", "tar", "-o", out)
        assert done.returncode == 0, done.stderr
        tars.append((out / "tar" / "t.tar").read_bytes())
    assert tars[0] == tars[1]


def test_osbuild_builds_the_same_and_prints_its_json(bench):
    out = bench.directory / "out"
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    arguments = ("--store", bench.store, "--libdir", bench.library, "--out", out, "--checkpoint", "tree")
    done = bench.run(*arguments, "--export", "tar", "--json", manifest, program=OSBUILD)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["type"] == "result" and document["success"]
    assert [entry["type"] for entry in document["log"]["tree"]] == [
        "org.osbuild.mkdir",
        "org.osbuild.copy",
        "org.osbuild.hostname",
    ]
    assert (out / "tar" / "t.tar").is_file()


def test_osbuild_without_export_downloads_and_builds_nothing(bench):
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    done = bench.run("--store", bench.store, "--libdir", bench.library, "--json", manifest, program=OSBUILD)
    assert done.returncode == 0, done.stderr
    assert (bench.store / "sources" / "org.osbuild.files" / HELLO).read_bytes() == b"hello\n"
    assert list((bench.store / "objects").iterdir()) == []


def test_a_checkpoint_that_matches_nothing_is_an_error(bench):
    done = bench.build(bench.manifest(*skeleton(), sources=SOURCES), "--checkpoint", "nothing")
    assert done.returncode == 1
    assert "nothing" in done.stderr


def test_a_source_item_that_is_not_listed_is_refused_before_anything_runs(bench):
    done = bench.build(bench.manifest(*skeleton()))
    assert done.returncode == 2
    assert "pipelines[0].stages[1].inputs.f.references" in done.stderr
