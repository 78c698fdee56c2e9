"""org.osbuild.oci-archive, the stage; what the archive is like in detail is tested with the SDK."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from .harness import apply, refuse

EPOCH = 1_600_000_000


@pytest.fixture
def layers(tmp_path: Path) -> dict[str, Path]:
    """A base and eleven layers; each has a file with its name."""
    made = {}
    for name in ("base", *(f"layer.{number}" for number in range(1, 12))):
        made[name] = tmp_path / "layers" / name
        made[name].mkdir(parents=True)
        (made[name] / name).write_text(name)
    return made


class Image:
    """An OCI archive, read."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            self.files = {
                member.name: file.read() for member in archive if (file := archive.extractfile(member))
            }
        (self.entry,) = json.loads(self.files["index.json"])["manifests"]
        self.manifest = self.document(self.entry)
        self.config = self.document(self.manifest["config"])

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        return self.files["blobs/" + descriptor["digest"].replace(":", "/")]

    def document(self, descriptor: dict[str, Any]) -> Any:
        return json.loads(self.blob(descriptor))

    def members(self, descriptor: dict[str, Any]) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.blob(descriptor)))) as layer:
            return layer.getnames()


def make(tree: Path, layers: dict[str, Path], **options: object) -> Image:
    complete = {"architecture": "x86_64", "filename": "image.tar", **options}
    apply("oci-archive", tree, complete, inputs=layers, epoch=EPOCH)
    return Image(tree / "image.tar")


def test_layers_are_in_the_order_of_their_numbers(tree: Path, layers: dict[str, Path]) -> None:
    image = make(tree, layers)
    expected = [["base"], *([f"layer.{number}"] for number in range(1, 12))]
    assert [image.members(layer) for layer in image.manifest["layers"]] == expected


def test_options_reach_the_image(tree: Path, layers: dict[str, Path]) -> None:
    image = make(
        tree,
        {"base": layers["base"]},
        architecture="aarch64",
        variant="v8",
        config={"Cmd": ["run"], "ExposedPorts": ["80"], "User": "web"},
        annotations={"org.osbuild.ostree.ref": "a/b", "note": "kept"},
    )
    assert image.entry["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}
    assert (image.config["config"]["Cmd"], image.config["config"]["User"]) == (["run"], "web")
    assert image.config["config"]["ExposedPorts"] == {"80": {}}
    assert image.config["created"] == "2020-09-13T12:26:40Z"
    assert image.manifest["annotations"] == {"org.osbuild.ostree.ref": "a/b", "note": "kept"}


def test_a_label_that_is_no_string_is_refused(tree: Path, layers: dict[str, Path]) -> None:
    options = {"architecture": "amd64", "filename": "x", "config": {"Labels": {"version": 3}}}
    log = refuse("oci-archive", tree, options, inputs={"base": layers["base"]})
    assert "config.Labels: the label 'version' has to be a string" in log
    assert not (tree / "x").exists()


def test_the_name_stays_in_the_tree(tree: Path, layers: dict[str, Path], tmp_path: Path) -> None:
    (tree / "link").symlink_to(tmp_path / "outside.tar")
    refuse("oci-archive", tree, {"architecture": "amd64", "filename": "link"}, inputs=layers)
    assert not (tmp_path / "outside.tar").exists()
