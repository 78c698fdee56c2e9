from __future__ import annotations

import pytest

from osbuild_core.model.manifest import ORIGIN_PIPELINE, ORIGIN_SOURCE, Input, Manifest, Pipeline, Stage


def pipeline(name: str, *ids: str) -> Pipeline:
    return Pipeline(name, tuple(Stage("t", id_, {}) for id_ in ids))


def test_a_pipeline_is_found_by_name_and_by_id():
    manifest = Manifest("2", (pipeline("a", "1", "2"), pipeline("b", "3")))
    assert manifest["a"] is manifest["2"] is manifest.pipelines[0]
    assert manifest.get("1") is None  # a stage within
    with pytest.raises(KeyError):
        _ = manifest["c"]


def test_names_come_before_ids_and_the_first_of_an_id_before_others():
    manifest = Manifest("2", (pipeline("a", "b"), pipeline("b", "x"), pipeline("c", "x")))
    assert manifest["b"].name == "b"
    assert manifest["x"].name == "b"


def test_a_pipeline_without_stages_has_no_id():
    manifest = Manifest("2", (pipeline("a"),))
    assert manifest["a"].id is None


def test_inputs_of():
    tree = Input("t", "tree", ORIGIN_PIPELINE, {"1": {}}, {}, "i")
    files = Input("f", "files", ORIGIN_SOURCE, {"sha256:1": {}}, {}, "j")
    stage = Stage("t", "2", {}, (files, tree))
    manifest = Manifest("2", (pipeline("a", "1"), Pipeline("b", (stage,))))
    assert [p.name for p in manifest.inputs_of(stage)] == ["a"]


def test_frozen():
    with pytest.raises(AttributeError):
        pipeline("a").name = "b"
