"""The README tells the truth: its commands run, its files are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def blocks(language: str) -> list[str]:
    """Return the code blocks of that language ("": none said)."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.root
def test_the_first_example_and_its_python_twin(tmp_path: Path):
    (example,) = (block for block in blocks("") if "hello.json" in block)
    program = Path(sys.executable).parent
    script = example.replace(".venv/bin/", f"{program}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["./", "./etc/", "./etc/hostname"]

    (python,) = blocks("python")
    code = "import json\nfrom pathlib import Path\n" + python
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True []"


def test_the_commands_of_the_table_exist():
    from osbuild_core.cli.commands import COMMANDS

    named = set(re.findall(r"^\| `osbuild-core (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_hold(page: Path):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_architecture_page_names_files_that_are_there():
    page = (ROOT / "docs" / "architecture.md").read_text()
    house = page[page.index("```") : page.index("```", page.index("```") + 3)]
    folder = ""
    for line in house.splitlines():
        found = re.match(r"  (\w+)/", line)
        folder = found[1] if found else folder
        for name in re.findall(r"\b(\w+\.py)\b", line):
            assert (ROOT / "osbuild_core" / folder / name).exists(), f"{folder}/{name}"


def test_the_page_of_modules_is_what_their_metadata_says():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate
    finally:
        sys.path.pop(0)
    assert generate.PAGE.read_text() == generate.page(), "run make docs"
