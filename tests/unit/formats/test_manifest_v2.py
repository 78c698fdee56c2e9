from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osbuild_core import formats
from osbuild_core.catalog import Library
from osbuild_core.model.errors import Issue, ManifestError
from osbuild_core.model.manifest import Manifest

NOOP = {"type": "org.osbuild.noop"}
ONE = "sha256:" + "1" * 64
TWO = "sha256:" + "2" * 64
CYCLE = "a tree has to be there before another is made of it: take one of the references out"


def document(*pipelines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": "2", "pipelines": list(pipelines), **more}


def pipeline(name: str, *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "stages": list(stages) or [NOOP], **more}


def tree_input(reference: str) -> dict[str, Any]:
    return {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [reference]}


def reading(reference: str) -> dict[str, Any]:
    return {**NOOP, "inputs": {"tree": tree_input(reference)}}


def refused(item: dict[str, Any], library: Library, **how: Any) -> list[Issue]:
    with pytest.raises(ManifestError) as caught:
        formats.load(item, library, **how)
    return list(caught.value.issues)


def only(issues: list[Issue]) -> tuple[str, tuple[str | int, ...], str | None]:
    (issue,) = issues
    return issue.code, issue.path, issue.hint


def test_the_model(library):
    manifest = formats.load(
        document(
            pipeline("build", runner="org.osbuild.debian12"),
            pipeline("os", NOOP, NOOP, build="name:build", **{"source-epoch": 7}),
            metadata={"generators": [{"name": "test"}]},
        ),
        library,
    )
    build, os = manifest.pipelines
    assert (build.declares, build.runner, build.build) == ("org.osbuild.debian12", None, None)
    assert (os.build, os.runner, os.declares, os.source_epoch) == ("build", "org.osbuild.debian12", None, 7)
    assert os.stages[1].path == ("pipelines", 1, "stages", 1)
    assert os.id == os.stages[1].id != os.stages[0].id
    assert manifest.metadata == {"generators": [{"name": "test"}]}


def test_a_pipeline_may_be_referred_to_by_id(library):
    first = formats.load(document(pipeline("os")), library)
    by_id = formats.load(document(pipeline("os"), pipeline("out", reading(str(first["os"].id)))), library)
    by_name = formats.load(document(pipeline("os"), pipeline("out", reading("name:os"))), library)
    assert by_id == by_name
    assert [p.name for p in by_id.inputs_of(by_id["out"].stages[0])] == ["os"]


@pytest.mark.parametrize(
    ("reference", "code", "hint"),
    [
        ("name:tere", "manifest.unknown-reference", "did you mean 'tree'?"),
        ("name:xyzzy", "manifest.unknown-reference", "there are: tree, empty, here, later, back, middle"),
        ("tree", "manifest.unknown-reference", 'write "name:tree"'),
        ("f" * 64, "manifest.unknown-reference", 'references begin with "name:"'),
        ("name:here", "manifest.cycle", CYCLE),
        ("name:later", "manifest.forward-reference", "move 'later' before 'here'"),
        ("name:back", "manifest.cycle", CYCLE),
        ("name:empty", "manifest.empty-pipeline", "a pipeline without stages has no tree"),
    ],
)
@pytest.mark.parametrize("member", ["build", "input"])
def test_bad_references(reference, code, hint, member, library):
    here = pipeline("here", build=reference) if member == "build" else pipeline("here", reading(reference))
    issues = refused(
        document(
            pipeline("tree"),
            {"name": "empty"},
            here,
            pipeline("later"),
            pipeline("back", reading("name:middle")),
            pipeline("middle", build="name:here"),
        ),
        library,
    )
    place = ("build",) if member == "build" else ("stages", 0, "inputs", "tree", "references")
    found = {issue.path: (issue.code, issue.hint) for issue in issues}
    assert found[("pipelines", 2, *place)] == (code, hint)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc", "a/../../b", "a\0"])
def test_names_that_lead_out_of_the_output_directory(name, library):
    code, path, _ = only(refused(document(pipeline(name)), library))
    assert (code, path) == ("manifest.name", ("pipelines", 0, "name"))


def test_two_pipelines_of_one_name(library):
    code, path, _ = only(refused(document(pipeline("a"), pipeline("a")), library))
    assert (code, path) == ("manifest.duplicate-name", ("pipelines", 1, "name"))


LOOP = {"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}


def lv(parent: str | None) -> dict[str, Any]:
    device: dict[str, Any] = {"type": "org.osbuild.lvm2.lv", "options": {"volume": "v"}}
    return {**device, "parent": parent} if parent else device


def with_devices(devices: dict[str, Any], mounts: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return document(pipeline("image", {**NOOP, "devices": devices, "mounts": mounts or []}))


def test_a_runner_that_there_is_none_for_has_its_place(library):
    pipelines = [{"name": "a", "runner": "org.osbuild.linux"}, {"name": "b", "runner": "org.osbuild.lniux"}]
    with pytest.raises(ManifestError) as caught:
        formats.load({"version": "2", "pipelines": pipelines}, library)
    (issue,) = caught.value.issues
    assert issue.path == ("pipelines", 1, "runner")
    assert (issue.code, issue.hint) == ("manifest.unknown-runner", "did you mean org.osbuild.linux?")


def test_parents_come_first(library):
    manifest = formats.load(with_devices({"c": lv("b"), "a": LOOP, "b": lv("a")}), library)
    devices = manifest["image"].stages[0].devices
    assert [(d.name, d.parent) for d in devices] == [("a", None), ("b", "a"), ("c", "b")]
    assert len({d.id for d in devices}) == 3


def test_a_parent_that_is_not_there(library):
    code, path, hint = only(refused(with_devices({"disk": LOOP, "root": lv("disc")}), library))
    assert code == "manifest.unknown-reference"
    assert path == ("pipelines", 0, "stages", 0, "devices", "root", "parent")
    assert hint == "did you mean 'disk'?"


@pytest.mark.parametrize("devices", [{"a": lv("a")}, {"a": lv("b"), "b": lv("c"), "c": lv("a")}])
def test_devices_in_a_circle(devices, library):
    issues = refused(with_devices(devices), library)
    assert {issue.code for issue in issues} == {"manifest.cycle"}


def mount(name: str, source: str, target: str) -> dict[str, Any]:
    return {"name": name, "type": "org.osbuild.ext4", "source": source, "target": target}


def test_a_mount_of_an_unknown_device(library):
    item = with_devices({"disk": LOOP}, [mount("root", "disk", "/"), mount("boot", "disc", "/boot")])
    code, path, hint = only(refused(item, library))
    assert (code, path[-3:]) == ("manifest.unknown-reference", ("mounts", 1, "source"))
    assert hint == "did you mean 'disk'?"


def test_two_mounts_of_one_name(library):
    item = with_devices({"disk": LOOP}, [mount("root", "disk", "/"), mount("root", "disk", "/boot")])
    code, path, _ = only(refused(item, library))
    assert (code, path[-3:]) == ("manifest.duplicate-name", ("mounts", 1, "name"))


def test_every_issue_is_told(library):
    issues = refused(document(pipeline("a", build="name:x"), pipeline("b", reading("name:y"))), library)
    assert [issue.path[:2] for issue in issues] == [("pipelines", 0), ("pipelines", 1)]


def files(references: Any) -> dict[str, Any]:
    item = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": references}
    options = {"paths": [{"from": f"input://file/{ONE}", "to": "tree:///x"}]}
    return {"type": "org.osbuild.copy", "inputs": {"file": item}, "options": options}


def test_items_that_no_source_lists(library):
    sources = {"org.osbuild.curl": {"items": {ONE: {"url": "http://localhost/1"}}}}
    manifest = formats.load(
        document(pipeline("a", files([ONE])), pipeline("b", files([ONE, TWO])), sources=sources), library
    )
    (issue,) = formats.missing_items(manifest)
    assert issue.code == "manifest.unknown-source-item"
    assert TWO in issue.message
    assert issue.path == ("pipelines", 1, "stages", 0, "inputs", "file", "references")
    assert formats.missing_items(manifest, manifest["a"].stages) == []


MIRRORED = {"path": "a.rpm", "mirror": "m"}
MIRRORS = {"mirrors": {"m": {"url": "http://localhost/", "type": "baseurl"}}}


def test_a_complete_description_keeps_what_osbuild_leaves_out(library):
    item = document(
        pipeline("b", runner="org.osbuild.linux"),
        pipeline("a", build="name:b", runner="org.osbuild.debian", **{"source-epoch": 1}),
        {"name": "image", "stages": with_devices({"d": LOOP, "v": lv("d")})["pipelines"][0]["stages"]},
        sources={"org.osbuild.librepo": {"items": {ONE: MIRRORED}, "options": MIRRORS}},
        exports={"out": {"type": "org.osbuild.copy-out", "pipeline": "name:a", "options": {"to": "x"}}},
        metadata={"exports": ["a"]},
    )
    item["pipelines"][2]["stages"][0].pop("mounts")
    manifest = formats.load(item, library)
    assert formats.describe(manifest, complete=True, ids=False) == item
    short = formats.describe(manifest, ids=False)
    assert "exports" not in short
    assert "source-epoch" not in short["pipelines"][1]
    # osbuild shows the runner of a pipeline only where another is built on it.
    assert "runner" not in short["pipelines"][1]
    assert "parent" not in short["pipelines"][2]["stages"][0]["devices"]["v"]
    assert "options" not in short["sources"]["org.osbuild.librepo"]


def test_loading_changes_nothing_in_the_document(library, conformance):
    item = conformance("v2-disk-devices-mounts.json")["manifest"]
    before = copy.deepcopy(item)
    formats.load(item, library)
    assert item == before


def test_empty_members_count_as_absent(library):
    bare = formats.load(document(pipeline("a")), library)
    full = formats.load(
        document(pipeline("a", {**NOOP, "options": {}, "inputs": {}, "devices": {}, "mounts": []})), library
    )
    assert bare == full


REFERENCES = st.dictionaries(
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    st.one_of(st.just({}), st.just({"metadata": {"rpm.check_gpg": True}})),
    min_size=1,
    max_size=4,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid manifest: pipelines that build on and read earlier ones, files, devices and mounts."""
    names = draw(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, min_size=1, max_size=5))
    pipelines = []
    for index, name in enumerate(names):
        earlier = st.sampled_from(names[:index] or ["-"])
        stages = []
        for _ in range(draw(st.integers(1, 3))):
            stage: dict[str, Any] = {
                "type": "org.osbuild.noop",
                "options": draw(st.dictionaries(st.text(), JSON, max_size=3)),
            }
            inputs = {}
            if draw(st.booleans()):
                refs = draw(REFERENCES)
                inputs["files"] = files(
                    refs if draw(st.booleans()) else [{"id": k, "options": v} for k, v in refs.items()]
                )["inputs"]["file"]
            if index and draw(st.booleans()):
                inputs["tree"] = tree_input("name:" + draw(earlier))
            if draw(st.booleans()):
                stage["devices"] = {"v": lv("d"), "d": LOOP}
                target = draw(st.sampled_from(["/", "/boot"]))
                stage["mounts"] = [{**mount("m", "v", target), "partition": draw(st.integers(1, 9))}]
            stages.append({**stage, "inputs": inputs})
        item = pipeline(name, *stages)
        if index and draw(st.booleans()):
            item["build"] = "name:" + draw(earlier)
        if draw(st.booleans()):
            item["runner"] = draw(st.sampled_from(["org.osbuild.linux", "org.osbuild.debian12"]))
        if draw(st.booleans()):
            item["source-epoch"] = draw(st.integers(0, 2**31))
        pipelines.append(item)
    return document(*pipelines)


def all_ids(manifest: Manifest) -> list[str]:
    found = []
    for stage in (s for p in manifest for s in p.stages):
        parts = (*stage.inputs, *stage.devices, *stage.mounts)
        found += [stage.id, *(part.id for part in parts)]
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(manifests())
def test_description_and_loading_are_inverse(library, item):
    manifest = formats.load(item, library)
    again = formats.load(formats.describe(manifest, complete=True, ids=False), library)
    assert all_ids(again) == all_ids(manifest)
    assert formats.describe(again, complete=True) == formats.describe(manifest, complete=True)
