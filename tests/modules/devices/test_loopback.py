"""org.osbuild.loopback, with real loop devices."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from service_harness import Running, running

from osbuild_core.protocol.service import RemoteError

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    (path / "disk.img").write_bytes(b"".join(bytes([n % 256]) * 512 for n in range(4096)))
    (tmp_path / "dev").mkdir()
    return path


def attached(tree: Path) -> list[str]:
    """Return the loop devices on files below ``tree``."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if path.read_text().startswith(str(tree)):
                found.append(path.parent.parent.name)
        except OSError:
            continue
    return found


def open_device(service: Running, tree: Path, **options: Any) -> tuple[Path, Any]:
    dev = tree.parent / "dev"
    reply: Any = service.call(
        "open",
        {"dev": str(dev), "tree": str(tree), "parent": None, "options": {"filename": "disk.img", **options}},
    )
    return dev / reply["path"], reply


def test_a_file_becomes_a_device_and_is_freed(tree: Path) -> None:
    with running("devices", "loopback") as service:
        node, reply = open_device(service, tree)
        info = node.stat()
        assert stat.S_ISBLK(info.st_mode)
        assert info.st_rdev == os.makedev(reply["node"]["major"], reply["node"]["minor"])
        assert node.read_bytes() == (tree / "disk.img").read_bytes()
        assert attached(tree) == [node.name]
        node.write_bytes(b"new" + bytes(4093))
    assert attached(tree) == []
    assert (tree / "disk.img").read_bytes()[:4096] == b"new" + bytes(4093)


@pytest.mark.parametrize(
    ("options", "start", "length"),
    [
        ({"start": 8}, 8 * 512, 4088 * 512),
        ({"start": 8, "size": 16}, 8 * 512, 16 * 512),
        ({"start": 8.0, "size": 16.0, "lock": True}, 8 * 512, 16 * 512),
        ({"start": 1, "size": 2, "sector-size": 4096}, 4096, 8192),
    ],
)
def test_a_part_of_a_file(options: dict[str, Any], start: int, length: int, tree: Path) -> None:
    content = (tree / "disk.img").read_bytes()
    with running("devices", "loopback") as service:
        node, _ = open_device(service, tree, **options)
        assert node.read_bytes() == content[start : start + length]
        if "sector-size" in options:
            block = Path("/sys/block", node.name, "queue/logical_block_size")
            assert int(block.read_text()) == options["sector-size"]
        service.call("close", {})
        assert attached(tree) == []


def test_read_only_means_it(tree: Path) -> None:
    with running("devices", "loopback") as service:
        node, _ = open_device(service, tree, **{"read-only": True})
        assert node.read_bytes()[512:513] == b"\x01"
        with pytest.raises(PermissionError):
            node.write_bytes(bytes(512))


def test_partitions_get_nodes(tree: Path) -> None:
    subprocess.run(
        ["sfdisk", "--quiet", tree / "disk.img"],
        input="label: dos\nstart=2048, size=64\nstart=2112\n",
        text=True,
        check=True,
    )
    with running("devices", "loopback") as service:
        node, _ = open_device(service, tree, partscan=True)
        first, second = (node.with_name(f"{node.name}p{n}") for n in (1, 2))
        assert first.read_bytes() == (tree / "disk.img").read_bytes()[2048 * 512 : 2112 * 512]
        assert stat.S_ISBLK(second.stat().st_mode)
    assert attached(tree) == []
    assert not Path("/sys/block", node.name, first.name).exists()


def test_no_partitions_are_no_error(tree: Path) -> None:
    with running("devices", "loopback") as service:
        node, _ = open_device(service, tree, partscan=True)
        assert [path.name for path in node.parent.iterdir()] == [node.name]


def refused(tree: Path, **options: Any) -> str:
    with running("devices", "loopback") as service, pytest.raises(RemoteError) as caught:
        open_device(service, tree, **options)
    assert attached(tree) == []
    return caught.value.value


def test_what_is_no_file_of_the_tree_is_refused(tree: Path) -> None:
    outside = tree.parent / "outside.img"
    outside.write_bytes(bytes(4096))
    (tree / "absolute").symlink_to(outside)
    (tree / "relative").symlink_to("../outside.img")
    (tree / "folder").mkdir()
    os.mkfifo(tree / "fifo")
    (tree / "empty").touch()
    for filename in ("missing", "../outside.img", "absolute", "relative", "folder", "fifo", "empty"):
        assert filename in refused(tree, filename=filename)
    refused(tree, start=5000)
    refused(tree, start=4000, size=1000)


def test_a_killed_service_leaves_no_device(tree: Path) -> None:
    with pytest.raises(AssertionError), running("devices", "loopback") as service:
        open_device(service, tree)
        service.process.kill()
        service.process.wait()
    assert attached(tree) == []


def test_services_side_by_side_get_different_devices(tree: Path) -> None:
    with running("devices", "loopback") as one, running("devices", "loopback") as other:
        nodes = {open_device(service, tree, start=8 * n)[0] for n, service in enumerate((one, other))}
        assert len(nodes) == 2


def test_usage_is_explained(tree: Path) -> None:
    module = Path(__file__).resolve().parents[3] / "devices/org.osbuild.loopback"
    sdk = module.parent.parent / "osbuild_core/sdk"
    for arguments in ([], ["--service-fd"], ["--service-fd", "x", "--service-id", "y"], ["--other", "1"]):
        ended = subprocess.run(
            [sys.executable, module, *arguments], env={"PYTHONPATH": str(sdk)}, capture_output=True, text=True
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("usage: ")
    assert json.loads(module.with_name(module.name + ".meta.json").read_text())["summary"]
