"""The example templates, resolved against the machine's own apt entries and built with the real command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")


def command(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``osbuild-core`` with ``words``; what it caches stays in ``folder``."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    argv = [str(OSBUILD_CORE), *map(str, words)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def resolve(folder: Path, template: str, **variables: str) -> Path:
    """Resolve ``template`` of manifests/; skip the test where the machine has no apt entry for its suite."""
    manifest = folder / f"{template}.json"
    defines = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
    done = command(folder, "resolve", ROOT / "manifests" / f"{template}.yaml", *defines, "-o", manifest)
    if done.returncode != 0 and "no apt entry serves the suite" in done.stderr:
        pytest.skip("no apt entry of this machine serves the template's suite")
    assert done.returncode == 0, done.stderr
    return manifest


def build(folder: Path, manifest: Path, store: Path, *exports: str) -> Path:
    """Build ``manifest`` and return the directory with its exports."""
    output = folder / f"output-{store.name}"
    words: list[str | Path] = ["build", manifest, "--store", store, "--output-directory", output]
    for name in exports:
        words += ["--export", name]
    done = command(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return output
