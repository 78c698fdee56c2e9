"""The command line of osbuild, called as its clients do: manifest on standard input, the monitor on descriptor 3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.engine.conftest import OSBUILD, Bench
from tests.integration.osbuild_cli import clientparser

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
INLINE = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}


def mkdir(name: str) -> dict[str, Any]:
    return {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": f"/{name}"}]}}


def copy_hello() -> dict[str, Any]:
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
    paths = [{"from": f"input://f/{HELLO}", "to": "tree:///hello"}]
    return {"type": "org.osbuild.copy", "inputs": {"f": files}, "options": {"paths": paths}}


def tar_of(pipeline: str) -> dict[str, Any]:
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [f"name:{pipeline}"]}
    return {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t.tar"}}


class Ran(NamedTuple):
    """How a call ended. ``monitor`` is what came out of descriptor 3."""

    status: int
    stdout: str
    stderr: str
    monitor: bytes

    @property
    def result(self) -> clientparser.Result:
        return clientparser.result(self.stdout)

    @property
    def records(self) -> list[clientparser.Status]:
        return clientparser.records(self.monitor)


class Call:
    """A call that may be under way. ``manifest`` goes to standard input; descriptor 3 is read to its end."""

    def __init__(
        self, argv: list[str], manifest: str | None, environment: dict[str, str], **more: Any
    ) -> None:
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3>&{writing} {writing}>&-', *argv],
            stdin=subprocess.DEVNULL if manifest is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writing],
            env=environment,
            text=True,
            **more,
        )
        os.close(writing)
        self.monitor = b""
        self._manifest = manifest
        self._reading = reading
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with os.fdopen(self._reading, "rb", buffering=0) as file:
            while data := file.read(65536):
                self.monitor += data

    def feed(self) -> None:
        """Hand the manifest over now, and not only in :meth:`wait`."""
        assert self.process.stdin is not None and self._manifest is not None
        self.process.stdin.write(self._manifest)
        self.process.stdin.close()
        self.process.stdin = self._manifest = None

    def wait(self) -> Ran:
        out, error = self.process.communicate(self._manifest, timeout=300)
        self._thread.join(60)
        assert not self._thread.is_alive(), "somebody still holds the monitor's descriptor"
        return Ran(self.process.returncode, out, error, self.monitor)

    def stop(self, number: signal.Signals) -> Ran:
        self.process.send_signal(number)
        return self.wait()


class OsbuildBench(Bench):
    """A store, a library of its own, and ``osbuild`` on them."""

    def document(self, *pipelines: dict[str, Any], **more: Any) -> str:
        return json.dumps({"version": "2", "pipelines": list(pipelines), **more})

    def call(self, *arguments: Any, manifest: str | None = None, **more: Any) -> Call:
        """Begin ``osbuild`` with these arguments and no others."""
        call = Call([str(OSBUILD), *map(str, arguments)], manifest, self.environment, **more)
        self.started.append(call.process)
        return call

    def begin(self, manifest: str, *arguments: Any) -> Call:
        """Begin a build of ``manifest`` in our store with our library."""
        own = ("--store", self.store, "--libdir", self.library, "--output-directory", self.out)
        return self.call(*own, "-", *arguments, manifest=manifest)

    def osbuild(self, manifest: str, *arguments: Any) -> Ran:
        return self.begin(manifest, *arguments).wait()

    @property
    def out(self) -> Path:
        return self.directory / "out"

    def add_marks(self) -> dict[str, str]:
        """Return a mount with which stages see a directory of ours as ``/run/osbuild/mounts/marks``."""
        marks = self.directory / "marks"
        marks.mkdir()
        self.add_service(
            "mounts/org.osbuild.marks",
            "self.point = os.path.join(args['root'], 'marks'); os.makedirs(self.point)\n"
            f"os.system('mount --bind {marks} ' + self.point)\nreturn self.point",
            "os.system('umount ' + self.point)",
        )
        return {"name": "marks", "type": "org.osbuild.marks"}

    def fail_with(self, code: str) -> str:
        """Return a manifest of one stage with that code."""
        self.add_stage("org.osbuild.bad", code)
        return self.document({"name": "p", "stages": [{"type": "org.osbuild.bad"}]})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[OsbuildBench]:
    made = OsbuildBench(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
