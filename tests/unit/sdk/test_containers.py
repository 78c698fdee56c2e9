"""Container images of inputs, with programs that stand in for skopeo and podman."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIns

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"
INDEX = "application/vnd.oci.image.index.v1+json"

SKOPEO = """
import hashlib, os
if args[0] == 'manifest-digest':
    print('sha256:' + hashlib.sha256(open(args[1], 'rb').read()).hexdigest())
elif args[0] == 'copy':
    assert os.path.exists(args[-2].partition(':')[2]), args
"""


@pytest.fixture
def containers(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.containers")


@pytest.fixture
def skopeo(programs: StandIns) -> StandIns:
    programs.add("skopeo", SKOPEO)
    return programs


@pytest.fixture
def inputs(tmp_path: Path, containers: Any, skopeo: StandIns) -> dict[str, Any]:
    """An image as a directory that a list has, and one as an archive."""
    images = tmp_path / "images"
    (images / "sha256:aa").mkdir(parents=True)
    (images / "sha256:aa/manifest.json").write_text('{"config": {}}')
    (images / "sha256:aa/layer").write_text("files")
    (images / "sha256:bb").write_text("archive")
    digest = containers.manifest_digest(str(images / "sha256:aa"))
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "sha256:ll").write_text(json.dumps({"mediaType": INDEX, "manifests": [{"digest": digest}]}))
    archives = {
        "sha256:aa": {"format": "dir", "name": "example.org/one"},
        "sha256:bb": {"format": "oci-archive", "name": "two"},
    }
    return {
        "images": {"path": str(images), "data": {"archives": archives}},
        "manifest-lists": {"path": str(lists), "data": {"files": {"sha256:ll": {}}}},
    }


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"mediaType": INDEX}, True),
        ({"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json"}, True),
        ({"mediaType": "application/vnd.oci.image.manifest.v1+json", "manifests": []}, False),
        ({"manifests": []}, True),
        ({"layers": []}, False),
    ],
)
def test_lists_of_manifests_are_told(manifest: dict[str, Any], expected: bool, containers: Any) -> None:
    assert containers.is_manifest_list(manifest) is expected


def test_images_find_their_lists(inputs: dict[str, Any], containers: Any) -> None:
    found = containers.parse_containers_input(inputs)
    images, lists = inputs["images"]["path"], inputs["manifest-lists"]["path"]
    assert found["sha256:aa"] == {
        "filepath": f"{images}/sha256:aa",
        "manifest-list": f"{lists}/sha256:ll",
        "data": {"format": "dir", "name": "example.org/one"},
        "checksum": "sha256:aa",
    }
    assert found["sha256:bb"]["manifest-list"] is None
    del inputs["manifest-lists"]
    assert containers.parse_containers_input(inputs)["sha256:aa"]["manifest-list"] is None


def test_a_list_without_an_image_is_an_error(inputs: dict[str, Any], containers: Any) -> None:
    del inputs["images"]["data"]["archives"]["sha256:aa"]
    with pytest.raises(RuntimeError, match="sha256:ll"):
        containers.parse_containers_input(inputs)


def test_an_image_is_read_with_its_list(inputs: dict[str, Any], containers: Any) -> None:
    image = containers.parse_containers_input(inputs)["sha256:aa"]
    digest = containers.manifest_digest(image["filepath"])
    with containers.container_source(image) as (name, source):
        assert name == "example.org/one"
        kind, _, path = source.partition(":")
        assert kind == "dir" and ":" not in path
        assert json.loads(Path(path, "manifest.json").read_text())["mediaType"] == INDEX
        assert Path(path, digest.partition(":")[2] + ".manifest.json").read_text() == '{"config": {}}'
        assert Path(path, "layer").read_text() == "files"
    assert not os.path.exists(path)
    assert Path(image["filepath"], "manifest.json").read_text() == '{"config": {}}'


def test_an_archive_is_read_where_it_is(inputs: dict[str, Any], containers: Any) -> None:
    image = containers.parse_containers_input(inputs)["sha256:bb"]
    with containers.container_source(image) as (name, source):
        assert name == "two"
        kind, _, path = source.partition(":")
        assert kind == "oci-archive" and ":" not in path
        assert os.path.samefile(path, image["filepath"])
    image["data"]["format"] = "tar"
    with pytest.raises(RuntimeError, match="'tar'"), containers.container_source(image):
        pass


def test_an_image_is_mounted_and_given_back(
    inputs: dict[str, Any], skopeo: StandIns, containers: Any, tmp_path: Path
) -> None:
    skopeo.add("podman", "print('/mounted') if args[:2] == ['image', 'mount'] else None")
    image = containers.parse_containers_input(inputs)["sha256:bb"]
    skopeo.calls()
    with containers.container_mount(image, remove_signatures=True) as path:
        assert path == "/mounted"
    copy, mount, umount, remove = skopeo.calls()
    tag = mount[1][2]
    assert copy[1][:2] == ["copy", "--remove-signatures"] and copy[1][3] == f"containers-storage:{tag}"
    assert (umount[1], remove[1]) == (["image", "umount", tag], ["rmi", tag])

    skopeo.add("podman", "sys.exit(0 if args[0] == 'rmi' else 'no such image')")
    with pytest.raises(RuntimeError, match="no such image"), containers.container_mount(image):
        pass
    assert skopeo.calls()[-1][1][0] == "rmi"


@pytest.mark.root
def test_an_image_of_a_storage_is_named_in_it(tmp_path: Path) -> None:
    storage = tmp_path / "images/storage"
    storage.mkdir(parents=True)
    (storage / "overlay").mkdir()
    script = """
import os, sys
from osbuild.util import containers, mnt
image = {"filepath": sys.argv[1], "checksum": "sha256:cc", "manifest-list": None,
         "data": {"format": "containers-storage", "name": "n", "storage": {"driver": "overlay"}}}
mnt.mount_filesystem("tmpfs", "/run", "tmpfs")
with containers.container_source(image) as (name, source):
    print(name, source)
    place = source.partition("@")[2].partition("+")[0]
    open(place + "/written", "w").close()
    mnt.mount(place + "/overlay", place + "/overlay", ro=False)
print(mnt.mounted_below("/run/osbuild"))
"""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", script, str(storage)]
    environment = {"PYTHONPATH": str(SDK), "PATH": "/usr/sbin:/usr/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place = "/run/osbuild/containers/storage"
    assert done.stdout == f"n containers-storage:[overlay@{place}+/run/containers/storage]cc\n[]\n"
    assert (storage / "written").exists()
