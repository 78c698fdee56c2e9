from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.catalog import Library, Module
from osbuild_core.model.errors import ModuleError

DATA = Path(__file__).parents[2] / "data" / "library"


def make(root: Path, kind: str, meta: Any = None, text: str = "#!/bin/sh\n") -> Module:
    path = root / kind / "org.osbuild.x"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    if meta is not None:
        Path(f"{path}.meta.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    module = Library(root).module(kind, "org.osbuild.x")
    assert module is not None
    return module


def schema(root: Path, kind: str, version: str, **meta: Any) -> dict[str, Any]:
    found = make(root, kind, {"summary": "x", **meta}).schema(version)
    assert found.pop("$schema") == "http://json-schema.org/draft-04/schema#"
    assert found.pop("type") == "object"
    return found


def test_metadata_from_a_file(tmp_path):
    meta = {"summary": "One", "description": ["Two", "three"], "capabilities": ["CAP_MAC_ADMIN"]}
    module = make(tmp_path, "stages", meta)
    assert (module.summary, module.description) == ("One", "Two\nthree")
    assert module.capabilities == {"CAP_MAC_ADMIN"}


def test_metadata_from_the_source():
    library = Library(DATA)
    module = library.module("assemblers", "org.osbuild.tar")
    assert module.summary == "Stand-in for the assembler that packs a tree"
    assert module.description == "Two constants say what it takes\nand what it may do."
    assert module.capabilities == {"CAP_MAC_ADMIN"}
    assert module.schema("1")["properties"]["options"]["required"] == ["filename"]
    assert library.module("assemblers", "org.osbuild.noop").capabilities == frozenset()


def test_the_file_comes_before_the_source(tmp_path):
    assert make(tmp_path, "stages", {"summary": "file"}, '"""source"""\n').summary == "file"


def test_a_runner_needs_no_metadata(tmp_path):
    assert make(tmp_path, "runners").summary == ""


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        ("{", ""),
        ("[]", ""),
        ({"summary": 1}, ""),
        ({"capabilities": "CAP_CHOWN"}, ""),
        ({"schema": []}, ""),
        (None, "#!/bin/sh\nif true; then :; fi\n"),
        (None, 'SCHEMA = "{{"\n'),
        (None, "a\0b"),
    ],
)
def test_broken_metadata(tmp_path, meta, text):
    module = make(tmp_path, "stages", meta, text)
    with pytest.raises(ModuleError) as caught:
        module.schema("2")
    assert caught.value.code == "module.metadata"
    assert caught.value.hint


def test_unreadable_metadata(tmp_path):
    module = make(tmp_path, "stages")
    Path(f"{module.path}.meta.json").mkdir()
    with pytest.raises(ModuleError) as caught:
        _ = module.summary
    assert caught.value.code == "module.unreadable"


def test_the_digest_has_both_files(tmp_path):
    meta = {"summary": "a"}
    digest = make(tmp_path, "stages", meta).digest
    assert make(tmp_path, "stages", meta).digest == digest
    assert make(tmp_path, "stages", {"summary": "b"}).digest != digest
    assert make(tmp_path, "stages", meta, "#!/bin/bash\n").digest != digest


def test_the_digest_tells_the_two_files_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = make(tmp_path / "a", "stages", '{"summary": "x"}', "#!/bin/sh\n")
    other = make(tmp_path / "b", "stages", '"x"}', '#!/bin/sh\n{"summary": ')
    assert one.digest != other.digest


OPTIONS = {"properties": {"a": {"$ref": "#/definitions/a"}}, "additionalProperties": False}
DEFINITIONS = {"a": {"type": "string"}}


def test_a_stage_of_version_1(tmp_path):
    assert schema(tmp_path, "stages", "1", schema={**OPTIONS, "definitions": DEFINITIONS}) == {
        "properties": {"name": {"enum": ["org.osbuild.x"]}, "options": OPTIONS},
        "required": ["name"],
        "additionalProperties": False,
        "definitions": DEFINITIONS,
    }


def test_a_stage_of_version_2_with_options_only(tmp_path):
    assert schema(tmp_path, "stages", "2", schema={**OPTIONS, "definitions": DEFINITIONS}) == {
        "properties": {
            "type": {"enum": ["org.osbuild.x"]},
            "options": OPTIONS,
            "devices": {"type": "object", "additionalProperties": True},
            "mounts": {"type": "array"},
        },
        "required": ["type"],
        "additionalProperties": False,
        "definitions": DEFINITIONS,
    }


def test_a_stage_of_version_2(tmp_path):
    devices = {"type": "object", "required": ["device"]}
    own = {"options": OPTIONS, "inputs": {"type": "object"}, "devices": devices, "definitions": DEFINITIONS}
    found = schema(tmp_path, "stages", "2", schema={"additionalProperties": False}, schema_2=own)
    assert found["properties"] == {
        "type": {"enum": ["org.osbuild.x"]},
        "options": OPTIONS,
        "inputs": {"type": "object"},
        "devices": devices,
        "mounts": {"type": "array"},
    }
    assert found["definitions"] == DEFINITIONS


def test_a_device(tmp_path):
    assert schema(tmp_path, "devices", "2", schema=OPTIONS) == {
        "properties": {"type": {"enum": ["org.osbuild.x"]}, "options": OPTIONS},
        "additionalProperties": True,
    }


def test_a_mount(tmp_path):
    own = {"properties": {"type": {"type": "string"}, "target": {}}, "required": ["target"]}
    assert schema(tmp_path, "mounts", "2", schema_2=own) == {
        "properties": {"type": {"enum": ["org.osbuild.x"]}, "target": {}},
        "required": ["target"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("kind", ["inputs", "sources"])
def test_an_input_or_source_is_as_it_says(tmp_path, kind):
    own = {"properties": {"items": {}}, "definitions": DEFINITIONS}
    assert schema(tmp_path, kind, "2", schema=own) == {**own, "additionalProperties": False}


def test_an_export(tmp_path):
    found = schema(tmp_path, "exports", "2", schema=OPTIONS)
    assert found["properties"]["options"] == OPTIONS
    assert found["required"] == ["type", "pipeline"]


def test_a_schema_is_new_each_time(tmp_path):
    module = make(tmp_path, "stages", {"summary": "x", "schema": {**OPTIONS, "definitions": DEFINITIONS}})
    first = module.schema("2")
    first["properties"].clear()
    first["definitions"].clear()
    assert module.schema("2")["definitions"] == DEFINITIONS
