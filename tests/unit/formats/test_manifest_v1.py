from __future__ import annotations

from typing import Any

import pytest

from osbuild_core import formats
from osbuild_core.model import ids
from osbuild_core.model.errors import ManifestError

NOOP = {"name": "org.osbuild.noop"}
ONE = "sha256:" + "1" * 64
TWO = "sha256:" + "2" * 64


def nested(depth: int, **more: Any) -> dict[str, Any]:
    pipeline: dict[str, Any] = {"stages": [NOOP], **more}
    if depth:
        pipeline["build"] = {"pipeline": nested(depth - 1), "runner": f"org.osbuild.fedora{30 + depth}"}
    return pipeline


def test_names_order_and_runners(library):
    manifest = formats.load({"pipeline": nested(2, assembler=NOOP)}, library)
    assert [(p.name, p.build, p.runner, p.declares) for p in manifest] == [
        ("build-build", None, None, "org.osbuild.fedora31"),
        ("build", "build-build", "org.osbuild.fedora31", "org.osbuild.fedora32"),
        ("tree", "build", "org.osbuild.fedora32", None),
        ("assembler", "build", "org.osbuild.fedora32", None),
    ]
    stage = manifest["assembler"].stages[0]
    assert stage.kind == "assemblers"
    assert list(stage.inputs[0].refs) == [manifest["tree"].id]
    assert [p.name for p in manifest.inputs_of(stage)] == ["tree"]
    assert manifest["build-build"].stages[0].path == (
        *("pipeline", "build", "pipeline", "build", "pipeline"),
        *("stages", 0),
    )


def test_packages_become_an_input(library):
    packages = [ONE, {"checksum": TWO, "check_gpg": True}]
    rpm = {"name": "org.osbuild.rpm", "options": {"packages": packages}}
    sources = {"org.osbuild.files": {"urls": {ONE: "http://localhost/1", TWO: "http://localhost/2"}}}
    document = {"pipeline": {"stages": [rpm]}, "sources": sources}
    manifest = formats.load(document, library)
    stage = manifest["tree"].stages[0]
    (packages_input,) = stage.inputs
    assert (packages_input.name, packages_input.type) == ("packages", "org.osbuild.files")
    assert packages_input.refs == {ONE: {}, TWO: {"metadata": {"rpm.check_gpg": True}}}
    assert stage.id == ids.stage_id(
        stage.type, None, None, rpm["options"], inputs={"packages": packages_input.id}
    )
    (source,) = manifest.sources
    assert (source.type, set(source.items)) == ("org.osbuild.curl", {ONE, TWO})
    assert formats.missing_items(manifest) == []
    assert formats.describe(manifest, ids=False) == document


def test_a_commit_becomes_an_input(library):
    options = {"commit": "c" * 64, "ref": "stable"}
    document = {
        "pipeline": {"stages": [{"name": "org.osbuild.ostree", "options": options}]},
        "sources": {"org.osbuild.ostree": {"commits": {"c" * 64: {"remote": {"url": "http://localhost"}}}}},
    }
    manifest = formats.load(document, library)
    (commits,) = manifest["tree"].stages[0].inputs
    assert (commits.type, commits.refs) == ("org.osbuild.ostree", {"c" * 64: {"ref": "stable"}})
    assert formats.describe(manifest, ids=False) == document


def test_places_of_issues_in_nested_pipelines(library):
    pipeline = nested(1, assembler={"name": "org.osbuild.tar", "options": {"filename": 3}})
    pipeline["build"]["pipeline"]["stages"].append({"name": "org.osbuild.hostname", "options": {}})
    pipeline["build"]["pipeline"]["stages"].append({"name": "org.osbuild.nopo"})
    with pytest.raises(ManifestError) as caught:
        formats.load({"pipeline": pipeline}, library)
    found = {issue.path: (issue.code, issue.hint) for issue in caught.value.issues}
    assert found == {
        ("pipeline", "assembler", "options", "filename"): (
            "manifest.schema",
            "osbuild-core modules show assemblers/org.osbuild.tar tells what it takes",
        ),
        ("pipeline", "build", "pipeline", "stages", 1, "options"): (
            "manifest.schema",
            "osbuild-core modules show stages/org.osbuild.hostname tells what it takes",
        ),
        ("pipeline", "build", "pipeline", "stages", 2): (
            "manifest.unknown-stage",
            "did you mean 'org.osbuild.noop'?",
        ),
    }


def test_a_runner_that_there_is_none_for_has_its_place(library):
    pipeline = nested(2)
    pipeline["build"]["runner"] = "org.osbuild.fedroa40"
    pipeline["build"]["pipeline"]["build"]["runner"] = "org.osbuild.fedora1"
    with pytest.raises(ManifestError) as caught:
        formats.load({"pipeline": pipeline}, library)
    newer = "the runners of that distribution are newer: org.osbuild.fedora30, org.osbuild.fedora38"
    assert [(issue.path, issue.code, issue.hint) for issue in caught.value.issues] == [
        (
            ("pipeline", "build", "pipeline", "build", "runner"),
            "manifest.unknown-runner",
            newer,
        ),
        (
            ("pipeline", "build", "runner"),
            "manifest.unknown-runner",
            "did you mean org.osbuild.fedora30 or org.osbuild.fedora38?",
        ),
    ]


def test_an_empty_manifest(library):
    manifest = formats.load({}, library)
    assert [(p.name, p.id) for p in manifest] == [("tree", None)]
    assert formats.describe(manifest) == {"pipeline": {}}


def test_an_assembler_without_a_tree(library):
    manifest = formats.load({"pipeline": {"assembler": NOOP}}, library)
    assert manifest["assembler"].stages[0].inputs == ()
