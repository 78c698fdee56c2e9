"""JSON Schema of templates, from the tables that read them.

It has what a schema can say: keys, types, lengths, choices, as wide as the extensions make them. What refers to
something else (names, references, dependencies) only a check finds.
"""

from __future__ import annotations

from typing import Any

from osbuild_core.exports.jobs import actions, definitions, requirements, spaces, template
from osbuild_core.exports.jobs.records import ListOf, MapOf, Record, Tagged
from osbuild_core.exports.jobs.shape import (
    CONTROL,
    CONTROL_BUT_LINES,
    CONTROL_BUT_TEXT,
    Choice,
    Flag,
    Limit,
    Number,
    Shape,
    Text,
    Whole,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ROOTS: dict[str, Record] = {
    template.JOB_VERSION: template.JOB_TEMPLATE,
    template.ENVIRONMENT_VERSION: template.ENVIRONMENT_TEMPLATE,
}
_NAMED: dict[int, str] = {
    id(actions.ACTION): "Action",
    id(actions.FILE): "EmbeddedFile",
    id(actions.ENVIRONMENT): "Environment",
    id(actions.STEP_SCRIPT): "StepScript",
    id(definitions.DEFINITION): "JobParameterDefinition",
    id(requirements.REQUIREMENTS): "HostRequirements",
    id(spaces.SPACE): "StepParameterSpace",
    id(template.STEP): "StepTemplate",
}
"""Shapes that have a definition of their own, by identity: they cannot be hashed."""

_ALLOWED = {
    id(CONTROL): "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    id(CONTROL_BUT_LINES): "^[^\\u0000-\\u0009\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$",
    id(CONTROL_BUT_TEXT): "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$",
}
"""What remains where control characters are forbidden, as expressions of ECMA-262."""

_FORMAT = {"type": "string", "pattern": "\\{\\{"}


def template_schema(version: str) -> dict[str, Any]:
    """Return the schema of templates of this specification version."""
    maker = _Maker()
    root = maker.record(_ROOTS[version])
    title = f"Open Job Description template, {version}"
    return {"$schema": DIALECT, "title": title, **root, "$defs": dict(sorted(maker.definitions.items()))}


class _Maker:
    """Makes schemas of shapes, and collects the definitions that those refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, shape: Shape) -> dict[str, Any]:
        name = _NAMED.get(id(shape))
        if name is None:
            return self.plain(shape)
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.plain(shape)
        return {"$ref": f"#/$defs/{name}"}

    def plain(self, shape: Shape) -> dict[str, Any]:
        match shape:
            case Text():
                return self.text(shape)
            case Whole():
                return self.whole(shape)
            case Number():
                return self.number(shape)
            case Flag():
                return {"type": "boolean"}
            case Choice():
                return {"enum": list(shape.words)}
            case ListOf():
                limits = _limits("Items", shape.least, shape.most)
                return {"type": "array", "items": self.of(shape.item), **limits}
            case MapOf():
                names = self.text(shape.key)
                values = self.of(shape.item)
                return {"type": "object", "propertyNames": names, "additionalProperties": values} | {
                    "minProperties": 1
                }
            case Record():
                return self.record(shape)
            case Tagged():
                return {"oneOf": [self.record(variant) for variant in shape.variants.values()]}
            case spaces.RangeOf():
                several = ListOf(shape.item, most=spaces.LONGEST_RANGE)
                return self.either(several, Text(formats=True)) if shape.expression else self.of(several)
            case spaces.NumberText():
                return self.number(Number(formats=True))
            case actions.Cancelation():
                return {"anyOf": [self.record(variant) for variant in shape.variants.values()]}
        raise TypeError(f"there is no schema for {type(shape).__name__}")

    def either(self, *shapes: Shape) -> dict[str, Any]:
        return {"anyOf": [self.of(shape) for shape in shapes]}

    def text(self, shape: Text) -> dict[str, Any]:
        # The limits of what a text becomes are not those of the text.
        limits = {} if shape.resolved else _limits("Length", shape.least, shape.most)
        made: dict[str, Any] = {"type": "string", **limits}
        if shape.form is not None:
            made["pattern"] = f"^(?:{_portable(shape.form.pattern)})$"
        elif shape.forbidden is not None and id(shape.forbidden) in _ALLOWED:
            made["pattern"] = _ALLOWED[id(shape.forbidden)]
        return made

    def whole(self, shape: Whole) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "integer"}
        if shape.low is not None:
            number["minimum"] = shape.low
        if shape.high is not None:
            number["maximum"] = shape.high
        if shape.strict:
            return number
        text = {"type": "string", "pattern": "^\\s*[-+]?[0-9]+\\s*$"}
        return {"anyOf": [number, text, *([_FORMAT] if shape.formats else [])]}

    def number(self, shape: Number) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "number"}
        if shape.low is not None:
            number["exclusiveMinimum" if shape.above else "minimum"] = shape.low
        text = {
            "type": "string",
            "pattern": "^\\s*[-+]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+)?\\s*$",
        }
        return {"anyOf": [number, text, *([_FORMAT] if shape.formats else [])]}

    def record(self, shape: Record) -> dict[str, Any]:
        properties = {name: self.of(field.shape) for name, field in shape.fields.items()}
        required = [name for name, field in shape.fields.items() if field.required]
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        return made | ({"required": required} if required else {})


def _limits(what: str, least: int, most: Limit) -> dict[str, int]:
    widest = most[1] if isinstance(most, tuple) else most
    return ({f"min{what}": least} if least else {}) | ({f"max{what}": widest} if widest is not None else {})


def _portable(pattern: str) -> str:
    """Return an expression without the control characters that Python's may have as they are."""
    return "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or 126 < ord(c) < 160 else c for c in pattern)
