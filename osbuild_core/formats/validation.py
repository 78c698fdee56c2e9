"""Whether a manifest follows its format's schema and the schemas of the modules that it names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.catalog import schema_file
from osbuild_core.formats.acceptance import check_for
from osbuild_core.model.errors import Issue, ModuleError, Path

if TYPE_CHECKING:
    from osbuild_core.catalog import Library

_LONGEST = 1000
"""Characters of a message: jsonschema quotes what it refuses, which may be a list of 2,000 packages."""

_PARTS = ("options", "inputs", "devices")
"""Objects of a stage that may be left out where nothing in them is required."""

_FEW = 8
"""Names that a hint lists."""

_SINGULAR = {
    "stages": "stage",
    "inputs": "input",
    "sources": "source",
    "devices": "device",
    "mounts": "mount",
    "assemblers": "assembler",
    "exports": "export",
}


def validate_2(document: Mapping[str, Any], library: Library, *, strict: bool) -> list[Issue]:
    """Return what is wrong with a version 2 manifest: all of it, in the order of places."""
    checker = _Checker(library, "2", strict=strict)
    # What we add to the format is unknown to its schema.
    ours = () if strict else ("exports",)
    if "exports" in document and ours:
        checker.format("exports.json", document["exports"], ("exports",))
    checker.format("osbuild2.json", {k: v for k, v in document.items() if k not in ours}, (), ours)
    for name, export in _members(document.get("exports") if ours else None):
        checker.module("exports", _text(export, "type"), export, ("exports", name))
    for name, source in _members(document.get("sources")):
        checker.module("sources", str(name), source, ("sources", name))
    for index, pipeline in _members(document.get("pipelines")):
        checker.runner(_text(pipeline, "runner"), ("pipelines", index, "runner"))
        for number, stage in _members(pipeline.get("stages")):
            _validate_stage(checker, stage, ("pipelines", index, "stages", number))
    return checker.sorted()


def _validate_stage(checker: _Checker, stage: Mapping[str, Any], path: Path) -> None:
    checker.module("stages", _text(stage, "type"), stage, path)
    for kind in ("devices", "inputs", "mounts"):
        for name, item in _members(stage.get(kind)):
            checker.module(kind, _text(item, "type"), item, (*path, kind, name))


def validate_1(document: Mapping[str, Any], library: Library) -> list[Issue]:
    """Return what is wrong with a version 1 manifest: all of it, in the order of places."""
    checker = _Checker(library, "1", strict=True)
    checker.format("osbuild1.json", document, ())
    for name, source in _members(document.get("sources")):
        # The module has had another name since version 2.
        module = "org.osbuild.curl" if name == "org.osbuild.files" else str(name)
        checker.module("sources", module, source, ("sources", name))
    path: Path = ("pipeline",)
    pipeline = document.get("pipeline")
    while isinstance(pipeline, dict):
        for index, stage in _members(pipeline.get("stages")):
            checker.module("stages", _text(stage, "name"), stage, (*path, "stages", index))
        assembler = pipeline.get("assembler")
        if isinstance(assembler, dict):
            checker.module("assemblers", _text(assembler, "name"), assembler, (*path, "assembler"))
        build = pipeline.get("build")
        build = build if isinstance(build, dict) else {}
        checker.runner(_text(build, "runner"), (*path, "build", "runner"))
        pipeline = build.get("pipeline")
        path = (*path, "build", "pipeline")
    return checker.sorted()


def _members(value: Any) -> Iterable[tuple[str | int, Mapping[str, Any]]]:
    """Yield the (place, object) pairs of a list or an object; what is neither has its issue already."""
    pairs: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    return ((place, item) for place, item in pairs if isinstance(item, dict))


def _text(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    return value if isinstance(value, str) else None


class _Checker:
    """Validates the parts of one document and collects what is wrong."""

    def __init__(self, library: Library, version: str, *, strict: bool) -> None:
        self._library = library
        self._version = version
        self._strict = strict
        self._issues: dict[tuple[Path, str], Issue] = {}
        self._schemas: dict[tuple[str, str], tuple[dict[str, Any] | None, Any]] = {}

    def sorted(self) -> list[Issue]:
        """Return the issues by place; numbers before names."""
        return sorted(
            self._issues.values(), key=lambda i: ([(isinstance(p, str), p) for p in i.path], i.message)
        )

    def format(self, name: str, data: Any, path: Path, ours: tuple[str, ...] = ()) -> None:
        """Check ``data``, found at ``path``, against one of the program's own schemas.

        Hints name the members ``ours`` beside those of the schema.
        """
        with open(schema_file(name), "rb") as file:
            schema = json.load(file)
        self._check(schema, check_for(schema), data, path, ours=ours)

    def module(self, kind: str, name: str | None, data: Mapping[str, Any], path: Path) -> None:
        """Check ``data``, found at ``path``, against the schema of the module ``name``."""
        if name is None:
            return
        if (kind, name) not in self._schemas:
            module = self._library.module(kind, name)
            schema = module.schema(self._version) if module else None
            self._schemas[kind, name] = schema, check_for(schema) if schema else None
        schema, check = self._schemas[kind, name]
        if schema is not None:
            if kind == "stages" and not self._strict:
                # osbuild lets a stage without what its schema requires there pass, and then it fails when it runs.
                data = {**{part: {} for part in _PARTS if part in schema["properties"]}, **data}
            self._check(schema, check, data, path, f"{kind}/{name}")
        else:
            message = f"could not find schema information for {name!r}"
            code = f"manifest.unknown-{_SINGULAR[kind]}"
            self._add(Issue(message, path, code, self._library.suggestion(kind, name)))

    def runner(self, name: str | None, path: Path) -> None:
        """Check that the library has a runner for ``name``, which is at ``path``."""
        if name is not None and self._library.runner(name) is None:
            hint = self._library.runner_hint(name)
            self._add(Issue(f"there is no runner for {name!r}", path, "manifest.unknown-runner", hint))

    def _check(
        self,
        schema: dict[str, Any],
        check: Any,
        data: Any,
        path: Path,
        name: str = "",
        ours: tuple[str, ...] = (),
    ) -> None:
        if check is not None and check(data):
            return
        for message, place, hint in _explain(schema, data, name or None, ours, strict=self._strict):
            self._add(Issue(message, path + place, "manifest.schema", hint))

    def _add(self, issue: Issue) -> None:
        self._issues.setdefault((issue.path, issue.message), issue)


def _explain(
    schema: dict[str, Any], data: Any, module: str | None, ours: tuple[str, ...], *, strict: bool
) -> list[tuple[str, Path, str | None]]:
    """Return (message, place, hint) of each reason why ``data`` does not follow ``schema``, that of ``module``
    (``stages/org.osbuild.copy``) or one of the program's own, to whose root the members ``ours`` may be added.

    With ``strict`` these are all the reasons that osbuild has.
    """
    import re

    import jsonschema
    import referencing

    try:
        jsonschema.Draft4Validator.check_schema(schema)
        # With a registry of its own, jsonschema fetches nothing from the network.
        validator = jsonschema.Draft4Validator(schema, registry=referencing.Registry())
        reasons = list(validator.iter_errors(data))
    except (jsonschema.SchemaError, referencing.exceptions.Unresolvable, re.error) as error:
        name = (module or "").rpartition("/")[2]
        raise ModuleError(
            f"the schema of {name} is no JSON schema: {str(error).splitlines()[0]}",
            code="module.schema",
            hint=f"correct the metadata of {name}",
        ) from None
    if not strict:
        # A misspelt member is one mistake, not also that the right one is missing.
        near = ((tuple(r.absolute_path), _meant(r, ())) for r in reasons)
        meant = {(place, member) for place, member in near if member is not None}
        reasons = [r for r in reasons if (tuple(r.absolute_path), _missing(r)) not in meant]
    found: list[tuple[str, Path, str | None]] = []
    for reason in reasons:
        # "Not valid under any of the given schemas" alone helps nobody.
        nearest = jsonschema.exceptions.best_match(reason.context) if reason.context else None
        more = () if reason.absolute_path else ours
        hint = _shortened(str(nearest.message)) if nearest else _schema_hint(reason, module, more)
        found.append((_shortened(reason.message), tuple(reason.absolute_path), hint))
    return found


def _schema_hint(reason: Any, module: str | None, more: tuple[str, ...]) -> str | None:
    """Return what to do about ``reason``, a jsonschema ValidationError; ``more`` members are known beside its own."""
    import difflib

    if reason.validator == "additionalProperties" and isinstance(reason.instance, dict):
        meant = _meant(reason, more)
        if meant is not None:
            return f"did you mean {meant!r}?"
        known = [*reason.schema.get("properties", ()), *more]
        if 0 < len(known) <= _FEW:
            return f"known here: {', '.join(known)}"
    if reason.validator == "enum" and isinstance(reason.instance, str):
        close = difflib.get_close_matches(reason.instance, map(str, reason.validator_value), 1)
        if close:
            return f"did you mean {close[0]!r}?"
    if module is not None:
        return f"osbuild-core modules show {module} tells what it takes"
    if reason.validator == "required":
        return "add it"
    kinds = reason.validator_value
    return f"write {kinds}" if reason.validator == "type" and isinstance(kinds, str) else None


def _meant(reason: Any, more: tuple[str, ...]) -> str | None:
    """Return the member that the first unknown one is near to, where ``reason`` is that there is one."""
    import difflib

    if reason.validator != "additionalProperties" or not isinstance(reason.instance, dict):
        return None
    known = [*reason.schema.get("properties", ()), *more]
    wrong = next((name for name in reason.instance if name not in known), "")
    return next(iter(difflib.get_close_matches(wrong, known, 1)), None)


def _missing(reason: Any) -> str | None:
    """Return the member that is missing, where ``reason`` is that one is."""
    if reason.validator != "required":
        return None
    return next((name for name in reason.validator_value if reason.message.startswith(repr(name))), None)


def _shortened(message: str) -> str:
    if len(message) <= _LONGEST:
        return message
    half = _LONGEST // 2
    return f"{message[:half]} […] {message[-half:]}"
