"""plan --as: what a shell and what openjd run builds the manifest as ``build`` does, down to the ids."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.jobs.openjd import interpreter

pytestmark = pytest.mark.root
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")


def made(name: str, *trees: str) -> dict[str, Any]:
    """Return a pipeline that makes a directory, and takes those of other pipelines."""
    taken = [
        {
            "type": "org.osbuild.copy",
            "inputs": {
                "tree": {
                    "type": "org.osbuild.tree",
                    "origin": "org.osbuild.pipeline",
                    "references": [f"name:{tree}"],
                }
            },
            "options": {"paths": [{"from": f"input://tree/{tree}", "to": f"tree:///{tree}"}]},
        }
        for tree in trees
    ]
    own = {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": f"/{name}"}]}}
    return {"name": name, "source-epoch": 1000, "stages": [own, *taken]}


DOCUMENT = {
    "version": "2",
    "pipelines": [made("base"), made("{{left}}", "base"), made("all", "{{left}}", "base")],
}


def run(*argv: Any, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [str(word) for word in argv], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(tree: Path) -> str:
    argv = ["tar", "-C", str(tree), "--sort=name", "--format=gnu", "-c", "."]
    return hashlib.sha256(subprocess.run(argv, capture_output=True, check=True).stdout).hexdigest()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planned") / "nightly.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


@pytest.fixture(scope="module")
def direct(manifest: Path) -> Path:
    """The tree that ``build`` makes."""
    output = manifest.parent / "direct"
    store = manifest.parent / "store"
    run(OSBUILD_CORE, "build", manifest, "--store", store, "--export", "all", "--output-directory", output)
    return output / "all"


def check(manifest: Path, store: Path, tree: Path, direct: Path) -> None:
    """Everything is in ``store`` under the ids that ``inspect`` says, and ``tree`` is the ``direct`` one."""
    words = [word for pipeline in DOCUMENT["pipelines"] for word in ("--export", pipeline["name"])]
    plan = json.loads(run(OSBUILD_CORE, "plan", manifest, "--store", store, "--json", *words))
    found = [(s["id"], s["run"]) for p in plan["pipelines"] for s in p["stages"]]
    inspected = json.loads(run(OSBUILD_CORE, "inspect", manifest))
    assert sorted(found) == sorted((s["id"], False) for p in inspected["pipelines"] for s in p["stages"])
    assert digest(tree) == digest(direct)


def test_shell(manifest: Path, direct: Path, tmp_path: Path) -> None:
    script = tmp_path / "build.sh"
    run(OSBUILD_CORE, "plan", manifest, "--as", "sh", "--export", "all", "--output", script)
    variables = {
        "OSBUILD_CORE": str(OSBUILD_CORE),
        "OSBUILD_CORE_STORE": str(tmp_path / "store"),
        "OUTPUT_DIRECTORY": str(tmp_path / "out"),
        "TMPDIR": str(tmp_path),
    }
    run(script, "--quiet", **variables)
    check(manifest, tmp_path / "store", tmp_path / "out/all", direct)
    assert sorted(os.listdir(tmp_path)) == ["build.sh", "out", "store"]


@pytest.mark.parametrize("runner", ["openjd", "osbuild-core job"])
def test_openjd(manifest: Path, direct: Path, tmp_path: Path, runner: str) -> None:
    template = tmp_path / "template.json"
    words = ["--as", "openjd", "--export", "all", "--store", tmp_path / "store", "--program", OSBUILD_CORE]
    run(OSBUILD_CORE, "plan", manifest, *words, "-o", template)
    command = [interpreter().with_name("openjd")] if runner == "openjd" else [OSBUILD_CORE, "job"]
    if runner != "openjd" and importlib.util.find_spec("osbuild_core.cli.job_run") is None:
        pytest.skip("there is no osbuild-core job run")
    run(*command, "run", template, "-p", f"OutputDirectory={tmp_path}/out")
    check(manifest, tmp_path / "store", tmp_path / "out/all", direct)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--as", "slurm"], "--output"),
        (["--cpus", "2"], "--cpus goes with --as"),
        (["--as", "sh", "--json"], "--json does not go with --as"),
        (["--as", "slurm", "--output", "/dev/null/x"], "cannot write"),
        (["--as", "sh", "--output", "/dev/null/x"], "cannot write /dev/null/x"),
        (["--as", "sh", "--export", "al"], "did you mean 'all'"),
    ],
)
def test_what_goes_wrong(manifest: Path, words: list[str], said: str) -> None:
    argv = [str(OSBUILD_CORE), "plan", str(manifest), *words]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
