"""Exports in a manifest: our extension of version 2."""

from __future__ import annotations

from typing import Any

import pytest

from osbuild_core import formats
from osbuild_core.model.errors import ManifestError
from osbuild_core.model.manifest import Export

PIPELINE = {"name": "os", "stages": [{"type": "org.osbuild.noop"}]}
EXPORT = {"type": "org.osbuild.copy-out", "pipeline": "name:os", "options": {"to": "there"}}


def document(**exports: Any) -> dict[str, Any]:
    return {"version": "2", "pipelines": [PIPELINE], "exports": exports}


def test_an_export(library):
    manifest = formats.load(document(nightly=EXPORT), library)
    place = ("exports", "nightly")
    assert manifest.exports == (Export("nightly", "org.osbuild.copy-out", "os", {"to": "there"}, place),)


def test_osbuild_refuses_them(library):
    with pytest.raises(ManifestError) as caught:
        formats.load(document(nightly=EXPORT), library, strict=True)
    assert formats.validation_report(caught.value)["errors"] == [
        {"message": "Additional properties are not allowed ('exports' was unexpected)", "path": []}
    ]


def test_they_change_no_id(library):
    plain = formats.load({"version": "2", "pipelines": [PIPELINE]}, library)
    assert formats.load(document(nightly=EXPORT), library).pipelines == plain.pipelines


@pytest.mark.parametrize(
    ("name", "change", "code", "path"),
    [
        ("os", {}, "manifest.duplicate-name", ()),
        ("../x", {}, "manifest.name", ()),
        ("x", {"pipeline": "name:so"}, "manifest.unknown-reference", ("pipeline",)),
        ("x", {"type": "org.osbuild.copy-uot"}, "manifest.unknown-export", ()),
        ("x", {"options": {"to": 1}}, "manifest.schema", ("options", "to")),
        ("x", {"options": {}}, "manifest.schema", ("options",)),
        ("x", {"more": 1}, "manifest.schema", ()),
    ],
)
def test_bad_exports(name, change, code, path, library):
    with pytest.raises(ManifestError) as caught:
        formats.load(document(**{name: {**EXPORT, **change}}), library)
    assert {(issue.code, issue.path) for issue in caught.value.issues} == {(code, ("exports", name, *path))}


@pytest.mark.parametrize("exports", [[], "x", None, {"a": 1}])
def test_exports_of_the_wrong_type(exports, library):
    with pytest.raises(ManifestError) as caught:
        formats.load({"version": "2", "pipelines": [PIPELINE], "exports": exports}, library)
    assert caught.value.issues[0].path[0] == "exports"
