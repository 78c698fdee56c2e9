"""The house stands: imports go down, start-up stays light, files stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "osbuild_core"
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}
LINES_MAX = 400


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if "library" not in path.relative_to(PACKAGE).parts]


def test_import_contract():
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_named_after_its_concept_and_not_too_long(path: Path):
    assert path.stem not in FORBIDDEN_NAMES
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert docstring, "every file says what it is for"
    assert len(text.splitlines()) <= LINES_MAX or "long" in docstring.lower(), "say why it is longer"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import osbuild_core", {"json", "dataclasses", "click"}),
        ("import osbuild_core.formats", {"jsonschema", "fastjsonschema", "click", "rich", "asyncio"}),
        ("import osbuild_core.cli.inspect", {"jsonschema", "rich", "asyncio", "osbuild_core.engine"}),
        ("import osbuild_core.cli.compose", {"requests", "pydantic", "asyncio", "sqlalchemy"}),
        ("import osbuild_core.cli.serve", {"pydantic", "sqlalchemy", "fastapi"}),
        ("import osbuild_core.server.task", {"pydantic", "sqlalchemy", "fastapi", "requests"}),
        ("import osbuild_core.cli.build", {"jsonschema", "rich", "asyncio", "yaml"}),
    ],
)
def test_start_up_imports_only_what_is_needed(statement: str, absent: set[str]):
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_the_sdk_and_what_runs_in_a_build_root_starts_on_python_3_6():
    files = [str(p) for p in (PACKAGE / "sdk" / "osbuild").rglob("*.py")]
    for folder in ("stages", "runners", "assemblers"):
        files += [str(p) for p in (ROOT / folder).glob("org.osbuild.*") if not p.name.endswith(".meta.json")]
    python = [
        f
        for f in files
        if Path(f).read_bytes().split(b"\n")[0] in (b"#!/usr/bin/python3",) or f.endswith(".py")
    ]
    tool = Path(sys.executable).with_name("vermin")
    done = subprocess.run(
        [str(tool), "-t=3.6-", "--no-tips", "--violations", *python], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
