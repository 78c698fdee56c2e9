"""From a tree to disk images, archives and back: the modules about files together, in a real build."""

from __future__ import annotations

import hashlib
import json
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.conftest import Bench

pytestmark = pytest.mark.root

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
SOURCES = {"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}}
EPOCH = 1_600_000_000
SECTOR = 512

DISK_UUID = "D209C89E-EA5E-4FBD-B161-B461CCE297E0"
FS_UUID = "3c0d7a52-93f4-4c3e-8a0f-6d2a1a7f4b{:02}"
ESP = {"start": 2048, "size": 32768, "type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"}
SWAP = {"start": 34816, "size": 8192, "type": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"}
ROOT = {"start": 43008, "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4"}

SIZES = {"ext4": 32, "btrfs": 128, "xfs": 300}
"""File systems that disks are made of, with the MiB that they take at least."""


def stage(name: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": f"org.osbuild.{name}", **({"options": options} if options else {}), **more}


def tree_of(pipeline: str) -> dict[str, Any]:
    return {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [f"name:{pipeline}"]}


def file_of(pipeline: str, path: str) -> dict[str, Any]:
    references = {f"name:{pipeline}": {"file": path}}
    return {"type": "org.osbuild.files", "origin": "org.osbuild.pipeline", "references": references}


def loop(filename: str, partition: dict[str, Any] | None = None) -> dict[str, Any]:
    part = {key: partition[key] for key in ("start", "size")} if partition else {}
    return {"type": "org.osbuild.loopback", "options": {"filename": filename, **part}}


def mount(kind: str, **options: Any) -> list[dict[str, Any]]:
    one = {"name": "root", "type": f"org.osbuild.{kind}", "source": "device", "target": "/"}
    return [{**one, "options": options} if options else one]


def copy(start: str, end: str, **more: Any) -> dict[str, Any]:
    return stage("copy", {"paths": [{"from": start, "to": end}]}, **more)


def pipeline(name: str, *stages: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "source-epoch": EPOCH, "stages": list(stages)}


def system() -> dict[str, Any]:
    hello = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}
    return pipeline(
        "system",
        stage("mkdir", {"paths": [{"path": "/etc", "mode": 0o750}]}),
        copy(f"input://f/{HELLO}", "tree:///etc/hello", inputs={"f": hello}),
        stage("chown", {"items": {"/etc/hello": {"user": 12, "group": 34}}}),
        stage("ln", {"paths": [{"target": "hello", "link_name": "tree:///etc/link", "symbolic": True}]}),
    )


def root_of(kind: str) -> dict[str, Any]:
    return {**ROOT, "size": SIZES[kind] << 11}


def disk(kind: str, uuid: str) -> list[dict[str, Any]]:
    """Return pipelines that end with a compressed disk of three partitions, and what its file system has."""
    esp = pipeline(
        "esp",
        stage("truncate", {"filename": "esp.img", "size": "16M"}),
        stage("mkfs.fat", {"volid": "7B7795E7", "label": "ESP"}, devices={"device": loop("esp.img")}),
    )
    root = root_of(kind)
    table = {"label": "gpt", "uuid": DISK_UUID, "partitions": [ESP, SWAP, root]}
    device = {"device": loop("disk.img", root)}
    image = pipeline(
        "disk",
        stage("truncate", {"filename": "disk.img", "size": f"{SIZES[kind] + 22}M"}),
        stage("sfdisk", table, devices={"device": loop("disk.img")}),
        stage(
            "write-device",
            {"from": "input://esp/esp.img"},
            inputs={"esp": file_of("esp", "/esp.img")},
            devices={"device": loop("disk.img", ESP)},
        ),
        stage("mkswap", {"uuid": uuid, "label": "swap"}, devices={"device": loop("disk.img", SWAP)}),
        stage(f"mkfs.{kind}", {"uuid": uuid, "label": "root"}, devices=device),
        copy(
            "input://tree/",
            "mount://root/",
            inputs={"tree": tree_of("system")},
            devices=device,
            mounts=mount(kind),
        ),
    )
    compressed = pipeline(
        "xz", stage("xz", {"filename": "disk.img.xz"}, inputs={"file": file_of("disk", "/disk.img")})
    )
    part = {"src": "input://disk/disk.img", "dst": "part.img"}
    part |= {"src_offset": root["start"] * SECTOR, "count": root["size"] * SECTOR}
    seen = pipeline(
        "seen",
        stage("dd", part, inputs={"disk": file_of("disk", "/disk.img")}),
        copy(
            "mount://root/etc",
            "tree:///",
            devices={"device": loop("part.img")},
            mounts=mount(kind, readonly=True),
        ),
    )
    return [system(), esp, image, compressed, seen]


def expect_system(etc: Path) -> None:
    assert (etc / "hello").read_bytes() == b"hello\n"
    found = (etc / "hello").stat()
    assert (found.st_uid, found.st_gid, etc.stat().st_mode & 0o777) == (12, 34, 0o750)
    assert (etc / "link").readlink() == Path("hello")


def probe(image: Path, partition: dict[str, Any]) -> dict[str, str]:
    """Return what blkid knows of a partition of a disk."""
    offset, size = (str(partition[key] * SECTOR) for key in ("start", "size"))
    command = ["blkid", "--probe", "--output", "export", "--offset", offset, "--size", size, str(image)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", maxsplit=1) for line in text.splitlines())


@pytest.mark.parametrize(("number", "kind"), list(enumerate(SIZES)))
def test_a_disk(bench: Bench, number: int, kind: str) -> None:
    uuid = FS_UUID.format(number)
    out = bench.directory / "out"
    manifest = bench.manifest(*disk(kind, uuid), sources=SOURCES)
    done = bench.build(manifest, "--export", "xz", "--export", "seen", "-o", out)
    assert done.returncode == 0, done.stderr

    expect_system(out / "seen" / "etc")
    image = bench.directory / "disk.img"
    image.write_bytes(lzma.decompress((out / "xz" / "disk.img.xz").read_bytes()))
    root, swap, esp = (probe(image, partition) for partition in (root_of(kind), SWAP, ESP))
    assert (root["TYPE"], root["UUID"], root["LABEL"]) == (kind, uuid, "root")
    assert (swap["TYPE"], swap["UUID"], swap["LABEL"]) == ("swap", uuid, "swap")
    assert (esp["TYPE"], esp["UUID"], esp["LABEL"]) == ("vfat", "7B77-95E7", "ESP")
    assert bench.leftovers() == []
    assert bench.ran(manifest) == []


@pytest.mark.parametrize("kind", ["squashfs", "erofs"])
def test_a_read_only_image(bench: Bench, kind: str) -> None:
    image = pipeline(
        "image",
        stage(kind, {"filename": "image"}, inputs={"tree": tree_of("system")}),
        copy("mount://root/etc", "tree:///", devices={"device": loop("image")}, mounts=mount(kind)),
    )
    out = bench.directory / "out"
    manifest = bench.manifest(system(), image, sources=SOURCES)
    done = bench.build(manifest, "--export", "image", "-o", out)
    assert done.returncode == 0, done.stderr
    expect_system(out / "image" / "etc")
    assert bench.leftovers() == []


def archives() -> list[dict[str, Any]]:
    system_tree = {"tree": tree_of("system")}
    tar = {"file": file_of("packed", "/system.tar")}
    return [
        system(),
        pipeline("packed", stage("tar", {"filename": "system.tar"}, inputs=system_tree)),
        pipeline(
            "all",
            stage("zip", {"filename": "system.zip"}, inputs=system_tree),
            stage("squashfs", {"filename": "system.squashfs"}, inputs=system_tree),
            stage("erofs", {"filename": "system.erofs"}, inputs=system_tree),
            stage(
                "oci-archive",
                {"filename": "system.oci", "architecture": "x86_64"},
                inputs={"base": system_tree["tree"]},
            ),
            stage("gzip", {"filename": "system.tar.gz"}, inputs=tar),
            stage("xz", {"filename": "system.tar.xz"}, inputs=tar),
            stage("zstd", {"filename": "system.tar.zst"}, inputs=tar),
        ),
        pipeline(
            "unpacked", stage("untar", {"prefix": "/srv"}, inputs={"file": file_of("all", "system.tar.zst")})
        ),
        pipeline(
            "unzipped", stage("gunzip", {"path": "tar"}, inputs={"file": file_of("all", "system.tar.gz")})
        ),
    ]


def test_archives(bench: Bench) -> None:
    """They can be read back, and another build makes the same bytes."""
    digests = []
    for number in range(2):
        bench.store = bench.directory / f"store{number}"
        out = bench.directory / f"out{number}"
        exports = [word for name in ("all", "unpacked", "unzipped") for word in ("--export", name)]
        done = bench.build(bench.manifest(*archives(), sources=SOURCES), *exports, "-o", out)
        assert done.returncode == 0, done.stderr
        files = [path for path in sorted(out.rglob("*")) if path.is_file()]
        digests.append(
            {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        )
    assert digests[0] == digests[1]

    expect_system(out / "unpacked/srv/etc")
    with tarfile.open(out / "unzipped/tar") as archive:
        assert archive.getmember("./etc/hello").uid == 12
    with zipfile.ZipFile(out / "all/system.zip") as zipped:
        assert zipped.read("etc/hello") == b"hello\n"
    with tarfile.open(out / "all/system.oci") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        assert json.load(index)["manifests"][0]["platform"]["architecture"] == "amd64"
    assert bench.leftovers() == []
