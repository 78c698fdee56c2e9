"""What pages name is there: commands, options, files, modules."""

from __future__ import annotations

import ast
import json
import re

import pytest

from osbuild_core.cli.commands import COMMANDS
from osbuild_core.sandbox.capabilities import DEFAULT
from osbuild_core.sandbox.spec import environment
from tests.docs.pages import ROOT


def test_the_commands_of_the_readme_are_those_of_the_program() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^\| `osbuild-core ([\w-]+)", readme, re.MULTILINE))
    assert named == set(COMMANDS)


def test_the_architecture_page_names_files_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    house = page[page.index("```text") : page.index("```\n", page.index("```text") + 3)]
    folder = ""
    named = 0
    for line in house.splitlines():
        found = re.match(r"  (\w+)/", line)
        folder = found[1] if found else folder
        for name in re.findall(r"\b(\w+\.py)\b", line):
            assert (ROOT / "osbuild_core" / folder / name).exists(), f"{folder}/{name}"
            named += 1
    assert named > 20


def rows_of(page: str, section: str) -> list[str]:
    """Return the first cells of the tables in a section of ``page``."""
    text = (ROOT / "docs" / page).read_text()
    part = text[text.index(f"\n## {section}\n") + 1 :]
    part = part[: part.index("\n## ") if "\n## " in part else len(part)]
    return re.findall(r"^\| (`[^|]*?) \|", part, re.MULTILINE)


@pytest.mark.parametrize(
    ("section", "definitions"),
    [
        ("The document", ["document"]),
        ("Pipelines", ["pipeline"]),
        ("Stages", ["stage"]),
        ("Inputs", ["input"]),
        ("Devices and mounts", ["device", "mount"]),
        ("Sources", ["source"]),
    ],
)
def test_the_members_of_a_manifest_are_those_of_its_schema(section: str, definitions: list[str]) -> None:
    schema = json.loads((ROOT / "schemas" / "osbuild2.json").read_text())
    # Our extension has a schema of its own.
    document = {"properties": {**schema["properties"], "exports": {}}}
    known = {**schema["definitions"], "document": document}
    expected = sorted(name for kind in definitions for name in known[kind]["properties"])
    assert sorted(row.strip("`") for row in rows_of("manifest.md", section)) == expected


def test_the_variables_of_a_stage_are_those_of_the_sandbox() -> None:
    rows = rows_of("writing-a-stage.md", "What a stage sees")
    named = {row.strip("`") for row in rows if "/" not in row}
    assert named == {name for name, _ in environment("dumb", 0)}


def test_the_default_capabilities_are_those_of_the_sandbox() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    paragraph = page[page.index("The default set:") : page.index("## Host services")]
    assert set(re.findall(r"CAP_\w+", paragraph)) == DEFAULT


def test_the_functions_for_stages_are_there_as_written() -> None:
    rows = [row.strip("`") for row in rows_of("writing-a-stage.md", "Files of the tree") if "(" in row]
    assert rows
    for row in rows:
        module, name, arguments = re.fullmatch(r"(\w+)\.(\w+)\((.*)\)", row).groups()  # type: ignore[union-attr]
        file = ROOT / "osbuild_core" / "sdk" / "osbuild" / "util" / f"{module}.py"
        (function,) = (
            node
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        )
        taken = [argument.arg for argument in function.args.args]
        assert taken[: arguments.count(",") + 1] == arguments.split(", "), row


def test_the_methods_of_services_are_there_as_written() -> None:
    rows = re.findall(
        r"^\| [\w ]+ \| `osbuild\.(\w+)\.(\w+)` \| (.*) \|(.*?)\|$",
        (ROOT / "docs" / "writing-a-stage.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 5
    for module, name, does, undoes in rows:
        tree = ast.parse((ROOT / "osbuild_core" / "sdk" / "osbuild" / f"{module}.py").read_text())
        (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        methods = {
            node.name: [argument.arg for argument in node.args.args[1:]]
            for node in found.body
            if isinstance(node, ast.FunctionDef)
        }
        calls = re.findall(r"`(\w+)\(([^)`]*)\)`", does + undoes)
        assert calls
        for method, arguments in calls:
            assert methods[method] == [part for part in arguments.split(", ") if part], method
