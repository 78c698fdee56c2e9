"""openjd-model as tests have it: in an environment of its own, made once, outside of the checkout."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
VERSION = "0.13"
"""What the listed differences are about."""

PACKAGES = (f"openjd-model=={VERSION}.*", f"openjd-sessions=={VERSION}.*", "openjd-cli==0.8.*")


def interpreter() -> Path:
    """Return a Python that has openjd-model. Skips, with pip's reason, where it cannot be installed."""
    # Not XDG_CACHE_HOME, which is a directory of the test run.
    base = Path.home() / ".cache" / "osbuild-core-tests"
    name = f"openjd-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"
    environment, done = base / name, base / f"{name}.done"
    python = environment / "bin" / "python"
    base.mkdir(parents=True, exist_ok=True)
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or not python.exists():
            for command in (
                [sys.executable, "-m", "venv", "--clear", environment],
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            ):
                made = subprocess.run(command, capture_output=True, text=True, timeout=600)
                if made.returncode != 0:
                    said = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
                    pytest.skip(f"openjd-model cannot be installed: {said[-1]}")
            done.touch()
    return python


def ask(script: str, question: Any) -> Any:
    """Return what ``script`` prints as JSON, run where openjd-model is, with ``question`` on its input.

    Our package is there as well, but none of its dependencies except PyYAML.
    """
    done = subprocess.run(
        [interpreter(), "-B", "-c", script],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
