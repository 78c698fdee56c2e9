from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osbuild_core import formats
from osbuild_core.catalog import Library
from osbuild_core.model.errors import ManifestError, ModuleError


def stages(*items: Any) -> dict[str, Any]:
    return {"version": "2", "pipelines": [{"name": "tree", "stages": list(items)}]}


def refused(document: Any, library: Library, **how: Any) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(ManifestError) as caught:
        formats.load(document, library, **how)
    return {issue.path: issue.code for issue in caught.value.issues}


@pytest.mark.parametrize("document", [[], "x", 7, None, {"version": "3"}, {"version": 2}, {"version": None}])
def test_no_manifest_at_all(document, library):
    assert set(refused(document, library).values()) == {"manifest.format"}


@pytest.mark.parametrize(
    "document",
    [
        {"version": "2", "pipelines": {}},
        {"version": "2", "pipelines": [1, None, {"name": 1}]},
        {"version": "2", "pipelines": [{"name": "a", "stages": {"b": {}}}]},
        {"version": "2", "sources": [], "pipelines": []},
        {"version": "2", "sources": {"org.osbuild.curl": 1}},
        {"version": "2", "exports": 3},
        stages(1, "x", None, {}, {"type": 3}),
        stages(
            {"type": "org.osbuild.noop", "inputs": {"a": 1, "b": {"type": {}}}, "mounts": [2], "devices": 3}
        ),
        {"pipeline": []},
        {"pipeline": {"stages": {"a": 1}, "build": 2, "assembler": "x"}},
        {"pipeline": {"build": {"pipeline": 3, "runner": []}}, "sources": 4},
    ],
)
def test_shapes_that_are_wrong_are_refused_at_their_places(document, library):
    places = refused(document, library)
    assert set(places.values()) == {"manifest.schema"}


def test_all_errors_are_found_in_the_order_of_places(library):
    document = stages(
        *({"type": "org.osbuild.noop"} for _ in range(10)),
        {"type": "org.osbuild.hostname", "options": {"hostname": 1}},
        {"type": "org.osbuild.hostnaem"},
    )
    document["pipelines"][0]["stages"][2] = {"type": "org.osbuild.hostname", "options": {}}
    document["sources"] = {"org.osbuild.culr": {"items": {}}}
    assert list(refused(document, library).items()) == [
        (("pipelines", 0, "stages", 2, "options"), "manifest.schema"),
        (("pipelines", 0, "stages", 10, "options", "hostname"), "manifest.schema"),
        (("pipelines", 0, "stages", 11), "manifest.unknown-stage"),
        (("sources", "org.osbuild.culr"), "manifest.unknown-source"),
    ]


def test_modules_inside_a_stage(library):
    document = stages(
        {
            "type": "org.osbuild.noop",
            "inputs": {
                "i": {"type": "org.osbuild.fils", "origin": "org.osbuild.source", "references": ["x"]}
            },
            "devices": {"d": {"type": "org.osbuild.loopback", "options": {"filename": 1}}},
            "mounts": [{"name": "m", "type": "org.osbuild.ext5"}],
        }
    )
    place = ("pipelines", 0, "stages", 0)
    assert refused(document, library) == {
        (*place, "devices", "d", "options", "filename"): "manifest.schema",
        (*place, "inputs", "i"): "manifest.unknown-input",
        (*place, "mounts", 0): "manifest.unknown-mount",
    }


@pytest.mark.parametrize(
    "name", ["../stages/org.osbuild.noop", "org.osbuild.noop.meta.json", ".", "", "a\0b"]
)
def test_types_that_are_no_module_names(name, library):
    assert set(refused(stages({"type": name}), library).values()) == {"manifest.unknown-stage"}


def test_options_that_are_required_and_absent(library):
    stage = {"type": "org.osbuild.hostname"}
    assert refused(stages(stage), library) == {("pipelines", 0, "stages", 0, "options"): "manifest.schema"}
    assert formats.load(stages(stage), library, strict=True)["tree"].id


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [("tar", {"filename": "x"}, "inputs"), ("mkfs.ext4", {"uuid": "x"}, "devices")],
)
def test_inputs_and_devices_that_are_required_and_absent(name, options, part, library):
    stage = {"type": f"org.osbuild.{name}", "options": options}
    assert refused(stages(stage), library) == {("pipelines", 0, "stages", 0, part): "manifest.schema"}
    assert formats.load(stages(stage), library, strict=True)["tree"].id


def test_a_stage_without_a_schema_for_inputs_takes_none(library):
    references = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:x"]}
    stage = {"type": "org.osbuild.hostname", "options": {"hostname": "a"}, "inputs": {"x": references}}
    assert refused(stages(stage), library)[("pipelines", 0, "stages", 0)] == "manifest.schema"


