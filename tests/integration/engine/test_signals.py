"""A build that is ended from outside, wherever it is: its exit status, what it leaves, what the next one makes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.engine.conftest import OSBUILD_CORE, eventually

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def wait_here(bench, what):
    """Return the body of a module: say that it has come here, then do ``what``, the first time only."""
    mark = bench.directory / "here"
    return f"first = not os.path.exists({str(mark)!r})\nopen({str(mark)!r}, 'w').close()\nif first: {what}"


def in_a_stage(bench):
    bench.add_stage(
        "org.osbuild.wait",
        "first = 'here' not in os.listdir('/run/osbuild/mounts/mark')\n"
        "open('/run/osbuild/mounts/mark/here', 'w').close()\n"
        "os.fork()\nif first: time.sleep(60)\nopen(args['tree'] + '/made', 'w').close()",
    )
    bench.add_service(
        "mounts/org.osbuild.mark",
        "self.point = os.path.join(args['root'], 'mark'); os.makedirs(self.point)\n"
        f"os.system('mount --bind {bench.directory} ' + self.point)\nreturn self.point",
        "os.system('umount ' + self.point)",
    )
    return {"type": "org.osbuild.wait", "mounts": [{"name": "mark", "type": "org.osbuild.mark"}]}


def with_input(bench):
    bench.add_stage("org.osbuild.use", "open(args['tree'] + '/made', 'w').close()")
    reference = {"type": "org.osbuild.slow", "origin": "org.osbuild.source", "references": [HELLO]}
    return {"type": "org.osbuild.use", "inputs": {"i": reference}}


def in_a_service(bench):
    """In its method, deaf to whatever happens."""
    bench.add_service(
        "inputs/org.osbuild.slow", wait_here(bench, "time.sleep(60)") + "\nreturn {'path': target}"
    )
    return with_input(bench)


def at_the_end_of_a_service(bench):
    bench.add_service(
        "inputs/org.osbuild.slow", "return {'path': target}", wait_here(bench, "time.sleep(0.5)")
    )
    return with_input(bench)


def in_a_download(bench):
    # No 'pass' for an end: the base class has something to do there.
    bench.add_service(
        "sources/org.osbuild.inline",
        wait_here(bench, "[time.sleep(0.1) for _ in range(600) if not self.abandoned()]")
        + "\nfor checksum in items: open(os.path.join(self.cache, checksum), 'w').write('hello\\n')",
    )
    stage = with_input(bench)
    stage["inputs"]["i"]["type"] = "org.osbuild.files"
    return stage


def with_a_device(bench):
    """A loop device with a mounted file system, while the stage runs."""
    stage = in_a_stage(bench)
    stage["devices"] = {"disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}}
    stage["mounts"].append({"name": "root", "type": "org.osbuild.ext4", "source": "disk", "target": "/root"})
    return stage


def copy_hello():
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
    paths = [{"from": f"input://f/{HELLO}", "to": "tree:///hello"}]
    return {"type": "org.osbuild.copy", "inputs": {"f": files}, "options": {"paths": paths}}


PLACES = (in_a_stage, in_a_service, at_the_end_of_a_service, in_a_download, with_a_device)


def prepared(bench, place):
    """Return a manifest whose second pipeline stops at ``place``."""
    sources = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}
    stages = [{"type": "org.osbuild.truncate", "options": {"filename": "disk", "size": "4194304"}}]
    disk = {"disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}}
    uuid = "2ee5b0ae-5b6a-4c08-a5e9-4b3b0b3b4b0e"
    stages.append(
        {"type": "org.osbuild.mkfs.ext4", "options": {"uuid": uuid}, "devices": {"device": disk["disk"]}}
    )
    stages.append(place(bench))
    return bench.manifest({"name": "p", "stages": stages}, sources=sources)


def check_next_build(bench, manifest):
    """Build again: what was ended was not taken for done, nor does anything of it lie about."""
    result = bench.result(manifest)
    assert [s["success"] for s in result["pipelines"][0]["stages"]] == [True, True, True]
    assert bench.leftovers() == []
    assert bench.ran(manifest) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_build_in_good_order(bench, place, number, status):
    check_signal(bench, place, number, status)


def test_a_terminal_that_is_closed_ends_a_build_in_good_order(bench):
    check_signal(bench, with_a_device, signal.SIGHUP, 129)


def check_signal(bench, place, number, status):
    """Send the signal to a build that is at ``place``; what is left, and the next build, are as they should be."""
    manifest = prepared(bench, place)
    process = bench.start(manifest)
    assert eventually((bench.directory / "here").exists), process.communicate()
    said = bench.stop(process, number)
    assert process.returncode == status
    assert "Traceback" not in said
    assert bench.leftovers() == []
    check_next_build(bench, manifest)


@pytest.mark.parametrize("place", PLACES)
def test_a_second_signal_changes_nothing(bench, place):
    manifest = prepared(bench, place)
    process = bench.start(manifest)
    assert eventually((bench.directory / "here").exists), process.communicate()
    said = bench.stop(process, signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert bench.leftovers() == []
    check_next_build(bench, manifest)


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_without_end_change_nothing(bench, again):
    """To the very last moment of the process, of which Python gives the handlers up before it."""
    manifest = prepared(bench, in_a_download)
    process = bench.start(manifest)
    assert eventually((bench.directory / "here").exists), process.communicate()
    process.send_signal(signal.SIGINT)
    while process.poll() is None:
        process.send_signal(again)
        time.sleep(0.0005)
    said = process.communicate()[1]
    # Of two that arrive before the first is looked at, the lower number comes first.
    assert process.returncode in {130, 128 + again}, said
    assert "Traceback" not in said
    assert bench.leftovers() == []


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_build_leaves_nothing_once_the_next_one_starts(bench, place):
    manifest = prepared(bench, place)
    process = bench.start(manifest)
    assert eventually((bench.directory / "here").exists), process.communicate()
    bench.stop(process, signal.SIGKILL)
    assert eventually(lambda: not [line for line in bench.leftovers() if line[:5] != "core-"]), (
        bench.leftovers()
    )
    check_next_build(bench, manifest)


def spawner_of(process: subprocess.Popen[str]) -> int:
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return int(file.read().split()[0])


# Not in the middle of a service's method: that goes on to its end, with nobody left to cut it short.
@pytest.mark.parametrize("place", [in_a_stage, at_the_end_of_a_service, with_a_device])
def test_a_build_whose_spawner_was_killed_fails_and_leaves_nothing(bench, place):
    manifest = prepared(bench, place)
    process = bench.start(manifest, "--json")
    assert eventually((bench.directory / "here").exists), process.communicate()
    os.kill(spawner_of(process), signal.SIGKILL)
    out, said = process.communicate(timeout=90)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert not json.loads(out)["success"]
    # What the spawner would have waited for ends on its own.
    assert eventually(lambda: not bench.leftovers()), bench.leftovers()
    check_next_build(bench, manifest)


def test_a_sandbox_that_was_not_up_when_its_spawner_was_killed_goes_too(bench):
    """bubblewrap asks to be killed with its parent; before it comes to that it has none any more."""
    programs, mark = bench.directory / "programs", bench.directory / "here"
    programs.mkdir()
    (programs / "bwrap").write_text(f'#!/bin/sh\ntouch {mark}\nsleep 1\nexec {shutil.which("bwrap")} "$@"\n')
    (programs / "bwrap").chmod(0o755)
    path = bench.environment["PATH"]
    bench.environment["PATH"] = f"{programs}:{path}"
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.noop"}]})
    process = bench.start(manifest, "--json")
    assert eventually(mark.exists), process.communicate()
    os.kill(spawner_of(process), signal.SIGKILL)
    out, said = process.communicate(timeout=90)
    assert process.returncode == 1, said
    assert "sandbox.spawner" in out
    assert bench.leftovers() == []
    bench.environment["PATH"] = path
    bench.result(manifest)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_an_export_and_the_program_that_copies(bench, number, status):
    programs = bench.directory / "programs"
    programs.mkdir()
    mark = bench.directory / "here"
    (programs / "cp").write_text(f"#!/bin/sh\ntouch {mark}\nexec sleep 60\n")
    (programs / "cp").chmod(0o755)
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.noop"}]})
    path = bench.environment["PATH"]
    bench.environment["PATH"] = f"{programs}:{path}"
    process = bench.start(manifest, "--export", "p", "--output-directory", bench.directory / "out")
    assert eventually(mark.exists), process.communicate()
    said = bench.stop(process, number)
    assert process.returncode == status
    assert "Traceback" not in said
    assert eventually(lambda: not [line for line in bench.leftovers() if line[:5] != "core-"]), (
        bench.leftovers()
    )
    bench.environment["PATH"] = path
    done = bench.build(manifest, "--export", "p", "--output-directory", bench.directory / "out")
    assert done.returncode == 0, done.stderr
    assert bench.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_a_short_build(bench, number):
    """From the first line of the program to its last."""
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]})
    for step in range(12):
        process = bench.start(manifest, "--cache-max-size", "0")
        time.sleep(0.02 + 0.04 * step)
        said = bench.stop(process, number)
        # Before the interpreter has come to our first line it ends in its own way.
        assert process.returncode in (0, 128 + number, -number) or "the site module" in said, said
        assert "in main" not in said
        assert bench.leftovers() == []
    assert len(bench.ran(manifest)) == 1


def test_killed_at_any_moment_the_store_stays_right(bench):
    """A seeded sample over a build with sources, devices, two pipelines and a tree that others read."""
    bench.add_stage(
        "org.osbuild.write", "open(f\"{args['tree']}/{args['options']['n']}\", 'w').write('x' * 99999)"
    )
    steps = [{"type": "org.osbuild.write", "options": {"n": n}} for n in range(4)]
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:os"]}
    tar = {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t.tar"}}
    manifest = prepared(bench, lambda _: copy_hello())
    document = json.loads(manifest.read_text())
    document["pipelines"] += [
        {"name": "os", "source-epoch": 1700000000, "stages": [*steps, copy_hello()]},
        {"name": "tar", "stages": [tar]},
    ]
    manifest.write_text(json.dumps(document))
    arguments = ("--export", "tar", "--export", "p", "--output-directory")
    out, want = bench.directory / "out", bench.directory / "want"
    moments = random.Random(7)
    for _ in range(8):
        process = bench.start(manifest, *arguments, out)
        time.sleep(moments.uniform(0.1, 1.2))
        bench.stop(process, signal.SIGKILL)
    bench.result(manifest, *arguments, out)
    assert bench.leftovers() == []
    bench.store = bench.directory / "another"
    bench.result(manifest, *arguments, want)
    # A file system has the time of its making in it.
    compared = subprocess.run(["diff", "-r", "-x", "disk", out, want], capture_output=True, text=True)
    assert compared.stdout == ""
    subprocess.run(["e2fsck", "-fn", out / "p" / "disk"], check=True, capture_output=True)


def test_a_signal_while_the_manifest_is_read(bench):
    process = subprocess.Popen(
        [str(OSBUILD_CORE), "build", "--store", str(bench.store), "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bench.environment,
    )
    bench.started.append(process)
    # Until it waits for what nobody writes (proc(5)).
    assert eventually(lambda: "pipe_read" in Path(f"/proc/{process.pid}/wchan").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.communicate()[1].strip() == "Aborted"
