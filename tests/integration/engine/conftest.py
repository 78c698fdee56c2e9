"""Builds for real, with the command line, on a library that a test may edit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("stages", "inputs", "sources", "devices", "mounts", "runners")
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")
OSBUILD = Path(sys.executable).with_name("osbuild")


class Bench:
    """A store, a library of its own, and the command line on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.library = directory / "library"
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, self.library / folder)

    def add_stage(self, name: str, code: str) -> None:
        """Put a stage into the library: ``code`` is the body of ``main(args)``."""
        body = "\n".join(f"    {line}" for line in code.strip().splitlines())
        path = self.library / "stages" / name
        path.write_text(
            "#!/usr/bin/python3\nimport os, sys, time\nimport osbuild.api\n\n"
            f"def main(args):\n{body}\n\nif __name__ == '__main__':\n    sys.exit(main(osbuild.api.arguments()))\n"
        )
        path.chmod(0o755)
        anything = {"additionalProperties": True}
        meta = {
            "summary": "of a test",
            "description": ["of a test"],
            "schema_2": dict.fromkeys(("options", "inputs", "devices", "mounts"), anything),
        }
        path.with_name(f"{name}.meta.json").write_text(json.dumps(meta))

    def manifest(self, *pipelines: dict[str, Any], **more: Any) -> Path:
        path = self.directory / "manifest.json"
        path.write_text(json.dumps({"version": "2", "pipelines": list(pipelines), **more}))
        return path

    def run(self, *arguments: Any, program: Path = OSBUILD_CORE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *map(str, arguments)], capture_output=True, text=True, timeout=300
        )

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
                except OSError:
                    continue
                if here in command:
                    found.append(command)
        if (self.store / "tmp").is_dir():
            found += [
                p.name for p in (self.store / "tmp").iterdir() if p.is_dir() and p.name != "empty-layer"
            ]
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
