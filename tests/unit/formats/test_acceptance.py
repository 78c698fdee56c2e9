"""Compiled validators, and where they are kept."""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osbuild_core.catalog import KINDS
from osbuild_core.formats.acceptance import check_for

ROOT = Path(__file__).parents[3]

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}, "required": ["a"]}

SCRIPT = """
import json, sys
from osbuild_core.formats.acceptance import check_for
check = check_for(json.loads(sys.argv[1]))
print(json.dumps([[check(data) for data in json.loads(sys.argv[2])], "fastjsonschema" in sys.modules]))
"""


def run(
    cache: Path | str, schema: Any = SCHEMA, data: Any = ({"a": "x"}, {"a": "y"})
) -> tuple[list[bool], bool]:
    """Return what a new process answers, and whether it had to compile."""
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, json.dumps(schema), json.dumps(data)]
    answers, compiled = json.loads(subprocess.run(command, env=environment, check=True, stdout=-1).stdout)
    return answers, compiled


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "osbuild-core" / "validators").iterdir())


def test_the_second_process_does_not_compile(tmp_path):
    assert run(tmp_path) == ([True, False], True)
    assert run(tmp_path) == ([True, False], False)
    (file,) = kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_another_schema_is_another_entry(tmp_path):
    run(tmp_path)
    assert run(tmp_path, {"type": "string"}) == ([False, False], True)
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    run(tmp_path)
    (file,) = kept(tmp_path)
    data = file.read_bytes()
    other = marshal.dumps({"not": "code"})
    file.write_bytes(
        {
            "cut": data[:-10],
            "flip": data[:50] + bytes([data[50] ^ 1]) + data[51:],
            "empty": b"",
            "foreign": hashlib.sha256(other).digest() + other,
        }[damage]
    )
    assert run(tmp_path) == ([True, False], True)
    assert run(tmp_path) == ([True, False], False)


def poison(cache: Path, text: str) -> Path:
    """Replace the entry by code that accepts everything, with the right digest."""
    (file,) = kept(cache)
    payload = marshal.dumps(compile(text, "<poison>", "exec"))
    file.write_bytes(hashlib.sha256(payload).digest() + payload)
    return file


POISON = "def validate(data): return data"


def test_poison_would_work(tmp_path):
    run(tmp_path)
    poison(tmp_path, POISON)
    assert run(tmp_path) == ([True, True], False)


@pytest.mark.root
@pytest.mark.parametrize("what", ["directory", "entry"])
def test_what_belongs_to_somebody_else_is_not_used(tmp_path, what):
    run(tmp_path)
    file = poison(tmp_path, POISON)
    os.chown(file.parent if what == "directory" else file, 12345, 12345)
    assert run(tmp_path) == ([True, False], True)


@pytest.mark.parametrize("what", ["directory", "entry"])
def test_what_others_can_write_is_not_used(tmp_path, what):
    run(tmp_path)
    file = poison(tmp_path, POISON)
    (file.parent if what == "directory" else file).chmod(0o777)
    assert run(tmp_path) == ([True, False], True)


def test_links_are_not_followed(tmp_path):
    run(tmp_path / "a")
    file = poison(tmp_path / "a", POISON)
    (tmp_path / "b" / "osbuild-core").mkdir(parents=True)
    (tmp_path / "b" / "osbuild-core" / "validators").symlink_to(file.parent)
    assert run(tmp_path / "b") == ([True, False], True)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == ([True, False], True)


def test_only_what_is_needed_is_imported(tmp_path, library):
    script = """
import json, sys
from osbuild_core import formats
from osbuild_core.catalog import Library
formats.load(json.loads(sys.argv[2]), Library(sys.argv[1]))
print([name for name in ("jsonschema", "fastjsonschema", "difflib", "subprocess") if name in sys.modules])
"""
    document = {"version": "2", "pipelines": [{"name": "a", "stages": [{"type": "org.osbuild.noop"}]}]}
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(library.path), json.dumps(document)]
    for expected in (b"['fastjsonschema']\n", b"[]\n"):
        assert subprocess.run(command, env=environment, check=True, stdout=-1).stdout == expected


def test_defaults_are_not_written_into_the_data():
    data: dict[str, Any] = {}
    check = check_for({"type": "object", "properties": {"a": {"type": "boolean", "default": True}}})
    assert check is not None
    assert check(data)
    assert data == {}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2**40), st.floats(0, 2), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def samples(schema: Any, definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return data that is near to ``schema``: its shape mostly, with wrong parts now and then."""
    if not isinstance(schema, dict):
        return JSON
    if "$ref" in schema:
        return samples(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    choices = [JSON]
    if "enum" in schema:
        choices = [st.sampled_from(schema["enum"])] * 4 + choices
    for branch in schema.get("oneOf", []) + schema.get("anyOf", []):
        choices.append(samples(branch, definitions))
    if "properties" in schema:
        members = {name: samples(value, definitions) for name, value in schema["properties"].items()}
        required = {name: members.pop(name) for name in schema.get("required", []) if name in members}
        choices += [st.fixed_dictionaries(required, optional=members)] * 4
    if "items" in schema:
        choices += [st.lists(samples(schema["items"], definitions), max_size=3)] * 4
    if schema.get("type") == "string":
        choices += [st.from_regex(schema["pattern"]) if "pattern" in schema else st.text(max_size=5)] * 4
    return st.one_of(choices)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_what_is_accepted_is_valid(library, data):
    modules = [module for kind in KINDS for module in library.modules(kind)]
    module = data.draw(st.sampled_from(modules))
    schema = module.schema(data.draw(st.sampled_from(["1", "2"])))
    check = check_for(schema)
    assert check is not None
    item = data.draw(samples(schema, schema.get("definitions", {})))
    if check(item):
        assert [error.message for error in jsonschema.Draft4Validator(schema).iter_errors(item)] == []
