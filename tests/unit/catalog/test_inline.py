"""Metadata in the source of a module, as those without a .meta.json have it."""

import subprocess
import sys
from pathlib import Path

import pytest

from osbuild_core.catalog import Library, Module
from osbuild_core.model.errors import ModuleError

ROOT = Path(__file__).resolve().parents[3]
STRICT = {"additionalProperties": False}


def make(library: Path, text: str | bytes) -> Module:
    path = library / "stages" / "org.osbuild.x"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o755)
    module = Library(library).module("stages", "org.osbuild.x")
    assert module is not None
    return module


def options(module: Module) -> object:
    return module.schema("2")["properties"]["options"]


def test_nothing_in_the_source_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    module = make(tmp_path, f'"""x"""\nSCHEMA = open({str(mark)!r}, "w")\n')
    with pytest.raises(ModuleError, match=r"^org\.osbuild\.x: SCHEMA in line 2 is put together") as caught:
        module.schema("2")
    assert caught.value.hint == "write it as one literal, or put it into org.osbuild.x.meta.json"
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        'SCHEMA = """\n"additionalProperties": false\n"""\n',
        "SCHEMA: str = '\"additionalProperties\": false'\n",
        "SCHEMA = '\"x\": 1'\nSCHEMA = '\"additionalProperties\": false'\n",
        "SCHEMA = OTHER = '\"additionalProperties\"' ': false'\n",
        "def main():\n    SCHEMA = x()\n\nSCHEMA = '\"additionalProperties\": false'\nSCHEMA.y = 1\n",
    ],
    ids=["on several lines", "annotated", "the last one counts", "joined by the parser", "only at the top"],
)
def test_a_schema_is_a_literal(text: str, tmp_path: Path) -> None:
    assert options(make(tmp_path, text)) == STRICT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('SCHEMA = f"{X}"', "SCHEMA in line 1 is put together"),
        ('\nSCHEMA_2 = "" + ""', "SCHEMA_2 in line 2 is put together"),
        ('SCHEMA = "%s" % X', "SCHEMA in line 1 is put together"),
        ('SCHEMA = b"{}"', "SCHEMA is no string but of type bytes"),
        ("SCHEMA = {}", "SCHEMA is no string but of type dict"),
        ('SCHEMA = "{"', "SCHEMA is not JSON"),
        ("SCHEMA = '\"a\": 1} {'", "SCHEMA is not JSON"),
        ('CAPABILITIES = ["CAP_CHOWN"] + MORE', "CAPABILITIES in line 1 is put together"),
        ('CAPABILITIES = "CAP_CHOWN"', "CAPABILITIES is no list of strings"),
        ("CAPABILITIES = [1]", "CAPABILITIES is no list of strings"),
        ('CAPABILITIES = {"CAP_CHOWN": True}', "CAPABILITIES is no list of strings"),
        ("(" * 5000, "is not Python"),
        ("\0", "is not Python"),
        ("#!/bin/sh\necho hello\n", "has no org.osbuild.x.meta.json and is not Python"),
        ("SCHEMA = '" + '"a": {' * 3000 + "'", "SCHEMA is not JSON"),
    ],
)
def test_what_is_no_literal_is_named(text: str, problem: str, tmp_path: Path) -> None:
    module = make(tmp_path, text)
    for ask in (lambda: module.schema("1"), lambda: module.capabilities, lambda: module.summary):
        with pytest.raises(ModuleError) as caught:
            ask()
        assert caught.value.code == "module.metadata"
        assert caught.value.detail.startswith("org.osbuild.x")
        assert problem in caught.value.detail
        assert caught.value.hint


@pytest.mark.parametrize(
    "text", ['["A", "B"]', '("A", "B")', '{"B", "A"}', '[\n    "A",  # one\n    "B",  # and another\n]']
)
def test_capabilities_come_in_any_collection(text: str, tmp_path: Path) -> None:
    assert make(tmp_path, f"CAPABILITIES = {text}\n").capabilities == {"A", "B"}


@pytest.mark.parametrize(
    "text", ["", "CAPABILITIES = None", "CAPABILITIES = ()", '"""Only\n\na docstring."""']
)
def test_a_module_need_not_say_anything(text: str, tmp_path: Path) -> None:
    module = make(tmp_path, f"#!/usr/bin/python3\n{text}\n")
    assert module.capabilities == frozenset()
    assert options(module) == {}


def test_a_docstring_has_a_summary_and_a_description(tmp_path: Path) -> None:
    module = make(
        tmp_path, '#!/usr/bin/python3\n"""\nWhat it does.\n\n  How\n  it does that.\n"""\nimport os\n'
    )
    assert module.summary == "What it does."
    assert module.description == "How\n  it does that."


def test_escapes_of_the_source_are_nobodys_business(tmp_path: Path) -> None:
    module = make(tmp_path, 'SCHEMA = """\n"pattern": "^mount:\\/\\/"\n"""\n')
    assert options(module) == {"pattern": "^mount://"}
    script = (
        "import sys, warnings\nwarnings.simplefilter('error')\nfrom osbuild_core.catalog import Library\n"
        "print(Library(sys.argv[1]).module('stages', 'org.osbuild.x').summary)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_source_may_have_another_encoding(tmp_path: Path) -> None:
    text = '#!/usr/bin/python3\n# -*- coding: latin-1 -*-\n"""Größe"""\n'
    assert make(tmp_path, text.encode("latin-1")).summary == "Größe"
