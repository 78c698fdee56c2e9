"""Stages, services and sources that fail, in all the ways that programs do: a result in one line, nothing left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.engine.conftest import OSBUILD, Bench
from tests.integration.hardening.faces import FACES, Expected, all_at_once, check
from tests.modules.sources.web import Web, cut

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
SOURCES = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}
NOOP = {"type": "org.osbuild.noop", "options": {"n": 1}}
BAD = {"type": "org.osbuild.bad"}

STAGE = ("pipelines", 0, "stages", 1)


def fails(bench: Bench, expected: Expected, *stages: Any, sources: Any = SOURCES, more: Any = ()) -> None:
    """Build a pipeline of a good stage and ``stages`` through each face; it fails as expected."""
    manifest = bench.manifest({"name": "p", "stages": [NOOP, *stages]}, sources=sources)
    for face in FACES:
        check(face, bench, face.run(bench, manifest, *more), expected)


def fails_slowly(bench: Bench, expected: Expected, manifest: Path, *more: Any) -> None:
    """Build ``manifest`` through all faces at once."""
    for face, done in all_at_once(bench, manifest, *more):
        check(face, bench, done, expected)


def stage(code: str, message: str, hint: str = "") -> Expected:
    return Expected("stage", f"stage.{code}", message, STAGE, hint)


TOO_MUCH = "with open('/run/osbuild/meta', 'w') as file: file.write('[' + ' ' * (17 << 20) + ']')"
STAGES: dict[str, tuple[str, Expected]] = {
    "exits": ("return 7", stage("exit", "ended with status 7")),
    "exits with the highest status": ("return 255", stage("exit", "ended with status 255")),
    "exits with a text": ("sys.exit('no luck')", stage("exit", "ended with status 1")),
    "exits with bytes that are no text": (
        "os.write(1, bytes(range(256))); return 1",
        stage("exit", "ended with status 1"),
    ),
    "raises": ("raise ValueError('first\\nsecond')", stage("exception", "ValueError: first")),
    "raises nothing to read": ("raise ValueError('\\033[2J')", stage("exception", "ValueError: ")),
    "kills itself": (
        "os.kill(os.getpid(), 9)",
        stage("killed", "was ended by signal 9 (SIGKILL)", "was the machine out of memory?"),
    ),
    "has a segmentation fault": (
        "import ctypes; ctypes.string_at(0)",
        stage("killed", "was ended by signal 11 (SIGSEGV)"),
    ),
    "aborts": ("os.abort()", stage("killed", "was ended by signal 6 (SIGABRT)")),
    "writes bad metadata": (
        "open('/run/osbuild/meta', 'w').write('{bad')",
        stage("metadata", "the stage's metadata is not JSON"),
    ),
    "writes deep metadata": (
        "open('/run/osbuild/meta', 'w').write('[' * 100000)",
        stage("metadata", "the stage's metadata is not JSON"),
    ),
    "writes metadata of no encoding": (
        "open('/run/osbuild/meta', 'wb').write(b'\\xff\\xfe\\xff')",
        stage("metadata", "the stage's metadata is not JSON"),
    ),
    "writes a lot of metadata": (TOO_MUCH, stage("metadata", "more than 16 MiB")),
}


@pytest.mark.parametrize("row", STAGES)
def test_a_stage(bench: Bench, row: str) -> None:
    code, expected = STAGES[row]
    bench.add_stage("org.osbuild.bad", code)
    fails(bench, expected, BAD)


ENDLESS = {
    "silent": "time.sleep(600)",
    "printing": "while True: print('still here'); time.sleep(0.001)",
    "deaf": "import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)",
    "behind its parent": "if os.fork() == 0: os.setsid()\nos.close(1); os.close(2)\ntime.sleep(600)",
}


@pytest.mark.parametrize("row", ENDLESS)
def test_a_stage_that_outlives_its_time(bench: Bench, row: str) -> None:
    bench.add_stage("org.osbuild.bad", ENDLESS[row])
    expected = stage("timeout", "did not end within 1 s", "raise --stage-timeout")
    manifest = bench.manifest({"name": "p", "stages": [NOOP, BAD]})
    fails_slowly(bench, expected, manifest, "--stage-timeout", "1")


def no_interpreter(program: str) -> Expected:
    message = f"the host has no {program}, which org.osbuild.bad runs on"
    return Expected("stage", "sandbox.no-interpreter", message, STAGE, "add the package")


SCRIPTS = {
    "no interpreter": ("#!/usr/bin/no-such-thing\n", no_interpreter("/usr/bin/no-such-thing")),
    "no interpreter in bin": ("#!/bin/no-such-thing\n", no_interpreter("/bin/no-such-thing")),
    "an empty name": ("#!\nexit 3\n", stage("exit", "ended with status 3")),
    "no name": ("exit 3\n", stage("exit", "ended with status 3")),
    "a binary of no machine": ("\x7fELF", stage("exit", "ended with status 1")),
}


@pytest.mark.parametrize("row", SCRIPTS)
def test_a_stage_whose_interpreter_is_not_there(bench: Bench, row: str) -> None:
    text, expected = SCRIPTS[row]
    bench.add_program("stages/org.osbuild.bad", text)
    fails(bench, expected, BAD)


def test_a_build_tree_without_python(bench: Bench) -> None:
    manifest = bench.manifest(
        {"name": "bare", "stages": [NOOP]}, {"name": "p", "build": "name:bare", "stages": [NOOP]}
    )
    message = "the pipeline 'bare' has no /usr/bin/python3"
    expected = Expected("pipeline", "sandbox.no-interpreter", message, ("pipelines", 1), "add the package")
    for face in FACES:
        check(face, bench, face.run(bench, manifest), expected)


def test_a_runner_that_is_not_there(bench: Bench) -> None:
    manifest = bench.manifest(
        {"name": "b", "runner": "org.osbuild.centos7", "stages": [NOOP]},
        {"name": "p", "build": "name:b", "stages": [NOOP]},
    )
    message = "there is no runner for 'org.osbuild.centos7'"
    place = ("pipelines", 0, "runner")
    expected = Expected("manifest", "manifest.unknown-runner", message, place, "centos8, org.osbuild.centos9")
    for face in FACES:
        check(face, bench, face.run(bench, manifest), expected)


def test_a_runner_that_fails(bench: Bench) -> None:
    for path in (bench.library / "runners").iterdir():
        path.write_text("#!/bin/sh\n# osbuild-core: effect-kept\necho it broke >&2; exit 9\n")
    message = "(status 9): it broke"
    fails(
        bench, Expected("pipeline", "sandbox.runner", message, ("pipelines", 0), "needs the packages"), NOOP
    )


# Services of a stage


class Service(NamedTuple):
    """What a service does in its two methods (empty: what it should), and what becomes of the build."""

    do: str
    undo: str
    code: str
    message: str


FAILING = {
    "raises": Service("raise ValueError('first\\nsecond')", "pass", "failed", "first"),
    "dies": Service("print('about to die'); os._exit(3)", "pass", "gone", "(about to die)"),
    "is killed": Service("os.kill(os.getpid(), 9)", "pass", "gone", "the service ended before it answered"),
    "raises at the end": Service("", "raise ValueError('late')", "exit", "status 1: ValueError: late"),
    "is killed at the end": Service("", "os.kill(os.getpid(), 9)", "exit", "ended with status -9"),
    "replies nothing": Service("return {}", "pass", "protocol", "replied no path"),
    "replies another path": Service(
        "return {'path': '/etc'}", "pass", "protocol", "outside of its directory"
    ),
}
GOOD = {
    "inputs": "return {'path': target}",
    "devices": "return {'path': 'null', 'node': {'major': 1, 'minor': 3}}",
    "mounts": "os.mkdir(args['root'] + '/m'); return args['root'] + '/m'",
}
PLACES: dict[str, tuple[str | int, ...]] = {
    "inputs": ("inputs", "x"),
    "devices": ("devices", "x"),
    "mounts": ("mounts", 1),
}


def with_service(kind: str) -> dict[str, Any]:
    """A stage with the bad service of that kind."""
    bad: dict[str, Any] = {"type": "org.osbuild.x"}
    if kind == "inputs":
        bad |= {"origin": "org.osbuild.source", "references": [HELLO]}
    good = {"name": "first", "type": "org.osbuild.good"}
    services = [good, {**bad, "name": "x"}] if kind == "mounts" else {"x": bad}
    return {"type": "org.osbuild.use", kind: services}


# A mount may do without a path.
EVERY = [(kind, row) for kind in GOOD for row in FAILING if (kind, row) != ("mounts", "replies nothing")]


@pytest.mark.parametrize(("kind", "row"), EVERY)
def test_a_service(bench: Bench, kind: str, row: str) -> None:
    service = FAILING[row]
    bench.add_stage("org.osbuild.use", "return 0")
    do = "return '/etc'" if (kind, row) == ("mounts", "replies another path") else service.do or GOOD[kind]
    bench.add_service(f"{kind}/org.osbuild.x", do, service.undo)
    bench.add_service("mounts/org.osbuild.good", "os.mkdir(args['root'] + '/g'); return args['root'] + '/g'")
    expected = Expected("stage", f"service.{service.code}", service.message, (*STAGE, *PLACES[kind]))
    fails(bench, expected, with_service(kind))


def loopback(filename: str) -> dict[str, Any]:
    return {"disk": {"type": "org.osbuild.loopback", "options": {"filename": filename}}}


def test_a_device_on_a_file_that_is_not_there(bench: Bench) -> None:
    bench.add_stage("org.osbuild.use", "return 0")
    stage = {"type": "org.osbuild.use", "devices": loopback("image")}
    place = (*STAGE, "devices", "disk")
    fails(bench, Expected("stage", "service.failed", "'image' of the tree", place), stage)


def test_a_mount_of_what_is_no_file_system(bench: Bench) -> None:
    bench.add_stage("org.osbuild.use", "with open(args['tree'] + '/image', 'w') as f: f.truncate(1 << 20)")
    mount = {"name": "m", "type": "org.osbuild.ext4", "source": "disk", "target": "/"}
    stage = {"type": "org.osbuild.look", "devices": loopback("image"), "mounts": [mount]}
    bench.add_stage("org.osbuild.look", "return 0")
    place = ("pipelines", 0, "stages", 2, "mounts", 0)
    expected = Expected("stage", "service.failed", "cannot mount", place)
    fails(bench, expected, {"type": "org.osbuild.use"}, stage)


LEFT = "point = args['root'] + '/m'; os.mkdir(point); os.system('mount -t tmpfs none ' + point)"
SITTER = "if os.fork() == 0:\n    os.setsid(); os.chdir(point); time.sleep(600)"


def test_a_mount_that_its_service_leaves_is_unmounted(bench: Bench) -> None:
    bench.add_stage("org.osbuild.use", "open('/run/osbuild/mounts/m/file', 'w').close()")
    bench.add_service("mounts/org.osbuild.x", f"{LEFT}\nreturn point")
    manifest = bench.manifest({"name": "p", "stages": [with_mounts("org.osbuild.x")]})
    for face, done in all_at_once(bench, manifest):
        assert done.returncode == 0, (face, done)
        assert bench.leftovers() == []


def test_a_mount_that_its_service_leaves_with_somebody_in_it(bench: Bench) -> None:
    bench.add_stage("org.osbuild.use", "return 0")
    bench.add_service("mounts/org.osbuild.x", f"{LEFT}\n{SITTER}\nreturn point")
    message = "the mount m of a service could not be unmounted"
    expected = Expected("stage", "service.mount-left", message, STAGE, "a process in it")
    fails(bench, expected, with_mounts("org.osbuild.x"))


def with_mounts(*types: str) -> dict[str, Any]:
    mounts = [{"name": f"m{number}", "type": name} for number, name in enumerate(types)]
    return {"type": "org.osbuild.use", "mounts": mounts}


def test_the_failure_of_the_stage_comes_before_that_of_its_services(bench: Bench) -> None:
    bench.add_service("inputs/org.osbuild.x", GOOD["inputs"], "raise ValueError('late')")
    bench.add_stage("org.osbuild.use", "raise KeyError('mine')")
    fails(bench, stage("exception", "KeyError: 'mine'"), with_service("inputs"))


# Sources


def files(*checksums: str) -> dict[str, Any]:
    reference = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(checksums)}
    return {"type": "org.osbuild.use", "inputs": {"i": reference}}


@pytest.mark.parametrize(
    ("do", "code", "item", "message"),
    [
        ("raise ValueError('no luck')", "source.failed", True, "no luck"),
        ("return", "source.failed", True, "was not fetched"),
        ("os._exit(4)", "service.gone", False, "the service ended before it answered 'download'"),
    ],
)
def test_a_source(bench: Bench, do: str, code: str, item: bool, message: str) -> None:
    bench.add_service("sources/org.osbuild.bad", do, "pass")
    bench.add_stage("org.osbuild.use", "return 0")
    place: tuple[str | int, ...] = ("sources", "org.osbuild.bad", *(("items", HELLO) if item else ()))
    sources: dict[str, Any] = {"org.osbuild.bad": {"items": {HELLO: {}}}}
    fails(bench, Expected("source", code, message, place), files(HELLO), sources=sources)


def cut_short(web: Web) -> str:
    web.faults["/cut"] = cut(b"hello\n", 3)
    return web.url + "/cut"


def another(web: Web) -> str:
    web.files["/other"] = b"something else\n"
    return web.url + "/other"


REACH = "can this machine reach it?"
URLS: dict[str, tuple[Callable[[Web], str], str, str]] = {
    "not what was ordered": (another, "has sha256:", "correct the checksum"),
    "not there": (lambda web: f"{web.url}/nothing", "404", REACH),
    "nobody listens": (lambda _: "http://127.0.0.1:1/x", "127.0.0.1", REACH),
    "ends too early": (cut_short, "", REACH),
    "no protocol": (lambda _: "gopherx://127.0.0.1/x", "", REACH),
    "not printable": (lambda web: f"{web.url}/a\0b", "cannot be printed", REACH),
}


@pytest.mark.parametrize("row", URLS)
def test_a_download(bench: Bench, web: Web, row: str) -> None:
    url, message, hint = URLS[row]
    bench.add_stage("org.osbuild.use", "return 0")
    sources = {"org.osbuild.curl": {"items": {HELLO: {"url": url(web)}}}}
    manifest = bench.manifest({"name": "p", "stages": [files(HELLO)]}, sources=sources)
    place = ("sources", "org.osbuild.curl", "items", HELLO)
    # What may pass is tried again, after a pause.
    fails_slowly(bench, Expected("source", "source.failed", message, place, hint), manifest)


def test_data_in_the_manifest_that_is_none(bench: Bench) -> None:
    bench.add_stage("org.osbuild.use", "return 0")
    sources = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8"}}}}
    manifest = bench.manifest({"name": "p", "stages": [files(HELLO)]}, sources=sources)
    place = ("sources", "org.osbuild.inline", "items", HELLO)
    expected = Expected("source", "source.failed", "is not valid base64", place, "correct the data")
    fails_slowly(bench, expected, manifest)


def test_credentials_in_a_url_are_not_shown(bench: Bench) -> None:
    url = "file://user:hunter2@localhost/no/such/file?token=hunter2"
    bench.add_stage("org.osbuild.use", "return 0")
    sources = {"org.osbuild.curl": {"items": {HELLO: {"url": url}}}}
    manifest = bench.manifest({"name": "p", "stages": [files(HELLO)]}, sources=sources)
    for face in FACES:
        done = face.run(bench, manifest, *([] if face.program == OSBUILD else ["--verbose"]))
        check(face, bench, done, Expected("source", "source.failed", "", None))
        assert "hunter2" not in done.stdout + done.stderr
