"""The examples of the page on CI: what their steps run builds, what they refer to is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, Block, blocks_of

BLOCKS = blocks_of(ROOT / "docs" / "ci.md")
WORKFLOWS = [block for block in BLOCKS if block.language == "yaml"]
CONTAINERS = [block for block in BLOCKS if "docker run" in block.text]
(MANIFEST,) = (block for block in BLOCKS if block.markers.get("file") == "image.json")


def only_job(block: Block) -> dict[str, Any]:
    """Return the job of a workflow: below ``jobs`` (GitHub), or at the top (GitLab)."""
    document = yaml.safe_load(block.text)
    (job,) = document.get("jobs", document).values()
    assert isinstance(job, dict)
    return job


def run(script: str, directory: Path, variables: Mapping[str, str]) -> None:
    """Run the script of a step as a CI system does, in ``directory``."""
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=directory,
        env={**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"


@pytest.mark.root
@pytest.mark.parametrize("block", WORKFLOWS, ids=lambda block: block.place)
def test_the_steps_of_a_workflow_build(block: Block, tmp_path: Path) -> None:
    (tmp_path / "image.json").write_text(MANIFEST.text)
    job = only_job(block)
    variables = {**job.get("env", {}), **job.get("variables", {})}
    # An absolute path is a volume.
    variables["OSBUILD_CORE_STORE"] = variables["OSBUILD_CORE_STORE"].lstrip("/")
    scripts = [step["run"] for step in job.get("steps", ()) if "run" in step] + job.get("script", [])
    assert scripts
    for script in scripts:
        run(script, tmp_path, variables)
    assert (tmp_path / "output" / "image" / "image.tar").exists()
    for path in kept(job):
        assert (tmp_path / path).exists(), path
    result = tmp_path / "result.json"
    assert not result.exists() or json.loads(result.read_text())["success"]


def kept(job: dict[str, Any]) -> list[str]:
    """Return the paths that a job caches and uploads."""
    found: list[str] = []
    for step in job.get("steps", ()):
        found += step.get("with", {}).get("path", "").split()
    for part in ("cache", "artifacts"):
        found += job.get(part, {}).get("paths", [])
    return found


@pytest.mark.root
@pytest.mark.parametrize("block", CONTAINERS, ids=lambda block: block.place)
def test_what_a_container_runs_builds(block: Block, tmp_path: Path) -> None:
    (tmp_path / "image.json").write_text(MANIFEST.text)
    call = block.text.replace("\\\n", " ").partition("docker run")[2]
    command = call[call.rindex("osbuild-core build") :]
    run(command.replace("--store /store", "--store store"), tmp_path, {})
    assert (tmp_path / "output" / "image" / "image.tar").exists()


def test_the_image_is_made_by_a_target_that_is_there() -> None:
    (dockerfile,) = (block for block in BLOCKS if block.language == "dockerfile")
    assert "make -C /opt/osbuild-core setup" in dockerfile.text
    assert "\nsetup:" in (ROOT / "Makefile").read_text()
