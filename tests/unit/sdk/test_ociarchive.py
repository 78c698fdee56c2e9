from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EPOCH = 1_600_000_000


@pytest.fixture
def ociarchive(sdk: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    return sdk("util.ociarchive")


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    for name in ("usr/bin", "etc"):
        (path / name).mkdir(parents=True)
    (path / "usr/bin/program").write_text("program")
    (path / "usr/bin/program").chmod(0o4755)
    (path / "bin").symlink_to("usr/bin")
    (path / "etc/old").write_text("old")
    os.utime(path / "etc/old", (1_500_000_000, 1_500_000_000))
    os.link(path / "etc/old", path / "etc/same")
    (path / "-dash").touch()
    return path


def read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        assert {member.mtime for member in archive} == {EPOCH}
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member))}


def documents(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Return the manifest and the configuration of an image, and its blobs by digest."""
    files = read(path)
    assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files.pop("index.json"))
    blobs = {name.replace("blobs/", "").replace("/", ":"): data for name, data in files.items()}
    for digest, data in blobs.items():
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    (entry,) = index["manifests"]
    manifest = json.loads(blobs[entry["digest"]])
    for descriptor in (entry, manifest["config"], *manifest["layers"]):
        assert descriptor["size"] == len(blobs[descriptor["digest"]])
    return manifest, json.loads(blobs[manifest["config"]["digest"]]), blobs


def test_every_part_is_found_by_its_digest(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    ociarchive.write(str(tmp_path / "image.tar"), [str(layer)], "x86_64")
    manifest, config, blobs = documents(tmp_path / "image.tar")
    assert len(blobs) == 3
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    packed = gzip.decompress(blobs[manifest["layers"][0]["digest"]])
    assert config["rootfs"] == {
        "type": "layers",
        "diff_ids": ["sha256:" + hashlib.sha256(packed).hexdigest()],
    }


def test_a_layer_has_the_tree(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    ociarchive.write(str(tmp_path / "image.tar"), [str(layer)], "x86_64")
    manifest, _, blobs = documents(tmp_path / "image.tar")
    packed = gzip.decompress(blobs[manifest["layers"][0]["digest"]])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == [
        "-dash",
        "bin",
        "etc",
        "etc/old",
        "etc/same",
        "usr",
        "usr/bin",
        "usr/bin/program",
    ]
    assert members["bin"].linkname == "usr/bin"
    assert members["etc/same"].linkname == "etc/old"
    assert members["usr/bin/program"].mode == 0o4755
    assert (members["etc/old"].mtime, members["etc"].mtime) == (1_500_000_000, EPOCH)
    assert {member.uname for member in members.values()} == {""}


@pytest.mark.root
def test_attributes_are_kept_but_not_contexts(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    subprocess.run(["setcap", "cap_net_raw+ep", layer / "usr/bin/program"], check=True)
    os.setxattr(layer / "etc/old", "security.selinux", b"system_u:object_r:etc_t:s0")
    subprocess.run(["setfacl", "-m", "u:77:rwx", layer / "etc/old"], check=True)
    ociarchive.write(str(tmp_path / "image.tar"), [str(layer)], "x86_64")
    manifest, _, blobs = documents(tmp_path / "image.tar")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blobs[manifest["layers"][0]["digest"]]))) as archive:
        headers = {member.name: set(member.pax_headers) for member in archive}
    assert headers["usr/bin/program"] == {"SCHILY.xattr.security.capability"}
    assert headers["etc/old"] == {"SCHILY.xattr.system.posix_acl_access"}


def test_the_same_layers_give_the_same_bytes(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(layer, again, symlinks=True)
    # copytree makes two files of the hard links.
    (again / "etc/same").unlink()
    os.link(again / "etc/old", again / "etc/same")
    for name, folder in (("one", layer), ("two", again)):
        ociarchive.write(
            str(tmp_path / name), [str(folder), str(layer)], "arm64", annotations={"b": "1", "a": "2"}
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_layer_that_comes_twice_is_stored_once(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    layers = [str(path) for path in (layer, empty, layer, empty)]
    ociarchive.write(str(tmp_path / "image.tar"), layers, "x86_64")
    manifest, config, blobs = documents(tmp_path / "image.tar")
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 4
    assert len(blobs) == 4


@pytest.mark.parametrize(
    ("machine", "variant", "expected"),
    [
        ("x86_64", None, {"architecture": "amd64"}),
        ("aarch64", "v8", {"architecture": "arm64", "variant": "v8"}),
        ("armv7hl", None, {"architecture": "arm", "variant": "v7"}),
        ("armv7hl", "v6", {"architecture": "arm", "variant": "v6"}),
        ("riscv64", None, {"architecture": "riscv64"}),
    ],
)
def test_processors_have_the_names_of_images(
    ociarchive: Any, tmp_path: Path, machine: str, variant: str | None, expected: dict[str, str]
) -> None:
    ociarchive.write(str(tmp_path / "image.tar"), [], machine, variant=variant)
    _, config, _ = documents(tmp_path / "image.tar")
    assert {key: config[key] for key in ("architecture", "variant") if key in config} == expected
    (entry,) = json.loads(read(tmp_path / "image.tar")["index.json"])["manifests"]
    assert entry["platform"] == {**expected, "os": "linux"}


def test_settings_of_containers(ociarchive: Any) -> None:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert ociarchive.container_settings({}) == {"Cmd": ["sh"], "Env": [path]}
    given = {
        "Cmd": ["a"],
        "Env": ["B=c"],
        "Entrypoint": ["d"],
        "ExposedPorts": ["80", "53/udp"],
        "Volumes": ["/var"],
        "StopSiganl": "SIGINT",
        "Labels": {"e": "f"},
        "User": "g",
        "WorkingDir": "/h",
    }
    changed = {"ExposedPorts": {"80": {}, "53/udp": {}}, "Volumes": {"/var": {}}, "StopSignal": "SIGINT"}
    expected = {**given, **changed}
    del expected["StopSiganl"]
    assert ociarchive.container_settings(given) == expected
    with pytest.raises(ValueError, match="the label 'e' has to be a string"):
        ociarchive.container_settings({"Labels": {"e": 1}})


def test_without_an_epoch_the_image_is_of_now(
    ociarchive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    ociarchive.write(str(tmp_path / "image.tar"), [], "x86_64")
    with tarfile.open(tmp_path / "image.tar") as archive:
        assert archive.getmember("index.json").mtime > EPOCH


@pytest.mark.parametrize("missing", ["tar", "gzip"])
def test_a_missing_program_is_named(
    ociarchive: Any, layer: Path, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"tar", "gzip"} - {missing}:
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(Exception, match=f"^cannot run {missing} of the build root: No such file") as caught:
        ociarchive.write(str(tmp_path / "image.tar"), [str(layer)], "x86_64")
    assert type(caught.value).__name__ == "ProgramError"


@pytest.mark.parametrize("failing", ["tar", "gzip"])
def test_a_program_that_fails_is_named(
    ociarchive: Any, layer: Path, tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (layer / "large").write_bytes(os.urandom(4 << 20))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / failing).write_text("#!/bin/sh\nexit 7\n")
    (programs / failing).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(Exception, match=f"^{failing} failed with exit status 7$"):
        ociarchive.write(str(tmp_path / "image.tar"), [str(layer)], "x86_64")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_reads_it(ociarchive: Any, layer: Path, tmp_path: Path) -> None:
    ociarchive.write(str(tmp_path / "image.tar"), [str(layer), str(layer)], "x86_64", {"Labels": {"a": "b"}})
    command = ["skopeo", "copy", f"oci-archive:{tmp_path / 'image.tar'}", f"dir:{tmp_path / 'copied'}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert len(json.loads((tmp_path / "copied/manifest.json").read_text())["layers"]) == 2
