"""JSON schemas turned into byte code by fastjsonschema. Imported only where none is kept yet."""

from __future__ import annotations

import ast
import re
from types import CodeType
from typing import Any

import fastjsonschema


def compiled(schema: dict[str, Any]) -> CodeType | None:
    """Return code that defines ``validate(data)``, or None where ``schema`` cannot be compiled.

    It raises ``Refused`` for what does not follow the schema, and uses ``Patterns`` and ``Decimal``: who
    runs it has to define these names.
    """
    plain = {name: value for name, value in schema.items() if name not in ("id", "$id")}
    try:
        text = fastjsonschema.compile_to_code(
            plain,
            handlers=dict.fromkeys(("http", "https", "ftp", "file"), _refuse_remote),
            # Defaults would be written into the manifest and change its ids.
            use_default=False,
            use_formats=False,
            detailed_exceptions=False,
        )
        tree = ast.parse(text)
    except (fastjsonschema.JsonSchemaException, SyntaxError, re.error):
        return None
    return compile(ast.fix_missing_locations(_Lean().visit(tree)), "<schema>", "exec")


def _refuse_remote(uri: str) -> Any:
    raise fastjsonschema.JsonSchemaDefinitionException(f"{uri} is not fetched")


class _Lean(ast.NodeTransformer):
    """Takes out what costs time and is for messages only; jsonschema words the messages."""

    def visit_Import(self, _node: ast.Import) -> None:
        """Leave imports out: they cost more than the validation."""

    def visit_ImportFrom(self, _node: ast.ImportFrom) -> None:
        """As for ``import``."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Keep the texts of regular expressions, to be compiled when they are used."""
        self.generic_visit(node)
        target = node.targets[0]
        if (
            isinstance(target, ast.Name)
            and target.id == "REGEX_PATTERNS"
            and isinstance(node.value, ast.Dict)
        ):
            node.value.values = [call.args[0] for call in node.value.values if isinstance(call, ast.Call)]
            node.value = ast.Call(ast.Name("Patterns", ast.Load()), [node.value], [])
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Raise without a message."""
        node.exc = ast.Name("Refused", ast.Load())
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Catch what is raised instead."""
        self.generic_visit(node)
        node.type = ast.Name("Refused", ast.Load())
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Call the functions of subschemas with the data alone, not with its place."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id.startswith("validate"):
            node.args = node.args[:1]
        return node
