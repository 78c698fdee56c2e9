"""Whatever goes wrong is a result: one line that says what and where, status 1, nothing left behind."""

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


def failure(bench, *stages, sources=SOURCES, arguments=(), name="p"):
    """Build one pipeline, which fails: return the error of its last stage, else its own, and the document."""
    manifest = bench.manifest({"name": name, "stages": list(stages)}, sources=sources)
    done = bench.build(manifest, "--json", *arguments)
    assert done.returncode == 1, done.stderr
    assert "Traceback (most" not in done.stderr or "---" in done.stderr
    assert bench.leftovers() == []
    document = json.loads(done.stdout)
    pipeline = document["pipelines"][0]
    return (pipeline["stages"][-1]["error"] if pipeline["stages"] else pipeline["error"]), document


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("return 7", "stage.exit", "ended with status 7"),
        ("os.kill(os.getpid(), 11)", "stage.killed", "was ended by signal 11"),
        ("os.write(1, bytes(range(256))); return 1", "stage.exit", "ended with status 1"),
        ("sys.exit('no luck')", "stage.exit", "ended with status 1"),
        ("raise ValueError('first\\nsecond')", "stage.exception", "ValueError: first"),
        ("open('/run/osbuild/meta', 'w').write('{bad')", "stage.metadata", None),
    ],
)
def test_a_stage_fails(bench, code, error, message):
    bench.add_stage("org.osbuild.bad", code)
    found, _ = failure(bench, {"type": "org.osbuild.bad"})
    assert found["code"] == error
    assert message in (None, found["message"])
    assert found["path"] == ["pipelines", 0, "stages", 0]


def test_a_stage_that_prints_without_end_has_it_all_in_its_log(bench):
    bench.add_stage("org.osbuild.bad", "for n in range(1000): os.write(1, b'x' * 99999 + b'\\n')\nreturn 1")
    _, document = failure(bench, {"type": "org.osbuild.bad"})
    stage = document["pipelines"][0]["stages"][0]
    assert os.path.getsize(stage["log"]) == 100_000_000
    assert len(stage["output"]) < 70_000
    assert "bytes hidden" in stage["output"]


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


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("#!/usr/bin/no-such-thing\n", "sandbox.no-interpreter"),
        ("#!/bin/no-such-thing\n", "sandbox.no-interpreter"),
        ("#!\nexit 3\n", "stage.exit"),
        ("exit 3\n", "stage.exit"),
    ],
)
def test_a_stage_whose_interpreter_is_not_there(bench, text, code):
    bench.add_program("stages/org.osbuild.bad", text)
    error, _ = failure(bench, {"type": "org.osbuild.bad"})
    assert error["code"] == code
    assert error["path"] == ["pipelines", 0, "stages", 0]


def test_a_build_tree_without_python_is_named(bench):
    manifest = bench.manifest(
        {"name": "bare", "stages": [noop()]}, {"name": "p", "build": "name:bare", "stages": [noop(2)]}
    )
    done = bench.build(manifest)
    assert done.returncode == 1
    assert "the pipeline 'bare' has no /usr/bin/python3" in done.stderr


def test_a_runner_that_fails_is_the_failure_of_the_pipeline(bench):
    for path in (bench.library / "runners").iterdir():
        path.write_text("#!/bin/sh\n# osbuild-core: effect-kept\necho it broke >&2; exit 9\n")
    error, _ = failure(bench, noop())
    assert error["code"] == "sandbox.runner"
    assert error["message"].endswith("(status 9): it broke")


def use(bench, do, undo="pass"):
    """Return a stage whose input has the methods ``do`` and ``undo``."""
    bench.add_stage("org.osbuild.use", "return 0")
    bench.add_service("inputs/org.osbuild.in", do, undo)
    reference = {"type": "org.osbuild.in", "origin": "org.osbuild.source", "references": [HELLO]}
    return {"type": "org.osbuild.use", "inputs": {"i": reference}}


MAPPED = "return {'path': target}"


@pytest.mark.parametrize(
    ("do", "undo", "code", "message"),
    [
        ("raise ValueError('first\\nsecond')", "pass", "service.failed", "first"),
        (
            "print('about to die'); os._exit(3)",
            "pass",
            "service.gone",
            "before it answered 'map' (about to die)",
        ),
        ("os.kill(os.getpid(), 9)", "pass", "service.gone", "the service ended before it answered 'map'"),
        ("return {}", "pass", "service.protocol", "replied no path"),
        ("return {'path': '/etc'}", "pass", "service.protocol", "outside of its directory: /etc"),
        (MAPPED, "raise ValueError('at the end')", "service.exit", "status 1: ValueError: at the end"),
        (MAPPED, "os.kill(os.getpid(), 9)", "service.exit", "ended with status -9: no output"),
    ],
)
def test_a_service_fails(bench, do, undo, code, message):
    error, _ = failure(bench, use(bench, do, undo))
    assert error["code"] == code
    assert message in error["message"]
    assert "\n" not in error["message"]


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


