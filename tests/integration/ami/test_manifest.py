"""The export module org.osbuild.ami: from a manifest to AMIs by one ``osbuild-core build --export``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.aws.client import SECRET, TOKEN

from .conftest import OSBUILD_CORE, Ami

MIB = 1 << 20


def manifest(directory: Path, **options: Any) -> Path:
    """A pipeline with a disk image of 8 MiB, of which 1 MiB is data, and its export."""
    files = [
        {"type": "org.osbuild.truncate", "options": {"filename": "disk.raw", "size": str(8 * MIB)}},
        {
            "type": "org.osbuild.mkfs.ext4",
            "options": {"uuid": "76a22bf4-f153-4541-b6c7-0332c0dfaeac"},
            "devices": {"device": {"type": "org.osbuild.loopback", "options": {"filename": "disk.raw"}}},
        },
    ]
    options = {
        "source": {"path": "/disk.raw", "architecture": "x86_64"},
        "images": {
            "an-image": {"boot_mode": "legacy-bios", "regions": ["us-east-1", "eu-west-1"], "public": True}
        },
        **options,
    }
    document = {
        "version": "2",
        "pipelines": [{"name": "image", "stages": files}],
        "exports": {"aws": {"type": "org.osbuild.ami", "pipeline": "name:image", "options": options}},
    }
    path = directory / "manifest.json"
    path.write_text(json.dumps(document))
    return path


def build(
    ami: Ami, path: Path, *arguments: Any, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [
        OSBUILD_CORE,
        "build",
        "--store",
        ami.directory / "store",
        "--json",
        "--export",
        "aws",
        *arguments,
        path,
    ]
    return subprocess.run(
        [str(word) for word in command],
        env={**ami.environment, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.root
def test_one_build_makes_and_publishes_images(ami: Ami) -> None:
    path = manifest(ami.directory, publish=True)
    done = build(ami, path, "-o", ami.directory / "out")
    assert done.returncode == 0, done.stderr
    for secret in (SECRET, TOKEN):
        assert secret not in done.stdout + done.stderr
        for kept in (ami.directory / "out").rglob("*"):
            assert not kept.is_file() or secret not in kept.read_text()
        assert subprocess.run(["grep", "-rqF", secret, ami.directory / "store"]).returncode == 1
    (exported,) = json.loads(done.stdout)["exports"]
    ids = exported["data"]["images"]["an-image"]
    assert list(ids) == ["us-east-1", "eu-west-1"]
    assert json.loads((ami.directory / "out/aws/export.json").read_text()) == exported["data"]
    for region, found in ids.items():
        ((image_id, image),) = ami.region(region)["images"].items()
        assert (image_id, image["name"]) == (found, "an-image")
        assert "all" in json.dumps(image["permissions"])
    # Again: what is there is found.
    again = build(ami, path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["exports"][0]["data"]["images"] == exported["data"]["images"]


REFUSED = {
    "a key that there is none": ({"imagess": {}}, ("exports", "aws", "options"), "imagess"),
    "what AWS would not take": (
        {"images": {"one": {"boot_mode": "legacy-bios", "tpm_support": "v2.0"}}},
        ("exports", "aws", "options", "images", "one"),
        "uefi",
    ),
    "no such file": (
        {"source": {"path": "/other.raw", "architecture": "x86_64"}},
        ("exports", "aws", "options", "source", "path"),
        "/other.raw",
    ),
}


@pytest.mark.root
@pytest.mark.parametrize("row", REFUSED)
def test_what_is_wrong_has_its_place(ami: Ami, row: str) -> None:
    options, place, text = REFUSED[row]
    done = build(ami, manifest(ami.directory, **options))
    assert done.returncode != 0
    document = json.loads(done.stdout)
    errors = document["errors"] if "errors" in document else [document["exports"][0]["error"]]
    assert tuple(errors[0]["path"][: len(place)]) == place
    assert text in json.dumps(errors[0])
    assert not ami.region()["images"]


@pytest.mark.root
def test_credentials_are_the_hosts_and_stay_there(ami: Ami) -> None:
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": "/nowhere",
    }
    done = build(ami, manifest(ami.directory), env=nothing)
    assert done.returncode == 1
    assert "credentials" in json.loads(done.stdout)["exports"][0]["error"]["message"]
