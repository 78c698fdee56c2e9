"""What stages, services and exports may do, and what does not come of it; how they fail is in ../hardening."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

import pytest

from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
SOURCES = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}


def noop(n=1):
    return {"type": "org.osbuild.noop", "options": {"n": n}}


def test_control_characters_of_a_stage_do_not_reach_the_terminal(bench):
    bench.add_stage("org.osbuild.bad", "print('a\\033[2Jb'); return 1")
    done = bench.build(bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.bad"}]}), "--verbose")
    assert "\033" not in done.stderr
    assert "p | a\ufffd[2Jb" in done.stderr.splitlines()


def test_a_stage_holds_nothing_but_its_standard_streams(bench):
    bench.environment["SOME_SECRET"] = "hunter2"
    bench.add_stage(
        "org.osbuild.look",
        "assert sorted(os.listdir('/proc/self/fd')) == ['0', '1', '2', '3'], os.listdir('/proc/self/fd')\n"
        "assert 'SOME_SECRET' not in os.environ\n"
        "environments = [open(f'/proc/{p}/environ').read() for p in os.listdir('/proc') if p.isdigit()]\n"
        "assert not any('hunter2' in text for text in environments)",
    )
    bench.result(bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.look"}]}))


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_what_a_stage_left_in_its_var_does_not_hold_up_the_next(bench, backend):
    bench.add_stage(
        "org.osbuild.litter",
        "os.makedirs('/var/tmp/a/b'); open('/var/tmp/a/b/c', 'w').close(); open('/var/x', 'w').close()\n"
        "assert os.system('chattr +i /var/tmp/a/b/c /var/tmp/a') == 0",
    )
    bench.add_stage(
        "org.osbuild.look", "assert os.listdir('/var/tmp') == [] and not os.path.exists('/var/x')"
    )
    stages = [{"type": "org.osbuild.litter"}, {"type": "org.osbuild.look"}]
    bench.result(bench.manifest({"name": "p", "stages": stages}), "--store-backend", backend)
    assert bench.leftovers() == []


def test_files_made_immutable_stay_so_for_the_next_stage(bench):
    bench.add_stage(
        "org.osbuild.lock",
        "path = args['tree'] + '/fixed'\nopen(path, 'w').close()\nassert os.system('chattr +i ' + path) == 0",
    )
    bench.add_stage(
        "org.osbuild.look", "assert os.system('lsattr ' + args['tree'] + ' | grep -q -- ----i') == 0"
    )
    stages = [{"type": "org.osbuild.lock"}, {"type": "org.osbuild.look"}]
    bench.result(bench.manifest({"name": "p", "stages": stages}))


def test_a_stage_does_without_what_its_metadata_withholds(bench):
    bench.add_stage(
        "org.osbuild.lock",
        "path = args['tree'] + '/free'\nopen(path, 'w').close()\n"
        "assert os.system('chattr +i ' + path) != 0\nos.chown(path, 1, 1)",
    )
    meta = {"summary": "Try", "schema": {}, "withheld": ["CAP_LINUX_IMMUTABLE"]}
    (bench.library / "stages/org.osbuild.lock.meta.json").write_text(json.dumps(meta))
    bench.result(bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.lock"}]}))


def use(bench, do, undo="pass"):
    """Return a stage whose input has the methods ``do`` and ``undo``."""
    bench.add_stage("org.osbuild.use", "return 0")
    bench.add_service("inputs/org.osbuild.in", do, undo)
    reference = {"type": "org.osbuild.in", "origin": "org.osbuild.source", "references": [HELLO]}
    return {"type": "org.osbuild.use", "inputs": {"i": reference}}


MAPPED = "return {'path': target}"


def test_all_that_a_service_prints_is_in_the_log(bench):
    stage = use(bench, f"for n in range(30000): print('y' * 999)\n{MAPPED}", "print('the end')")
    stages = bench.result(bench.manifest({"name": "p", "stages": [stage]}, sources=SOURCES))["pipelines"][0]
    with open(stages["stages"][0]["log"]) as log:
        lines = log.read().splitlines()
    assert len(lines) == 30001
    assert lines[-1] == "input/i (org.osbuild.in): the end"


def test_what_a_service_leaves_running_is_ended(bench):
    start = "subprocess.Popen(['sleep', '600'], start_new_session="
    stage = use(bench, f"import subprocess; {start}False); {start}True)\n{MAPPED}")
    bench.result(bench.manifest({"name": "p", "stages": [stage]}, sources=SOURCES))
    assert bench.leftovers() == []


def test_a_mount_that_a_service_leaves_is_taken_away(bench):
    do = f"os.system('mount -t tmpfs none ' + target)\n{MAPPED}"
    bench.result(bench.manifest({"name": "p", "stages": [use(bench, do)]}, sources=SOURCES))
    assert bench.leftovers() == []


def test_an_export_goes_over_an_older_one_and_through_no_link(bench):
    bench.add_stage("org.osbuild.write", "open(args['tree'] + '/file', 'w').write('new')")
    victim = bench.directory / "victim"
    victim.write_text("precious")
    out = bench.directory / "out"
    (out / "p").mkdir(parents=True)
    (out / "p" / "file").symlink_to(victim)
    (out / "p" / "other").write_text("stays")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.write"}]})
    done = bench.build(manifest, "--export", "p", "--export", "p", "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["exports"]) == 1
    assert victim.read_text() == "precious"
    assert (out / "p" / "file").read_text() == "new" and not (out / "p" / "file").is_symlink()
    assert (out / "p" / "other").read_text() == "stays"


def test_a_pipeline_without_stages_is_exported_as_an_empty_directory(bench):
    out = bench.directory / "out"
    done = bench.build(bench.manifest({"name": "p"}), "--export", "p", "-o", out)
    assert done.returncode == 0, done.stderr
    assert list((out / "p").iterdir()) == []


def test_the_umask_of_the_user_does_not_show_in_trees(bench):
    bench.add_stage(
        "org.osbuild.write",
        "assert oct(os.stat('/etc').st_mode) == oct(os.stat('/var').st_mode) == '0o40755'\n"
        "assert oct(os.stat('/run/osbuild/inputs').st_mode) == '0o40755'\n"
        "open(args['tree'] + '/file', 'w').close(); os.mkdir(args['tree'] + '/directory')",
    )
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.write"}]})
    out = bench.directory / "out"
    command = [OSBUILD_CORE, "build", "--store", bench.store, "--libdir", bench.library, manifest]
    done = subprocess.run(
        [*command, "--export", "p", "-o", out],
        capture_output=True,
        text=True,
        umask=0o077,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stderr
    modes = [oct((out / "p" / name).stat().st_mode & 0o777) for name in ("", "file", "directory")]
    assert modes == ["0o755", "0o644", "0o755"]


def as_nobody(bench, *arguments, program=OSBUILD_CORE):
    """Run the command line as a normal user, with the manifest as its standard input."""
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, *arguments]
    return subprocess.run(
        [str(word) for word in command],
        stdin=(bench.directory / "manifest.json").open(),
        capture_output=True,
        text=True,
        cwd="/",
        env=bench.environment,
    )


def test_a_normal_user_can_look_and_download_and_is_told_that_building_needs_root(bench):
    bench.manifest({"name": "p", "stages": [noop()]}, sources=SOURCES)
    # Directories of tests are closed to others.
    with tempfile.TemporaryDirectory() as store:
        os.chown(store, 65534, 65534)
        if as_nobody(bench, "--version").returncode != 0:
            pytest.skip("the program is closed to other users")
        done = as_nobody(bench, "build", "--store", store, "--json", "-")
        assert done.returncode == 1
        assert json.loads(done.stdout)["errors"][0]["code"] == "sandbox.not-root"
        assert as_nobody(bench, "plan", "--store", store, "-").returncode == 0
        assert as_nobody(bench, "--store", store, "-", program=OSBUILD).returncode == 0
        assert os.listdir(f"{store}/sources/org.osbuild.files") == [HELLO]
        # Also where root has built it all.
        bench.store = store
        bench.result(bench.directory / "manifest.json")
        done = as_nobody(bench, "build", "--store", store, "--json", "-")
        assert json.loads(done.stdout)["errors"][0]["code"] == "sandbox.not-root"


@pytest.mark.parametrize(("says", "hint"), [("print('why')", "its output may"), ("", "it printed nothing")])
def test_the_hint_knows_whether_there_is_output(bench, says, hint):
    bench.add_stage("org.osbuild.use", f"{says}\nreturn 3")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.use"}]})
    result = json.loads(bench.build(manifest, "--json").stdout)
    assert result["pipelines"][0]["stages"][0]["error"]["hint"].startswith(hint)
