"""Reads an application of Jobbergate: ``jobbergate.yaml`` and what its ``jobbergate.py`` asks.

That program is not run. Its questions are found where they are plain calls with constants in ``mainflow``; what is
computed there is beyond this, and said in the notes of the template.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from osbuild_core.exports.jobs.scripts.errors import ScriptTemplateError, issue
from osbuild_core.exports.jobs.scripts.questions import read_questions
from osbuild_core.exports.jobs.scripts.template import (
    JOBBERGATE,
    SUFFIXES,
    ScriptTemplate,
    check_names,
    default_target,
    mapping,
    read_files,
)
from osbuild_core.model.errors import Issue

PROGRAM = "jobbergate.py"

_TYPES = {
    "Text": "text",
    "Integer": "integer",
    "List": "list",
    "Directory": "directory",
    "File": "file",
    "Checkbox": "checkbox",
    "Confirm": "confirm",
    "BooleanList": "boolean-list",
    "Const": "const",
}
_NAMES = {
    "variablename": "name",
    "message": "message",
    "default": "default",
    "minval": "min",
    "maxval": "max",
    "choices": "choices",
    "exists": "exists",
    "whentrue": "when-true",
    "whenfalse": "when-false",
}


def read_application(root: Path, document: Mapping[str, Any]) -> ScriptTemplate:
    """Return the application in ``root``, whose ``jobbergate.yaml`` is ``document``, as a template.

    Raises ScriptTemplateError with all that is wrong.
    """
    issues: list[Issue] = []
    config = mapping(document, "jobbergate_config", issues)
    application = mapping(document, "application_config", issues)
    supporting = _strings(config.get("supporting_files"))
    listed = _strings(config.get("template_files")) or _found(root)
    default = config.get("default_template")
    entrypoint = _below(root, default) if isinstance(default, str) else None
    if entrypoint is None and default is None:
        candidates = [name for name in listed if name not in supporting]
        entrypoint = candidates[0] if len(candidates) == 1 else None
    files = [_below(root, name) for name in (supporting or listed)]
    names = {
        _below(root, name): value
        for name, value in mapping(config, "supporting_files_output_name", issues).items()
    }
    questions, notes = _questions(root, issues)
    # Jobbergate renders what it has, whatever it is called.
    read = [
        replace(one, is_template=True)
        for one in read_files(root, entrypoint, [name for name in files if name != entrypoint], names, issues)
    ]
    template = ScriptTemplate(
        root,
        str(config.get("job_script_name") or root.resolve().name),
        tuple(read),
        variables={**config, **application},
        questions=questions,
        notes=tuple(notes),
    )
    check_names(template, issues)
    if issues:
        raise ScriptTemplateError(
            one._replace(message=f"{root / JOBBERGATE}: {one.message}") for one in issues
        )
    return template


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _found(root: Path) -> list[str]:
    """Return the templates in the folder, as ``jobbergate applications create`` finds them."""
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.name.endswith(SUFFIXES)
    )


def _below(root: Path, name: str) -> str:
    """Return the path of a file that is called by its path, or by its name in ``templates``."""
    for candidate in (name, f"templates/{name}"):
        if (root / candidate).is_file():
            return candidate
    # Output names leave out where a file is and that it is a template.
    return next((one for one in _found(root) if name in (default_target(one), Path(one).name)), name)


def _questions(root: Path, issues: list[Issue]) -> tuple[Any, list[str]]:
    """Return the questions of ``jobbergate.py``, and notes on what it has beyond them."""
    path = root / PROGRAM
    if not path.is_file():
        return (), []
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        issues.append(issue("script.question", f"{path}:{line}: it is not Python: {error}"))
        return (), []
    flow = next(
        (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == "mainflow"), None
    )
    if flow is None:
        return (), [f"{path} has no mainflow: it is not run"]
    finder = _Finder()
    for statement in flow.body:
        finder.visit(statement)
    notes = [f"{path}:{line}: what is computed there is not read" for line in finder.beyond]
    if any(isinstance(one, ast.Constant) and one.value == "nextworkflow" for one in ast.walk(tree)):
        notes.append(f"{path}: it has more than one workflow, of which the main one is read")
    return read_questions(finder.found, ("questions",), issues), notes


class _Finder(ast.NodeVisitor):
    """Finds calls that are questions, in the order in which they are written."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.beyond: list[int] = []

    def visit_Call(self, node: ast.Call) -> None:
        if _type_of(node) is None:
            self.generic_visit(node)
            return
        question = self._question(node)
        if question is not None:
            self.found.append(question)

    def visit_If(self, node: ast.If) -> None:
        self._skip(node)

    def visit_For(self, node: ast.For) -> None:
        self._skip(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._skip(node)

    def _skip(self, node: ast.AST) -> None:
        """Pass over questions whose being asked is computed."""
        calls = [one for one in ast.walk(node) if isinstance(one, ast.Call) and _type_of(one)]
        if calls:
            self.beyond.append(calls[0].lineno)

    def _question(self, node: ast.Call) -> dict[str, Any] | None:
        kind = _type_of(node)
        given: dict[str, ast.expr] = dict(zip(("name", "message"), node.args, strict=False))
        for keyword in node.keywords:
            name = _NAMES.get(keyword.arg or "")
            if name is not None:
                given[name] = keyword.value
        question: dict[str, Any] = {"type": kind}
        for name, value in given.items():
            if name in ("when-true", "when-false") and isinstance(value, ast.List):
                nested = [self._question(one) for one in value.elts if isinstance(one, ast.Call)]
                question[name] = [one for one in nested if one is not None]
                continue
            try:
                question[name] = ast.literal_eval(value)
            except (ValueError, TypeError):
                self.beyond.append(value.lineno)
                return None
        if question.get("default") is None:
            question.pop("default", None)
        if isinstance(question.get("choices"), (list, tuple)):
            question["choices"] = [
                {"label": str(one[0]), "value": one[1]} if isinstance(one, tuple) and len(one) == 2 else one
                for one in question["choices"]
            ]
        return question


def _type_of(node: ast.Call) -> str | None:
    """Return which question a call makes, if any: ``Text(…)``, ``appform.Text(…)``."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return _TYPES.get(name)
