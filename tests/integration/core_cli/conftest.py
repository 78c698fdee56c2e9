"""The command line as its users call it, each test in a directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")

CONTENT = b"content\n"
CHECKSUM = "sha256:434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53"


def stage(name: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": f"org.osbuild.{name}", **({"options": options} if options else {}), **more}


def tree_of(name: str) -> dict[str, Any]:
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [f"name:{name}"]}
    return {"tree": tree}


def hello(name: str = "hello") -> list[dict[str, Any]]:
    """Return two pipelines: a tree of two stages, and an archive of it."""
    etc = {"paths": [{"path": "/etc"}]}
    stages = [stage("mkdir", etc), stage("hostname", {"hostname": name})]
    archive = stage("tar", {"filename": "hello.tar"}, inputs=tree_of("tree"))
    return [{"name": "tree", "stages": stages}, {"name": "archive", "stages": [archive]}]


class Cli:
    """``osbuild-core`` in a directory, which is its current one; the store is ``.osbuild`` there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / ".osbuild"
        # Unbuffered, a write that is cut short by a reader that goes is no error to Python.
        ours = ("OSBUILD", "_OSBUILD", "PYTHONUNBUFFERED")
        self.environment = {name: v for name, v in os.environ.items() if not name.startswith(ours)}

    def manifest(
        self, pipelines: list[dict[str, Any]] | None = None, name: str = "m.json", **more: Any
    ) -> str:
        """Write a manifest and return its file name."""
        document = {"version": "2", "pipelines": hello() if pipelines is None else pipelines, **more}
        (self.directory / name).write_text(json.dumps(document))
        return name

    def run(self, *arguments: Any, **more: Any) -> subprocess.CompletedProcess[str]:
        settings = {"env": self.environment, "stdin": subprocess.DEVNULL, **more}
        return subprocess.run(
            [str(OSBUILD_CORE), *map(str, arguments)],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=300,
            **settings,
        )

    def done(self, *arguments: Any, **more: Any) -> str:
        """Run what has to succeed; return what it printed."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: Any) -> Any:
        return json.loads(self.done(*arguments, "--json"))

    def objects(self) -> dict[str, dict[str, Any]]:
        """Return what the store has, by ``pipeline: stage``."""
        found = self.json("store", "ls")["objects"]
        return {f"{one['pipeline']}: {one['stage']}": one for one in found}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)
