"""A library of somebody else's, built with by both command lines."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE, Bench, bench

__all__ = ["bench"]

FOREIGN = Path(__file__).resolve().parents[2] / "data" / "foreign"
NOTE = "what is new\n"
CHECKSUM = f"sha256:{hashlib.sha256(NOTE.encode()).hexdigest()}"
SOURCES = {"org.example.text": {"items": {CHECKSUM: {"text": NOTE}}}}
HALF = 8 << 20


def notes(to: str, **more: Any) -> dict[str, Any]:
    """Return the stage that installs the note at ``to``."""
    given = {
        "type": "org.example.texts",
        "origin": "org.osbuild.source",
        "references": {CHECKSUM: {"title": "NEWS"}},
    }
    return {"type": "org.example.notes", "inputs": {"notes": given}, "options": {"to": to}, **more}


def motd(text: str = "hello") -> dict[str, Any]:
    return {"type": "org.example.motd", "options": {"text": text}}


class Appliance:
    """A copy of the library without a package of its own; a store; the command lines on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.library = directory / "appliance"
        self.store = directory / "store"
        self.output = directory / "output"
        self.environment = {**os.environ, "OSBUILD_CORE_TEST": str(directory)}
        shutil.copytree(FOREIGN / "appliance", self.library)

    def bring_package(self) -> None:
        """Give the library its own ``osbuild``."""
        shutil.copytree(FOREIGN / "osbuild", self.library / "osbuild", dirs_exist_ok=True)

    def add(self, name: str, text: str, schema: dict[str, Any] | None = None) -> Path:
        """Put a program ``KIND/NAME`` into the library; with ``schema`` as its metadata beside it."""
        path = self.library / name
        path.write_text(text)
        path.chmod(0o755)
        if schema is not None:
            meta = {"summary": "of a test", "description": [], "schema_2": schema}
            path.with_name(path.name + ".meta.json").write_text(json.dumps(meta))
        return path

    def manifest(self, *pipelines: dict[str, Any], **more: Any) -> Path:
        path = self.directory / "manifest.json"
        document = {"version": "2", "pipelines": list(pipelines), "sources": SOURCES, **more}
        path.write_text(json.dumps(document))
        return path

    def stages(self, *stages: dict[str, Any], **more: Any) -> Path:
        """Return a manifest with one pipeline, ``os``."""
        return self.manifest({"name": "os", "stages": list(stages), **more})

    def osbuild(
        self, manifest: Path, *arguments: Any, export: str = "os", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Build and export ``os`` as osbuild's clients do."""
        command = [OSBUILD, "--store", self.store, "--output-directory", self.output, "--export", export]
        return self._run([*command, manifest, *arguments], **more)

    def core(self, manifest: Path, *arguments: Any, **more: Any) -> subprocess.CompletedProcess[str]:
        """Build and export ``os`` with osbuild-core."""
        command = [OSBUILD_CORE, "build", "--store", self.store, "--output-directory", self.output]
        return self._run([*command, "--export", "os", manifest, *arguments], **more)

    def _run(self, command: list[Any], **more: Any) -> subprocess.CompletedProcess[str]:
        if "--libdir" not in command:
            command += ["--libdir", self.library]
        return subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=300,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            **more,
        )

    def result(self, manifest: Path, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Build with osbuild; return the document of a build that succeeds."""
        done = self.osbuild(manifest, "--json", *arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["success"]
        return document

    def error(self, manifest: Path) -> tuple[str, str]:
        """Build with osbuild-core, which fails; return the error's code and message."""
        done = self.core(manifest, "--json")
        assert done.returncode == 1, done.stdout + done.stderr
        # A traceback there is that of a module.
        assert "osbuild_core/cli" not in done.stderr
        assert self.leftovers() == []
        pipeline = next(p for p in json.loads(done.stdout)["pipelines"] if not p["success"])
        error = next((s["error"] for s in pipeline["stages"] if s["error"]), pipeline["error"])
        return error["code"], error["message"]

    def output_of(self, document: dict[str, Any], stage: str) -> str:
        """Return what ``stage`` printed in its sandbox, from the result of :meth:`result`."""
        return next(str(entry["output"]) for entry in document["log"]["os"] if entry["type"] == stage)

    def log_of(self, manifest: Path, number: int = -1) -> str:
        """Build with osbuild-core; return the whole log of a stage, with what its services printed."""
        done = self.core(manifest, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        stage = json.loads(done.stdout)["pipelines"][0]["stages"][number]
        return Path(stage["log"]).read_text()

    def read(self, path: str) -> str:
        """Return a file of what was exported."""
        return (self.output / "os" / path).read_text()

    def leftovers(self) -> list[str]:
        """Return what a build left behind."""
        return Bench.leftovers(self)  # type: ignore[arg-type]


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    yield Appliance(tmp_path)
