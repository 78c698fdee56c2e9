"""Stages that do what no stage should and yet succeed, and what the machine may do to one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE, Bench, eventually
from tests.integration.hardening.faces import FACES, Expected, all_at_once, check

pytestmark = pytest.mark.root

STAGE = ("pipelines", 0, "stages", 0)


def with_stage(bench: Bench, code: str) -> Path:
    bench.add_stage("org.osbuild.odd", code)
    return bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.odd"}]})


def output_of(document: dict[str, Any]) -> str:
    """Return what the only stage printed, in either command's document."""
    if "log" in document:
        return str(document["log"]["p"][0]["output"])
    return str(document["pipelines"][0]["stages"][0]["output"])


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir('/')
        null = os.open('/dev/null', os.O_RDWR)
        for number in (0, 1, 2): os.dup2(null, number)
        time.sleep(600)
    os._exit(0)
os.wait()
"""

ODD = {
    "a daemon": DAEMON,
    "a daemon that keeps the tree open": DAEMON.replace("os.chdir('/')", "os.chdir(args['tree'])"),
    "a daemon that prints": DAEMON.replace("time.sleep(600)", "pass").replace("os.dup2(null, number)", "pass"),
    "a mount": "os.mkdir(args['tree'] + '/m'); assert os.system('mount -t tmpfs none ' + args['tree'] + '/m') == 0",
    "a mount over the tree": "assert os.system('mount -t tmpfs none ' + args['tree']) == 0",
    "closed streams": "for number in range(3): os.close(number)\nos._exit(0)",
    "a stopped child": "import signal\nif os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)",
    "many children": "for _ in range(50):\n    if os.fork() == 0: time.sleep(600)",
    "a full scratch": "open('/var/tmp/x', 'wb').write(b'x' * (50 << 20)); os.chmod('/var/tmp', 0)",
}  # fmt: skip


@pytest.mark.parametrize("row", ODD)
def test_what_a_stage_leaves_behind_is_gone(bench: Bench, row: str) -> None:
    manifest = with_stage(bench, ODD[row])
    for face, done in all_at_once(bench, manifest):
        assert done.returncode == 0, (face, done)
        if face.json:
            assert json.loads(done.stdout)["success"] is True
        assert bench.leftovers() == []
    # It is none of the reasons to run a stage again.
    assert bench.ran(manifest) == []


PRINTED = {
    "no text": ("os.write(1, b'a\\xff\\xfeb\\xc3')", "a\ufffd\ufffdb\ufffd"),
    "half characters": (
        "for byte in '€ö𝄞'.encode() * 3: os.write(1, bytes([byte])); time.sleep(0.01)",
        "€ö𝄞" * 3,
    ),
    "zeros and surrogates": ("os.write(1, b'\\0\\xed\\xa0\\x80')", "\0\ufffd\ufffd\ufffd"),
    "both streams": ("os.write(1, b'one '); os.write(2, b'two')", "one two"),
}


@pytest.mark.parametrize("row", PRINTED)
def test_what_a_stage_prints_comes_out(bench: Bench, row: str) -> None:
    code, text = PRINTED[row]
    manifest = with_stage(bench, code)
    for face, done in all_at_once(bench, manifest):
        assert done.returncode == 0, done.stderr
        if face.json:
            assert output_of(json.loads(done.stdout)) == text
        assert bench.leftovers() == []


# Runs a command and says how much memory it, or what it started, had at most (kB). A process of its own does that:
# the kernel counts what a parent had at the fork as the child's, and the one that runs the tests is large.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


# The document of osbuild's --json has all that stages printed, so it takes what that takes.
@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize(
    "command", [(OSBUILD_CORE, "build", "--verbose"), (OSBUILD_CORE, "build", "--json"), (OSBUILD,)]
)
def test_the_memory_for_what_a_stage_prints_is_bounded(
    bench: Bench, command: tuple[Any, ...], status: int
) -> None:
    """100 MB, once with and once without line feeds in it."""
    for end in ("\\n", "-"):
        bench.store = bench.directory / f"store {end}"
        code = f"for _ in range(1000): os.write(1, b'x' * 99999 + b'{end}')\nreturn {status}"
        words = [*command, "--store", bench.store, "--libdir", bench.library, with_stage(bench, code)]
        words += ["--export", "p", "--output-directory", bench.directory / "out"]
        with (bench.directory / "said").open("wb") as said:
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, *(str(word) for word in words)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.PIPE,
                env=bench.environment,
            )
        assert done.returncode == status
        used = int(done.stderr)
        assert used < 150_000, f"{used} kB"
        if "--json" in command:
            assert (bench.directory / "said").stat().st_size < 200_000
        logs = bench.store.glob("logs/*.log" if status else "objects/*/log")
        assert max(log.stat().st_size for log in logs) == 100_000_000
        assert bench.leftovers() == []


@pytest.mark.parametrize("status", [0, 1])
def test_100_mb_of_output_are_in_the_document_of_osbuild(bench: Bench, status: int) -> None:
    code = f"for _ in range(1000): os.write(1, b'x' * 99999 + b'\\n')\nreturn {status}"
    done = next(f for f in FACES if f.program == OSBUILD and f.json).run(bench, with_stage(bench, code))
    assert done.returncode == status
    document = json.loads(done.stdout)
    assert (document["success"], len(output_of(document))) == (status == 0, 100_000_000)
    # For people, the end of it is enough.
    assert len(done.stderr) < 40_000
    assert bench.leftovers() == []


def test_a_pid_namespace_with_the_proc_of_another(bench: Bench) -> None:
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.noop"}]})
    for face, done in all_at_once(bench, manifest, through=("unshare", "--pid", "--fork")):
        assert done.returncode == 0, (face, done)
        assert "Traceback" not in done.stderr
        assert bench.leftovers() == []


def test_a_sandbox_that_the_machine_kills(bench: Bench) -> None:
    """As for want of memory: the kernel may choose the bubblewrap around a stage too."""
    mark = bench.directory / "here"
    bench.add_service(
        "mounts/org.osbuild.mark",
        "self.point = os.path.join(args['root'], 'mark'); os.makedirs(self.point)\n"
        f"os.system('mount --bind {bench.directory} ' + self.point)\nreturn self.point",
        "os.system('umount ' + self.point)",
    )
    bench.add_stage("org.osbuild.odd", "open('/run/osbuild/mounts/mark/here', 'w').close(); time.sleep(600)")
    stage = {"type": "org.osbuild.odd", "mounts": [{"name": "mark", "type": "org.osbuild.mark"}]}
    manifest = bench.manifest({"name": "p", "stages": [stage]})

    def kill() -> None:
        assert eventually(mark.exists)
        for line in bench.leftovers():
            pid, _, command = line.partition(": ")
            if pid.isdigit() and "--die-with-parent" in command:
                os.kill(int(pid), signal.SIGKILL)
                return

    message = "was ended by signal 9 (SIGKILL)"
    expected = Expected("stage", "stage.killed", message, STAGE, "was the machine out of memory?")
    for face in FACES:
        killer = threading.Thread(target=kill)
        killer.start()
        done = face.run(bench, manifest)
        killer.join()
        check(face, bench, done, expected)
        mark.unlink()