SHOW = "osbuild-core modules show stages/org.osbuild.{} tells what it takes"


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        (stages({"type": "org.osbuild.hostname", "options": {"hostnme": "x"}}), "did you mean 'hostname'?"),
        (stages({"type": "org.osbuild.hostname", "options": {"x": 1}}), "known here: hostname"),
        (stages({"type": "org.osbuild.hostname", "options": {"hostname": 1}}), SHOW.format("hostname")),
        (stages({"type": "org.osbuild.hostname", "options": {}}), SHOW.format("hostname")),
        (stages({"type": "org.osbuild.sfdisk", "options": {"label": "gtp"}}), "did you mean 'gpt'?"),
        ({"version": "2", "pipelins": []}, "did you mean 'pipelines'?"),
        ({"version": "2", "exprts": {}}, "did you mean 'exports'?"),
        ({"version": "2", "x": 1}, "known here: version, metadata, pipelines, sources, exports"),
        ({"version": "2", "pipelines": {}}, "write array"),
        ({"version": "2", "pipelines": [{"stages": []}]}, "add it"),
    ],
)
def test_what_to_do_about_what_breaks_a_schema(document, hint, library):
    with pytest.raises(ManifestError) as caught:
        formats.load(document, library)
    assert hint in [issue.hint for issue in caught.value.issues]


def test_a_misspelt_member_is_one_mistake(library):
    document = stages({"type": "org.osbuild.hostname", "options": {"hostnam": "x"}}, {"typ": "x"})
    codes = {}
    for strict in (False, True):
        with pytest.raises(ManifestError) as caught:
            formats.load(document, library, strict=strict)
        codes[strict] = [(issue.path[3], issue.hint) for issue in caught.value.issues]
    assert codes[False] == [(0, "did you mean 'hostname'?"), (1, "did you mean 'type'?")]
    assert len(codes[True]) == 4


def test_the_nearest_reason_is_the_hint(library):
    paths = [{"from": "tree:///a", "to": "somewhere"}]
    with pytest.raises(ManifestError) as caught:
        formats.load(stages({"type": "org.osbuild.copy", "options": {"paths": paths}}), library)
    (issue,) = caught.value.issues
    assert issue.path[-3:] == ("paths", 0, "to")
    assert issue.hint


def test_messages_are_cut(library):
    item = {f"sha256:{number:064x}": {"metadata": 1} for number in range(500)}
    stage = {
        "type": "org.osbuild.noop",
        "inputs": {"i": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": item}},
    }
    with pytest.raises(ManifestError) as caught:
        formats.load(stages(stage), library)
    assert max(len(issue.message) for issue in caught.value.issues) < 1100


def test_nested_too_deeply(library):
    options: Any = {}
    for _ in range(100_000):
        options = {"a": options}
    try:
        assert set(refused(stages({"type": "org.osbuild.noop", "options": options}), library).values()) == {
            "manifest.format"
        }
    finally:
        # Freed one by one: freeing the whole recurses in some versions of Python.
        while options:
            options = options.pop("a")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "strang"}}},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"$ref": "#/definitions/none"}}},
        {"properties": {"a": {"$ref": "http://localhost:9/schema.json"}}},
    ],
)
def test_a_module_with_a_broken_schema(schema, tmp_path: Path):
    module = tmp_path / "stages" / "org.example.x"
    module.parent.mkdir()
    module.write_text("#!/bin/sh\n")
    module.chmod(0o755)
    Path(f"{module}.meta.json").write_text(json.dumps({"summary": "x", "schema": schema}))
    with pytest.raises(ModuleError) as caught:
        formats.load(stages({"type": "org.example.x", "options": {"a": "b"}}), Library(tmp_path))
    assert caught.value.code == "module.schema"


def test_the_schemas_are_schemas(library):
    import jsonschema

    from osbuild_core.catalog import schema_file

    for name in ("osbuild1.json", "osbuild2.json", "exports.json", "module.json"):
        jsonschema.Draft4Validator.check_schema(json.loads(Path(schema_file(name)).read_text()))


def test_metadata_of_our_modules_follows_its_schema(library):
    import jsonschema

    from osbuild_core.catalog import default_library, schema_file

    schema = jsonschema.Draft4Validator(json.loads(Path(schema_file("module.json")).read_text()))
    files = sorted(default_library().glob("*/org.*.meta.json"))
    assert files
    assert {f.name: [e.message for e in schema.iter_errors(json.loads(f.read_text()))] for f in files} == {
        f.name: [] for f in files
    }
