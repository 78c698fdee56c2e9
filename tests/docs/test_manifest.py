"""Every example of the page on manifests is one, or is refused for the reason that the page gives."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.formats import describe, load
from osbuild_core.model.errors import ManifestError
from osbuild_core.model.manifest import Manifest
from tests.docs.pages import ROOT, Block, blocks_of

PAGE = ROOT / "docs" / "manifest.md"
EXAMPLES = [block for block in blocks_of(PAGE) if block.language == "json"]
REFUSED = [block for block in EXAMPLES if "refused" in block.markers]
ACCEPTED = [block for block in EXAMPLES if "refused" not in block.markers]
STAGES = [block for block in ACCEPTED if block.markers.get("part") == "stage"]

WELCOME = b"Welcome\n"
CHECKSUM = f"sha256:{hashlib.sha256(WELCOME).hexdigest()}"


def whole(block: Block) -> dict[str, Any]:
    """Return the manifest of a block; what is a part of one is put into one."""
    document: dict[str, Any] = block.document()
    part = block.markers.get("part")
    if part is None:
        return document
    manifest: dict[str, Any] = {
        "version": "2",
        "pipelines": [
            {
                "name": "tree",
                "stages": [
                    {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
                    {
                        "type": "org.osbuild.copy",
                        "inputs": {
                            "texts": {
                                "type": "org.osbuild.files",
                                "origin": "org.osbuild.source",
                                "references": [CHECKSUM],
                            }
                        },
                        "options": {
                            "paths": [{"from": f"input://texts/{CHECKSUM}", "to": "tree:///etc/motd"}]
                        },
                    },
                ],
            }
        ],
        "sources": {
            "org.osbuild.inline": {"items": {CHECKSUM: {"encoding": "base64", "data": "V2VsY29tZQo="}}}
        },
    }
    if part == "stage":
        manifest["pipelines"].append({"name": "example", "stages": [document]})
    else:
        assert part in ("sources", "exports"), block.place
        manifest[part] = document
    return manifest


def loaded(block: Block) -> Manifest:
    return load(whole(block), Library(default_library()))


@pytest.mark.parametrize("block", ACCEPTED, ids=lambda block: block.place)
def test_an_example_is_a_manifest(block: Block) -> None:
    manifest = loaded(block)
    again = load(describe(manifest, complete=True, ids=False), Library(default_library()))
    assert [pipeline.id for pipeline in again] == [pipeline.id for pipeline in manifest]


@pytest.mark.parametrize("block", REFUSED, ids=lambda block: block.place)
def test_what_is_said_to_be_refused_is(block: Block) -> None:
    with pytest.raises(ManifestError) as caught:
        loaded(block)
    assert caught.value.code == block.markers["refused"]


def test_the_forms_of_references_mean_the_same() -> None:
    ids = [loaded(block)["example"].id for block in STAGES[:3]]
    assert len(set(ids)) == 1, ids


@pytest.mark.root
def test_the_stages_can_be_built(tmp_path: Path) -> None:
    with Session(Settings(store=tmp_path / "store")) as session:
        for block in STAGES:
            result = session.build(
                session.load(whole(block)), exports=["example"], output_directory=tmp_path / str(block.line)
            )
            assert result.success, (block.place, result.failures())
            (made,) = (path for path in (tmp_path / str(block.line)).rglob("*") if path.is_file())
            assert made.read_bytes() == WELCOME


def test_the_codes_of_the_table_are_those_of_the_program() -> None:
    program = "\n".join(
        path.read_text()
        for folder in ("formats", "cli")
        for path in (ROOT / "osbuild_core" / folder).glob("*.py")
    )
    rows = re.findall(r"^\| (`manifest\..*?) \|", PAGE.read_text(), re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`(?:manifest\.)?([a-z-]+)`", row)]
    assert len(codes) > 10
    for code in codes:
        kind = code.removeprefix("unknown").removeprefix("-")
        assert f'"manifest.{code}"' in program or f'"{code}"' in program or f'"{kind}"' in program, code