def test_the_failure_of_the_stage_comes_before_that_of_its_services(bench):
    stage = use(bench, MAPPED, "raise ValueError('at the end')")
    bench.add_stage("org.osbuild.use", "raise KeyError('mine')")
    error, _ = failure(bench, stage)
    assert error["message"] == "KeyError: 'mine'"


@pytest.mark.parametrize(
    ("do", "code"),
    [
        ("raise ValueError('no')", "source.failed"),
        ("return", "source.failed"),
        ("os._exit(4)", "service.gone"),
    ],
)
def test_a_source_fails(bench, do, code):
    bench.add_service("sources/org.osbuild.bad", do, "pass")
    wanted = f"sha256:{1:064x}"
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [wanted]}
    bench.add_stage("org.osbuild.use", "return 0")
    stage = {"type": "org.osbuild.use", "inputs": {"i": files}}
    error, document = failure(bench, stage, sources={"org.osbuild.bad": {"items": {wanted: {}}}})
    assert error["code"] == "cancelled"
    assert document["sources"][0]["error"]["code"] == code


def test_credentials_in_a_url_are_not_shown(bench):
    wanted = f"sha256:{1:064x}"
    url = "file://user:hunter2@localhost/no/such/file?token=hunter2"
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [wanted]}
    bench.add_stage("org.osbuild.use", "return 0")
    manifest = bench.manifest(
        {"name": "p", "stages": [{"type": "org.osbuild.use", "inputs": {"i": files}}]},
        sources={"org.osbuild.curl": {"items": {wanted: {"url": url}}}},
    )
    done = bench.build(manifest, "--json", "--verbose")
    assert done.returncode == 1
    assert json.loads(done.stdout)["sources"][0]["error"]["code"] == "source.failed"
    assert "hunter2" not in done.stdout + done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of 24 MB."""
    image, directory = tmp_path / "image", tmp_path / "disk"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)
    yield directory
    subprocess.run(["umount", directory], check=True)


def rest(bench):
    """Return what was left behind, the small disk apart."""
    return [line for line in bench.leftovers() if "/disk " not in line and "/image" not in line]


FILL = "file = open(args['tree'] + '/big', 'wb', 0)\nwhile True: file.write(b'x' * 65536)"


def indented(code):
    return "\n".join(f"    {line}" for line in code.splitlines())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (FILL, "stage.exception"),
        # The disk is full when the log is written, then when there is more and more of it.
        (f"try:\n{indented(FILL)}\nexcept OSError: pass\nprint('z' * 9999999)", "store.full"),
        ("for _ in range(400): print('z' * 99999)", "store.full"),
    ],
)
def test_a_full_disk_under_the_store_fails_the_stage(bench, small_disk, code, error):
    bench.store = small_disk / "store"
    bench.add_stage("org.osbuild.fill", code)
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.fill"}]})
    done = bench.build(manifest, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)["pipelines"][0]["stages"][0]["error"]
    assert found["code"] == error
    assert found["hint"] or error == "stage.exception"
    assert rest(bench) == []
    for log in (bench.store / "logs").iterdir():
        log.unlink()
    bench.result(bench.manifest({"name": "p", "stages": [noop()]}))


def test_a_full_disk_where_the_export_goes(bench, small_disk):
    bench.add_stage("org.osbuild.big", "open(args['tree'] + '/big', 'wb').write(b'x' * (30 << 20)); return 0")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.big"}]})
    done = bench.build(manifest, "--export", "p", "-o", small_disk / "out", "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["exports"][0]["error"]
    assert error["code"] == "export.copy"
    assert "No space left on device" in error["message"]
    assert rest(bench) == []
    # What was built is there all the same.
    assert bench.ran(manifest) == []


def test_a_read_only_store_says_so(bench, small_disk):
    bench.store = small_disk / "store"
    manifest = bench.manifest({"name": "p", "stages": [noop()]})
    bench.result(manifest)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = bench.build(manifest, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"][0]["code"] == "store.read-only"


@pytest.mark.parametrize("taken", ["out", "out/p"])
def test_an_output_directory_that_cannot_be_is_an_error(bench, taken):
    place = bench.directory / taken
    place.parent.mkdir(exist_ok=True)
    place.write_text("here is a file")
    manifest = bench.manifest({"name": "p", "stages": [noop()]})
    done = bench.build(manifest, "--export", "p", "-o", bench.directory / "out")
    assert done.returncode == 1
    assert "cannot make the" in done.stderr and "Traceback" not in done.stderr
    assert place.read_text() == "here is a file"


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


def test_an_export_module_is_not_taken_for_a_pipeline(bench):
    (bench.library / "exports").mkdir()
    bench.add_program("exports/org.osbuild.out", "#!/bin/sh\n")
    exports = {"nightly": {"type": "org.osbuild.out", "pipeline": "name:p"}}
    manifest = bench.manifest({"name": "p", "stages": [noop()]}, exports=exports)
    done = bench.build(manifest, "--export", "nightly", "-o", bench.directory / "out", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"][0]["code"] == "usage.export-module"


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
