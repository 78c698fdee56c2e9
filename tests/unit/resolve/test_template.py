"""The manifest as a document: order, text, what is recorded, the hint to resolve anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from templatefiles import Templates

from osbuild_core.resolve import dumps, resolve, resolve_again_hint


def test_text_is_stable_and_reads_back(templates: Templates) -> None:
    manifest = templates.resolve("z: 1\npipelines: []\na: ü\nversion: '2'\nsources: {}\n")
    assert list(manifest) == ["version", "metadata", "pipelines", "sources", "z", "a"]
    assert json.loads(dumps(manifest)) == manifest
    assert dumps(manifest).endswith("}\n") and "ü" in dumps(manifest)


def test_own_metadata_is_kept(templates: Templates) -> None:
    manifest = templates.resolve("metadata: {generators: [{name: me}]}")
    assert manifest["metadata"] == {
        "generators": [{"name": "me"}],
        "resolve": {"template": "main.yaml", "variables": {}},
    }


def test_relative_name_is_recorded_as_it_was_given(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates.write("dir/t.yaml", "{}")
    monkeypatch.chdir(templates.directory)
    assert resolve(Path("dir/t.yaml"))["metadata"]["resolve"]["template"] == "dir/t.yaml"


def test_hint_is_the_command() -> None:
    recorded = {"template": "my os.yaml", "variables": {"key": "a b", "n": "1"}, "snapshot": "http://s/"}
    assert resolve_again_hint({"resolve": recorded}) == (
        "osbuild-core resolve 'my os.yaml' -D 'key=a b' -D n=1 --snapshot http://s/ -o MANIFEST"
    )


@pytest.mark.parametrize("metadata", [None, {}, {"resolve": 1}, {"resolve": {"template": 1}}])
def test_hint_without_a_record(metadata: dict[str, object] | None) -> None:
    assert resolve_again_hint(metadata) == "osbuild-core resolve TEMPLATE -o MANIFEST"
