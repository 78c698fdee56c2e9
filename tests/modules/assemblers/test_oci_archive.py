"""org.osbuild.oci-archive, the assembler; what archives are like in detail is tested with the SDK."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest

from .harness import Assembly

pytestmark = pytest.mark.root

EPOCH = 1_600_000_000


def test_the_tree_is_the_only_layer(assembly: Assembly) -> None:
    assembly.add("etc/motd", "hello\n")
    options = {"architecture": "x86_64", "filename": "image.tar", "config": {"Cmd": ["/bin/true"]}}
    assembly.make("oci-archive", options, epoch=EPOCH)
    with tarfile.open(assembly.output / "image.tar") as archive:
        files = {member.name: file.read() for member in archive if (file := archive.extractfile(member))}

    def blob(descriptor: dict[str, Any]) -> bytes:
        return files["blobs/" + descriptor["digest"].replace(":", "/")]

    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = json.loads(blob(entry))
    (layer,) = manifest["layers"]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer)))) as packed:
        assert packed.extractfile("etc/motd").read() == b"hello\n"  # type: ignore[union-attr]
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["Cmd"] == ["/bin/true"]
    assert config["created"] == "2020-09-13T12:26:40Z"


def test_a_label_that_is_no_text(assembly: Assembly) -> None:
    config = {"Labels": {"version": 12}}
    options = {"architecture": "x86_64", "filename": "image.tar", "config": config}
    assert "version" in assembly.refuse("oci-archive", options)
