"""What goes over the wire: no more than the data, no more than what differs, no more than what is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ami.conftest import BLOCK, HOME, MIB, Ami

PART = 8 * MIB


def sent(ami: Ami, action: str) -> list[int]:
    """Return the sizes of the bodies of such requests."""
    return [item["bytes"] for item in ami.emulator.log() if item["action"] == action]


def only_snapshot(ami: Ami) -> tuple[str, dict[str, Any]]:
    (found,) = ami.region()["snapshots"].items()
    return found


def content(path: Path) -> dict[int, bytes]:
    """Return the blocks of an image that are not zero."""
    data = path.read_bytes()
    blocks = {index: data[index * BLOCK : (index + 1) * BLOCK] for index in range(-(-len(data) // BLOCK))}
    return {index: block.ljust(BLOCK, b"\0") for index, block in blocks.items() if any(block)}


def test_holes_and_zeros_are_not_sent(ami: Ami) -> None:
    image = ami.image(size=512 * MIB, blocks=24)
    with image.open("r+b") as file:
        # Zeros that take up space are no hole, but no data either.
        file.write(bytes(4 * MIB))
    wanted = content(image)
    ami.ok("create", ami.config(upload="ebs"))
    data = len(wanted) * BLOCK
    assert sum(item["bytes"] for item in ami.emulator.log()) <= 1.1 * data
    assert sent(ami, "PutSnapshotBlock") == [BLOCK] * len(wanted)
    assert ami.emulator.blocks(HOME, only_snapshot(ami)[0]) == wanted


def test_an_image_of_nothing(ami: Ami) -> None:
    ami.image(blocks=0)
    done = ami.run("create", ami.config(upload="ebs"), "--json")
    assert list(json.loads(done.stdout)["images"]) == ["an-image"]
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"event": "UploadStarted", "where": "ebs", "region": HOME, "total": 0, "done": 0} in events
    assert [event["state"] for event in events if event["event"] == "RegionState"][-1] == "registered"
    assert ami.emulator.blocks(HOME, only_snapshot(ami)[0]) == {}


def test_only_what_differs_from_a_parent_is_sent(ami: Ami) -> None:
    image = ami.image(blocks=12)
    ami.ok("create", ami.config(upload="ebs"))
    parent = only_snapshot(ami)[0]
    first, second, third = list(content(image))[:3]
    with image.open("r+b") as file:
        for index, block in [(first, b"new" + bytes(BLOCK - 3)), (third, bytes(BLOCK))]:
            file.seek(index * BLOCK)
            file.write(block)
    ami.emulator.forget_log()
    changed = {"a-child": {"boot_mode": "uefi", "regions": [HOME]}}
    ami.ok("create", ami.config(upload="ebs", ebs={"parent_snapshot": parent}, images=changed))
    assert len(sent(ami, "PutSnapshotBlock")) == 2
    there = ami.region()["snapshots"]
    (child,) = there.keys() - {parent}
    assert there[child]["parent"] == parent
    blocks = ami.emulator.blocks(HOME, child)
    assert not any(blocks.pop(third))
    assert blocks == content(image)
    assert second in blocks


@pytest.mark.parametrize("keep", [True, False], ids=["with-journal", "without-journal"])
def test_an_interrupted_upload_goes_on(ami: Ami, keep: bool) -> None:
    image = ami.image(blocks=16)
    config = ami.config(upload="ebs", ebs={"concurrency": 2})
    actions = ami.count("create", config)
    ami.emulator.reset()
    shutil.rmtree(ami.state)
    tenth = [number for number, action in enumerate(actions, 1) if action == "PutSnapshotBlock"][9]
    assert ami.kill_at(tenth, "create", config, performed=True)
    begun, half = only_snapshot(ami)
    assert half["state"] == "pending"
    assert 9 <= half["written"] <= 11
    if not keep:
        shutil.rmtree(ami.state)
    ami.emulator.forget_log()
    ami.ok("create", config)
    # Those whose answer did not come, and those that the journal had not on disk yet, are sent again.
    assert len(sent(ami, "PutSnapshotBlock")) <= (16 - 9 + 2 if keep else 16)
    assert only_snapshot(ami)[0] == begun
    assert ami.emulator.blocks(HOME, begun) == content(image)


def bucket_config(ami: Ami, **more: Any) -> str:
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    return ami.config(upload="s3", s3={"bucket_name": "a-bucket", "upload_multipart_concurrency": 2}, **more)


def test_an_interrupted_upload_to_s3_goes_on(ami: Ami) -> None:
    image = ami.directory / "disk.raw"
    image.write_bytes(b"".join(bytes([number]) * PART for number in range(1, 6)))
    actions = ami.count("create", bucket_config(ami))
    ami.emulator.reset()
    shutil.rmtree(ami.state)
    config = bucket_config(ami)
    third = [number for number, action in enumerate(actions, 1) if action == "UploadPart"][2]
    assert ami.kill_at(third, "create", config, performed=True)
    (begun,) = ami.emulator.state()["buckets"]["a-bucket"]["uploads"].values()
    ami.emulator.forget_log()
    ami.ok("create", config)
    assert sent(ami, "UploadPart") == [PART] * (5 - begun["parts"])
    assert begun["parts"] in (3, 4)
    bucket = ami.emulator.state()["buckets"]["a-bucket"]
    assert bucket["uploads"] == {}
    ((key, stored),) = bucket["objects"].items()
    assert stored["size"] == 5 * PART
    assert stored["tags"]["awspub:source:sha256"] == key
    assert ami.emulator.blocks(HOME, only_snapshot(ami)[0]) == content(image)


@pytest.mark.parametrize("kind", ["vmdk", "vhd"])
def test_other_formats_go_by_way_of_s3(ami: Ami, kind: str) -> None:
    image = ami.image()
    options = {"vmdk": ["vmdk", "-o", "subformat=streamOptimized"], "vhd": ["vpc", "-o", "force_size=on"]}
    convert = ["qemu-img", "convert", "-f", "raw", "-O", *options[kind], "disk.raw", f"disk.{kind}"]
    subprocess.run(convert, cwd=ami.directory, check=True)
    ami.ok("create", bucket_config(ami, source={"path": f"disk.{kind}", "architecture": "x86_64"}))
    (task,) = ami.region()["tasks"].values()
    assert task["format"] == kind.upper()
    assert ami.emulator.blocks(HOME, only_snapshot(ami)[0]) == content(image)


def test_an_object_that_is_there_is_not_sent_again(ami: Ami) -> None:
    ami.image()
    config = bucket_config(ami)
    ami.ok("create", config)
    ec2 = ami.emulator.boto("ec2")
    for identifier in ami.region()["images"]:
        ec2.deregister_image(ImageId=identifier)
    ec2.delete_snapshot(SnapshotId=only_snapshot(ami)[0])
    ami.emulator.forget_log()
    ami.ok("create", config)
    assert sent(ami, "UploadPart") == []
    assert len(ami.region()["images"]) == 1
