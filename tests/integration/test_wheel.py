"""Installed as a wheel, the program brings its modules along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a wheel, and an environment with nothing but it; return the directory of its programs."""
    base = tmp_path_factory.mktemp("wheel")
    hatchling = Path(sys.executable).with_name("hatchling")
    subprocess.run(
        [str(hatchling), "build", "-t", "wheel", "-d", str(base)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = base.glob("*.whl")
    environment = base / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return environment / "bin"


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    # The libraries that it depends on come from here; path files, and so the checkout, do not.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    command = [str(installed / "osbuild-core"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_finds_its_own_modules(installed: Path, tmp_path: Path):
    listed = json.loads(run(installed, tmp_path, "modules", "list", "--json"))
    for kind in ("stages", "inputs", "sources", "devices", "mounts", "runners"):
        here = {
            path.name for path in (ROOT / kind).glob("org.osbuild.*") if not path.name.endswith(".meta.json")
        }
        assert {module["name"] for module in listed[kind]} == here


def test_it_brings_the_manual_pages(installed: Path):
    pages = installed.parent / "share" / "man" / "man1"
    assert {page.name for page in pages.iterdir()} == {"osbuild.1", "osbuild-core.1"}


def test_it_brings_the_web_page(installed: Path):
    here = ROOT / "osbuild_core" / "server" / "page"
    (there,) = installed.parent.glob("lib/python3*/site-packages/osbuild_core/server/page")
    for folder in ("static", "templates"):
        names = {path.name for path in (here / folder).iterdir()}
        assert names
        assert {path.name for path in (there / folder).iterdir()} == names


@pytest.mark.root
def test_it_builds(installed: Path, tmp_path: Path):
    stages = [
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
        {"type": "org.osbuild.hostname", "options": {"hostname": "wheel"}},
    ]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]}))
    run(installed, tmp_path, "build", "--export", "tree", "-o", "out", str(manifest))
    assert (tmp_path / "out" / "tree" / "etc" / "hostname").read_text() == "wheel\n"
