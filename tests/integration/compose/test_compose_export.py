"""The export org.osbuild.compose in manifests: the engine builds the metadata, the export publishes them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.model.results import ExportResult
from tests.packages.keys import Key

from .test_rpm_composes import listed

pytestmark = pytest.mark.root


def checksum(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def files(packages: list[Path]) -> dict[str, Any]:
    return {
        "type": "org.osbuild.files",
        "origin": "org.osbuild.source",
        "references": [checksum(path) for path in packages],
    }


def manifest(stages: list[dict[str, Any]], packages: list[Path], options: dict[str, Any]) -> dict[str, Any]:
    items = {checksum(path): {"url": path.as_uri()} for path in packages}
    return {
        "version": "2",
        "sources": {"org.osbuild.curl": {"items": items}},
        "pipelines": [{"name": "repos", "source-epoch": 1_700_000_000, "stages": stages}],
        "exports": {"c": {"type": "org.osbuild.compose", "pipeline": "name:repos", "options": options}},
    }


def createrepo(path: str, packages: list[Path], **options: Any) -> dict[str, Any]:
    places = {checksum(one): f"Packages/{one.name[0]}/{one.name}" for one in packages}
    return {
        "type": "org.osbuild.createrepo",
        "inputs": {"packages": files(packages)},
        "options": {"path": path, "packages": places, **options},
    }


def export(document: dict[str, Any], settings: ComposeSettings, output: Path) -> ExportResult:
    with Session(Settings(store=settings.store)) as session:
        result = session.build(session.load(document), exports=["c"], output_directory=output)
    assert len(result.exports) == 1, result.failures()
    return result.exports[0]


def test_repositories_of_rpm_packages(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    binaries = [rpms / "ed-1.14-1.x86_64.rpm", rpms / "words-1.0-1.noarch.rpm"]
    debug = [rpms / "ed-debuginfo-1.14-1.x86_64.rpm"]
    sources = [rpms / "ed-1.14-1.src.rpm"]
    stages = [
        createrepo("/x86_64/os", binaries),
        createrepo("/x86_64/debug/tree", debug),
        createrepo("/source/tree", sources),
    ]
    options = {"id": 4, "name": "editors", "url": "https://example.org/c"}
    done = export(manifest(stages, binaries + debug + sources, options), settings, tmp_path / "output")
    assert done.success, done.error
    directory = tmp_path / "output/c/odcs-4"
    for path, names in (("x86_64/os", binaries), ("x86_64/debug/tree", debug), ("source/tree", sources)):
        tree = directory / "compose/Temporary" / path
        assert listed(tree) == sorted(name.name.removesuffix(".rpm") for name in names)
        for rpm in tree.rglob("*.rpm"):
            assert rpm.samefile(settings.store / "sources/org.osbuild.files" / checksum(rpm))
    written = json.loads((directory / "compose/metadata/rpms.json").read_text())
    assert sorted(written["payload"]["rpms"]["Temporary"]["x86_64"]["ed-0:1.14-1.src"]) == [
        *("ed-0:1.14-1.src", "ed-0:1.14-1.x86_64", "ed-debuginfo-0:1.14-1.x86_64"),
    ]
    assert done.data["compose_id"].startswith("editors-4-1-")
    assert done.data["result_repofile"] == "https://example.org/c/odcs-4/compose/Temporary/odcs-4.repo"
    assert (done.data["packages"], done.data["arches"]) == (4, ["x86_64"])


def test_an_archive_of_debian_packages_signed(
    settings: ComposeSettings, archive: Path, tmp_path: Path, compose_key: Key
) -> None:
    packages = sorted((archive / "pool").rglob("*.deb"))
    stage = {
        "type": "org.osbuild.deb-repository",
        "inputs": {"packages": files(packages)},
        "options": {"suite": "stable"},
    }
    sign = {"sign": {"key": compose_key.user, "gnupg_home": str(compose_key.home)}}
    done = export(manifest([stage], packages, sign), settings, tmp_path / "output")
    assert done.success, done.error
    tree = tmp_path / "output/c/odcs-1/compose/Temporary"
    assert len(list((tree / "pool").rglob("*.deb"))) == len(packages) == done.data["packages"]
    assert (tree / "dists/stable/InRelease").read_text().startswith("-----BEGIN PGP SIGNED MESSAGE-----")
    assert "Signed-By:" in (tree / "odcs-1.sources").read_text()


def test_doing_it_again_gives_the_same(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    packages = [rpms / "words-1.0-1.noarch.rpm"]
    document = manifest([createrepo("/x86_64/os", packages)], packages, {})
    for _ in range(2):
        assert export(document, settings, tmp_path / "output").success
    assert listed(tmp_path / "output/c/odcs-1/compose/Temporary/x86_64/os") == ["words-1.0-1.noarch"]


def test_packages_that_have_left_the_store(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    packages = [shutil.copy(rpms / "vi-1.0-1.x86_64.rpm", tmp_path / "vi.rpm")]
    for copied, success in ((False, False), (True, True)):
        document = manifest([createrepo("/x86_64/os", packages, copy_packages=copied)], packages, {})
        with Session(Settings(store=settings.store)) as session:
            assert session.build(session.load(document), pipelines=["repos"]).success
        os.unlink(settings.store / "sources/org.osbuild.files" / checksum(packages[0]))
        done = export(document, settings, tmp_path / f"output-{copied}")
        assert done.success is success
        if done.error is not None:
            assert "does not have the package" in done.error.detail
            assert "--fetch-only" in (done.error.hint or "")


def test_a_tree_without_repositories(settings: ComposeSettings, tmp_path: Path) -> None:
    stage = {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/x"}]}}
    done = export(manifest([stage], [], {}), settings, tmp_path / "output")
    assert done.error is not None
    assert done.error.detail == "there is no repository in the tree"
    assert not list((tmp_path / "output").rglob("compose"))


def test_a_key_that_is_not_there(
    settings: ComposeSettings, rpms: Path, tmp_path: Path, compose_key: Key
) -> None:
    packages = [rpms / "words-1.0-1.noarch.rpm"]
    sign = {"sign": {"key": "nobody@example.org", "gnupg_home": str(compose_key.home)}}
    done = export(
        manifest([createrepo("/x86_64/os", packages)], packages, sign), settings, tmp_path / "output"
    )
    assert done.error is not None
    assert "cannot sign with the key 'nobody@example.org'" in done.error.detail
    assert not list((tmp_path / "output").rglob("compose"))
