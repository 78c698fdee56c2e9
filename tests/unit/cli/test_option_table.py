"""Options out of JSON schemas."""

from __future__ import annotations

from typing import Any

from osbuild_core.cli.option_table import Option, option_table


def table(schema: dict[str, Any], **root: Any) -> dict[str, Option]:
    return {option.path: option for option in option_table(schema, {**schema, **root})}


def test_types_defaults_choices_and_what_is_required() -> None:
    found = table(
        {
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "The\n  name"},
                "mode": {"type": ["string", "number"], "default": "0644"},
                "off": {"type": "boolean", "default": False},
                "kind": {"enum": ["a", "b"]},
                "none": {"default": None},
            },
        }
    )
    assert found["name"] == Option("name", "string", True, None, (), "The name")
    assert found["mode"] == Option("mode", "string or number", False, '"0644"', (), "")
    assert found["off"].default == "false"
    assert found["none"].default == "null"
    assert (found["kind"].type, found["kind"].choices) == ("any", ("a", "b"))


def test_nested_ones_have_a_path() -> None:
    inner = {"properties": {"from": {"type": "string"}}, "type": "object", "required": ["from"]}
    found = table(
        {
            "properties": {
                "paths": {"type": "array", "items": inner},
                "users": {"patternProperties": {"^[a-z]+$": inner}},
                "free": {"additionalProperties": inner},
                "pair": {"type": "array", "items": [{"type": "string"}, inner]},
            }
        }
    )
    assert list(found) == [
        "paths",
        "paths[].from",
        "users",
        "users.*",
        "users.*.from",
        "free",
        "free.*",
        "free.*.from",
        "pair",
        "pair[].from",
    ]
    assert found["paths"].type == "list of object"
    assert found["users.*.from"].required


def test_alternatives_are_put_together() -> None:
    found = table(
        {
            "required": ["always"],
            "properties": {"always": {"oneOf": [{"type": "string"}, {"type": "number", "enum": [1]}]}},
            "oneOf": [
                {"required": ["type", "both"], "properties": {"type": {"enum": ["a"]}, "both": {}}},
                {"required": ["both"], "properties": {"type": {"enum": ["a", "b"]}, "both": {"default": 2}}},
            ],
        }
    )
    assert (found["always"].type, found["always"].choices) == ("string or number", (1,))
    assert found["type"].choices == ("a", "b")
    assert [name for name, option in found.items() if option.required] == ["always", "both"]
    assert found["both"].default == "2"


def test_references_and_schemas_that_contain_themselves() -> None:
    tree: dict[str, Any] = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/definitions/tree"}}},
        "anyOf": [{"$ref": "#/definitions/tree"}],
    }
    found = table(
        {"properties": {"tree": {"$ref": "#/definitions/tree", "description": "Said here"}}},
        definitions={"tree": tree},
    )
    assert found["tree"].description == "Said here"
    assert found["tree.children"].type == "list of object"
    assert len(found) < 6
    loop = {"properties": {"x": {"$ref": "#/definitions/a"}}}
    assert table(loop, definitions={"a": {"$ref": "#/definitions/a"}})["x"].type == "any"
    assert table({"properties": {"x": {"$ref": "elsewhere.json#/a"}}})["x"].type == "any"


def test_what_is_no_schema_is_nothing() -> None:
    assert table({"properties": {"a": True, "b": {"items": False, "properties": []}}}).keys() == {"a", "b"}
    assert table({}) == {}
