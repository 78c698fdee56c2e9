"""The sandbox for real: bubblewrap, started by the spawner, on the host's own /usr."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from osbuild_core.sandbox.capabilities import DEFAULT, granted, held
from osbuild_core.sandbox.run import TAIL, run
from osbuild_core.sandbox.seccomp import free_sync
from osbuild_core.sandbox.spawner import Spawner
from osbuild_core.sandbox.spec import Bind, SandboxSpec, environment

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def spawner():
    with Spawner(SDK) as started:
        yield started


class Box:
    """Runs shell scripts in a sandbox on directories of one test."""

    def __init__(self, directory: Path, spawner: Spawner) -> None:
        self.directory = directory
        self.spawner = spawner
        for name in ("dev", "etc", "var", "api", "tree"):
            (directory / name).mkdir()
        (directory / "cmdline").write_text("root=/dev/osbuild\n")
        self.log = io.BytesIO()
        self.shown: list[str] = []

    def run(
        self,
        script: str,
        *,
        timeout=None,
        cancel=None,
        program="/bin/sh",
        capabilities=frozenset(),
        seccomp=None,
    ):
        d = self.directory
        spec = SandboxSpec(
            argv=(program, "-c", script),
            usr="/usr",
            dev=str(d / "dev"),
            etc=str(d / "etc"),
            var=str(d / "var"),
            cmdline=str(d / "cmdline"),
            binds=(
                Bind(str(d / "api"), "/run/osbuild/api"),
                Bind(str(d / "tree"), "/run/osbuild/tree", "rw"),
            ),
            environment=environment("dumb", 17),
            capabilities=granted(capabilities),
            timeout=timeout,
            seccomp=seccomp,
        )
        return run(self.spawner, spec, api=d / "api", log=self.log, show=self.shown.append, cancel=cancel)


@pytest.fixture
def box(tmp_path: Path, spawner: Spawner) -> Box:
    return Box(tmp_path, spawner)


def processes_with(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def test_status_output_and_environment(box):
    result = box.run("echo out; echo err >&2; env | sort; cat /proc/cmdline; exit 7")
    assert result.returncode == 7
    lines = result.output.splitlines()
    assert {"out", "err", "container=bwrap-osbuild", "SOURCE_DATE_EPOCH=17", "root=/dev/osbuild"} <= set(
        lines
    )
    assert "PATH=/usr/sbin:/usr/bin" in lines
    assert not any(line.startswith(("HOME=", "USER=")) for line in lines)
    assert "".join(box.shown) == result.output == box.log.getvalue().decode()


def test_the_tree_is_writable_and_usr_is_not(box):
    result = box.run("echo x > /run/osbuild/tree/file; touch /usr/file")
    assert result.returncode != 0
    assert (box.directory / "tree" / "file").read_text() == "x\n"
    assert not Path("/usr/file").exists()


def test_namespaces_are_our_own(box):
    result = box.run("readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/ipc")
    ours = [os.readlink(f"/proc/self/ns/{n}") for n in ("net", "pid", "ipc")]
    assert not set(result.output.split()) & set(ours)
    assert len(result.output.split()) == 3


# A pipe cannot be brought to a disk: who says that it was did nothing.
SYNC_A_PIPE = "import os; r, w = os.pipe(); os.fsync(w); os.fdatasync(w); os.sync(); print('went on')"


@pytest.mark.skipif(free_sync() is None, reason="no filter of system calls is known for this machine")
def test_under_the_filter_nothing_waits_for_the_disk(box):
    assert "Invalid argument" in box.run(SYNC_A_PIPE, program="/usr/bin/python3").output
    # Each run gets it anew.
    for _ in range(2):
        assert box.run(SYNC_A_PIPE, program="/usr/bin/python3", seccomp=free_sync()).output == "went on\n"
    # It is all that is passed on of it.
    assert (
        box.run("ls /proc/self/fd | wc -w", seccomp=free_sync()).output
        == box.run("ls /proc/self/fd | wc -w").output
    )


def test_capabilities_are_what_was_granted(box):
    result = box.run(
        "while read name value; do test $name = CapEff: && echo $value; done < /proc/self/status; true"
    )
    effective = int(result.output, 16)
    numbers = {"CAP_CHOWN": 0, "CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12, "CAP_SYS_BOOT": 22}
    assert effective >> numbers["CAP_CHOWN"] & 1
    assert effective >> numbers["CAP_SYS_ADMIN"] & 1
    assert not effective >> numbers["CAP_NET_ADMIN"] & 1
    assert not effective >> numbers["CAP_SYS_BOOT"] & 1
    assert effective.bit_count() == len(DEFAULT & held())


def test_output_keeps_characters_that_are_split_and_replaces_what_is_none(box):
    result = box.run(r"printf '\303'; sleep 0.2; printf '\244\n'; printf '\377\n'")
    assert result.output == "ä\n\ufffd\n"


def test_long_output_is_whole_in_the_log_and_cut_in_the_result(box):
    result = box.run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", program="/bin/sh")
    whole = box.log.getvalue().decode()
    assert whole.splitlines()[0] == "line 0"
    first, rest = result.output.split("\n", 1)
    assert first == f"[...{len(whole) - TAIL} bytes hidden...]"
    assert whole.endswith(rest)
    assert len(rest) == TAIL


def test_deadline_of_a_silent_and_of_a_printing_program(box):
    for script in ("sleep 60", "while true; do echo x; done"):
        result = box.run(script, timeout=0.5)
        assert result.timed_out
        assert result.returncode != 0


def test_cancel(box):
    reading, writing = os.pipe()
    os.write(writing, b"c")
    result = box.run("sleep 60", cancel=reading)
    os.close(reading)
    os.close(writing)
    assert result.cancelled


def test_nothing_survives_the_end(box):
    marker = f"86399.{os.getpid()}"
    result = box.run(f"setsid sleep {marker} >/dev/null 2>&1 </dev/null & echo started")
    assert result.returncode == 0
    assert processes_with(marker) == []


def test_an_exception_is_reported(box):
    script = (
        "import json, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        "s.connect('/run/osbuild/api/osbuild');"
        "s.send(json.dumps({'method': 'exception', 'exception':"
        " {'type': 'ValueError', 'value': 'no', 'traceback': 't'}}).encode()); exit(2)"
    )
    result = box.run(script, program="/usr/bin/python3")
    assert result.returncode == 2
    assert result.exception is not None
    assert result.exception.as_data() == {"type": "ValueError", "value": "no", "traceback": "t"}


def test_the_sandbox_goes_when_its_engine_is_killed(tmp_path):
    """SIGKILL to the engine: the spawner sees the end of its socket, and ends all."""
    marker = f"86398.{os.getpid()}"
    root = Path(__file__).parents[3]
    program = f"""
import sys; sys.path.insert(0, {str(root)!r}); sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_run import Box
from test_run import SDK, Spawner
Box(Path({str(tmp_path)!r}), Spawner(SDK)).run("echo up; sleep {marker}")
"""
    engine = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    # The engine's own command line has the marker too, and so has what it forks until that is another program.
    asleep = f"sleep\0{marker}"
    while not processes_with(asleep) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = processes_with(asleep)
    engine.kill()
    engine.wait()
    assert found
    deadline = time.monotonic() + 20
    while processes_with(marker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_with(marker) == []
