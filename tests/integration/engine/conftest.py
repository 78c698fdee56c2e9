"""Builds for real, with the command line, on a library that a test may edit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("stages", "inputs", "sources", "devices", "mounts", "assemblers", "exports", "runners")
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")
OSBUILD = Path(sys.executable).with_name("osbuild")


SERVICES = {
    "inputs": ("inputs.InputService", "map(self, store, origin, refs, target, options)", "unmap"),
    "devices": ("devices.DeviceService", "open(self, devpath, parent, tree, options)", "close"),
    "mounts": ("mounts.MountService", "mount(self, args)", "umount"),
    "sources": ("sources.SourceService", "fetch_all(self, items)", "stop"),
    "exports": ("exports.ExportService", "export(self, tree, output, options)", "stop"),
}
"""For each kind: base class, the method that does it, the method that undoes it."""


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Wait until ``condition`` is true; tell whether it became so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Bench:
    """A store, a library of its own, and the command line on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.library = directory / "library"
        self.environment = {**os.environ, "OSBUILD_CORE_TEST": str(directory)}
        self.started: list[subprocess.Popen[str]] = []
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, self.library / folder)

    def add_stage(self, name: str, code: str) -> None:
        """Put a stage into the library: ``code`` is the body of ``main(args)``."""
        self.add_program(
            f"stages/{name}",
            "#!/usr/bin/python3\nimport os, sys, time\nimport osbuild.api\n\n"
            f"def main(args):\n{_indented(code, 4)}\n\n"
            "if __name__ == '__main__':\n    sys.exit(main(osbuild.api.arguments()))\n",
        )

    def add_service(self, name: str, do: str, undo: str = "pass") -> None:
        """Put a service into the library: ``do`` and ``undo`` are the bodies of its two methods."""
        base, method, end = SERVICES[name.split("/", maxsplit=1)[0]]
        self.add_program(
            name,
            "#!/usr/bin/python3\nimport os, signal, sys, time\n"
            "from osbuild import devices, exports, inputs, mounts, sources\n\n"
            f"class Service({base}):\n"
            "    content_type = 'org.osbuild.files'\n"
            f"    def {method}:\n{_indented(do, 8)}\n    def {end}(self):\n{_indented(undo, 8)}\n\n"
            "if __name__ == '__main__':\n    Service.from_args(sys.argv[1:]).main()\n",
        )

    def add_program(self, name: str, text: str) -> None:
        """Put a module ``KIND/NAME`` into the library that takes any options."""
        path = self.library / name
        path.write_text(text)
        path.chmod(0o755)
        anything = {"additionalProperties": True}
        meta = {
            "summary": "of a test",
            "description": ["of a test"],
            "schema_2": dict.fromkeys(("options", "inputs", "devices", "mounts"), anything)
            if name.startswith("stages/")
            else anything,
        }
        path.with_name(f"{path.name}.meta.json").write_text(json.dumps(meta))

    def manifest(self, *pipelines: dict[str, Any], **more: Any) -> Path:
        path = self.directory / "manifest.json"
        path.write_text(json.dumps({"version": "2", "pipelines": list(pipelines), **more}))
        return path

    def run(self, *arguments: Any, program: Path = OSBUILD_CORE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def start(self, manifest: Path, *arguments: Any) -> subprocess.Popen[str]:
        """Begin a build, in a session of its own; it is killed at the end of the test."""
        command = ["build", "--store", self.store, "--libdir", self.library, manifest, *arguments]
        process = subprocess.Popen(
            [str(OSBUILD_CORE), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen[str], number: signal.Signals, *more: signal.Signals) -> str:
        """Send signals to a build; return what it said on standard error."""
        for one in (number, *more):
            process.send_signal(one)
            time.sleep(0.05)
        return process.communicate(timeout=60)[1]

    def build(self, manifest: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
        return self.run("build", "--store", self.store, "--libdir", self.library, manifest, *arguments)

    def result(self, manifest: Path, *arguments: Any) -> dict[str, Any]:
        """Build; return the JSON result of a build that succeeds."""
        done = self.build(manifest, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def ran(self, manifest: Path, *arguments: Any) -> list[tuple[str, int]]:
        """Build; return which stages ran."""
        pipelines = self.result(manifest, *arguments)["pipelines"]
        return [(p["name"], i) for p in pipelines for i, s in enumerate(p["stages"]) if not s["cached"]]

    def leftovers(self) -> list[str]:
        """Return what a build left behind: mounts, loop devices, processes, temporary files."""
        here = str(self.directory)
        found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if here in line]
        loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True).stdout
        found += [line for line in loops.splitlines() if here in line]
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    environment = (process / "environ").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                # The spawner and what is forked from it name no path, but have our environment.
                if here in command or f"OSBUILD_CORE_TEST={here}\0" in environment:
                    found.append(f"{process.name}: {command}")
        if (self.store / "tmp").is_dir():
            found += [
                p.name for p in (self.store / "tmp").iterdir() if p.is_dir() and p.name != "empty-layer"
            ]
        return found


def _indented(code: str, by: int) -> str:
    return "\n".join(" " * by + line for line in code.strip("\n").splitlines())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
