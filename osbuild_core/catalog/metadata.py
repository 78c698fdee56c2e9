"""What a module says about itself: ``NAME.meta.json``, else its docstring and constants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.model.errors import ModuleError

if TYPE_CHECKING:
    import ast

Schema = dict[str, Any]

_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "summary": str,
    "description": (str, list),
    "capabilities": list,
    "withheld": list,
    "schema": dict,
    "schema_2": dict,
}


class Metadata(NamedTuple):
    """``schema`` is for version 1 manifests, ``schema_2`` for version 2; empty where there is none."""

    summary: str = ""
    description: str = ""
    capabilities: frozenset[str] = frozenset()
    schema: Schema = {}  # noqa: RUF012  (a NamedTuple default, never changed)
    schema_2: Schema = {}  # noqa: RUF012
    withheld: frozenset[str] = frozenset()


def from_json(name: str, data: bytes) -> Metadata:
    """Return the metadata in ``data``, the bytes of a ``.meta.json`` file.

    Raises ModuleError (``module.metadata``) where they are not what such a file has to hold.
    """
    try:
        meta = json.loads(data)
    except ValueError as error:
        raise _broken(name, f"{name}.meta.json is not JSON: {error}") from None
    if not isinstance(meta, dict):
        raise _broken(name, f"{name}.meta.json holds no object")
    for member, kind in _MEMBERS.items():
        if member in meta and not isinstance(meta[member], kind):
            raise _broken(name, f"{name}.meta.json: {member!r} is of the wrong type")
    return _metadata(meta)


def from_source(name: str, data: bytes) -> Metadata:
    """Return the metadata in the Python source ``data``, without running it.

    The docstring's first line is the summary, the rest the description; ``SCHEMA`` and ``SCHEMA_2`` are
    strings with the members of a JSON object, ``CAPABILITIES`` a list, tuple or set of strings. Raises ModuleError
    (``module.metadata``) for what is not Python or not JSON, and for constants that only running it would give.
    """
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            # About escapes in its strings, which are its author's business.
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _broken(
            name,
            f"{name} has no {name}.meta.json and is not Python",
            f"put {name}.meta.json beside it; what is written in another language says there what it takes",
        ) from None
    summary, _, description = (ast.get_docstring(tree) or "").partition("\n")
    meta: dict[str, Any] = {"summary": summary, "description": description.strip()}
    found = _constants(ast, name, tree)
    for constant, member in (("SCHEMA", "schema"), ("SCHEMA_2", "schema_2")):
        if constant in found:
            meta[member] = _object(name, constant, found[constant])
    capabilities = found.get("CAPABILITIES") or ()
    if not isinstance(capabilities, list | tuple | set) or not all(isinstance(c, str) for c in capabilities):
        raise _broken(name, f"{name}: CAPABILITIES is no list of strings")
    meta["capabilities"] = capabilities
    return _metadata(meta)


def _constants(ast_: Any, name: str, tree: ast.Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast_.Assign):
            targets = node.targets
        elif isinstance(node, ast_.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast_.Name) and target.id in ("SCHEMA", "SCHEMA_2", "CAPABILITIES"):
                try:
                    found[target.id] = ast_.literal_eval(node.value)
                except (ValueError, TypeError):
                    raise _broken(
                        name,
                        f"{name}: {target.id} in line {node.lineno} is put together by the program, which is not run",
                        f"write it as one literal, or put it into {name}.meta.json",
                    ) from None
    return found


def _object(name: str, constant: str, text: Any) -> Schema:
    if not isinstance(text, str):
        raise _broken(name, f"{name}: {constant} is no string but of type {type(text).__name__}")
    try:
        schema = json.loads("{" + text + "}")
    except (ValueError, RecursionError) as error:
        raise _broken(name, f"{name}: {constant} is not JSON: {error}") from None
    assert isinstance(schema, dict)
    return schema


def _metadata(meta: Mapping[str, Any]) -> Metadata:
    description = meta.get("description", "")
    if isinstance(description, list):
        description = "\n".join(str(line) for line in description)
    return Metadata(
        meta.get("summary", ""),
        description,
        frozenset(str(capability) for capability in meta.get("capabilities", ())),
        meta.get("schema", {}),
        meta.get("schema_2", {}),
        frozenset(str(capability) for capability in meta.get("withheld", ())),
    )


def _broken(name: str, detail: str, hint: str | None = None) -> ModuleError:
    return ModuleError(
        detail,
        code="module.metadata",
        hint=hint or f"correct the metadata of {name}, or put the module back as it was installed",
    )


def module_schema(name: str, meta: Metadata, version: str, kind: str) -> Schema:
    """Return the schema that a whole stage, device, … of module ``name`` has to follow.

    ``version`` is that of the manifest. A module without a schema for it takes any options.
    """
    if kind in ("stages", "assemblers"):
        schema = _stage(name, meta, version)
    elif kind == "devices":
        options = meta.schema_2 or meta.schema
        schema = {"properties": {"type": {"enum": [name]}, "options": options}, "additionalProperties": True}
    elif kind == "mounts":
        own = meta.schema_2 or meta.schema
        schema = {"additionalProperties": False, **own}
        schema["properties"] = {**own.get("properties", {}), "type": {"enum": [name]}}
    elif kind == "exports":
        schema = _export(name, meta)
    else:
        own = (meta.schema_2 if version == "2" else {}) or meta.schema
        schema = {"additionalProperties": False, **own} if own else {"additionalProperties": True}
    return _hoisted({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", **schema})


def _stage(name: str, meta: Metadata, version: str) -> Schema:
    if version == "1":
        key, properties = "name", {"options": meta.schema}
    else:
        key, properties = "type", dict(meta.schema_2 or {"options": meta.schema})
        properties.setdefault("devices", {"type": "object", "additionalProperties": True})
        properties.setdefault("mounts", {"type": "array"})
    properties[key] = {"enum": [name]}
    return {"properties": properties, "required": [key], "additionalProperties": False}


def _export(name: str, meta: Metadata) -> Schema:
    properties = {
        "type": {"enum": [name]},
        "pipeline": {"type": "string"},
        "options": meta.schema_2.get("options") or meta.schema,
    }
    return {"properties": properties, "required": ["type", "pipeline"], "additionalProperties": False}


def _hoisted(schema: Schema) -> Schema:
    """Move ``definitions`` to the root of ``schema``: modules write references as if they were there."""
    properties = schema.get("properties", {})
    definitions = dict(schema.get("definitions", {}))
    options = properties.get("options", {})
    # A module may have an option of that name; a schema has "type", "$ref" or the like and is no table.
    if isinstance(options.get("definitions"), dict):
        definitions.update(options["definitions"])
        options = {key: value for key, value in options.items() if key != "definitions"}
        properties = {**properties, "options": options}
    if "definitions" in properties:
        definitions.update(properties["definitions"])
        properties = {key: value for key, value in properties.items() if key != "definitions"}
    if properties:
        schema["properties"] = properties
    if definitions:
        schema["definitions"] = definitions
    return schema
