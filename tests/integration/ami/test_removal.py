"""Cleanup: of what is temporary, nothing stays; what was begun and never finished goes as well."""

from __future__ import annotations

import pytest

from tests.integration.ami.conftest import HOME, MIB, Ami
from tests.integration.ami.test_bad_input import nothing_is_there


def temporary(ami: Ami, upload: str) -> str:
    ami.image()
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    image = {"boot_mode": "uefi", "regions": [HOME, "eu-west-1"], "temporary": True}
    # One part or block at a time, so that a number says how far it was.
    options = {
        "s3": {"bucket_name": "a-bucket", "upload_multipart_concurrency": 1},
        "ebs": {"concurrency": 1},
    }
    return ami.config(
        upload=upload, images={"one": image, "other": {**image, "separate_snapshot": True}}, **options
    )


@pytest.mark.parametrize("upload", ["ebs", "s3"])
def test_nothing_temporary_stays(ami: Ami, upload: str) -> None:
    config = temporary(ami, upload)
    ami.ok("create", config)
    there = ami.region()
    assert (len(there["images"]), len(there["snapshots"])) == (2, 2)
    ami.emulator.boto("s3").put_object(Bucket="a-bucket", Key="somebody-elses", Body=b"")
    ami.ok("cleanup", config)
    state = ami.emulator.state()
    for region in (HOME, "eu-west-1"):
        assert (state["regions"][region]["images"], state["regions"][region]["snapshots"]) == ({}, {})
    assert list(state["buckets"]["a-bucket"]["objects"]) == ["somebody-elses"]


@pytest.mark.parametrize(("upload", "action"), [("ebs", "PutSnapshotBlock"), ("s3", "UploadPart")])
def test_an_upload_that_was_never_finished(ami: Ami, upload: str, action: str) -> None:
    config = temporary(ami, upload)
    actions = ami.count("create", config)
    ami.ok("cleanup", config)
    nothing_is_there_but_tasks(ami)
    assert ami.kill_at(actions.index(action) + 2, "create", config, performed=True)
    state = ami.emulator.state()
    assert state["buckets"]["a-bucket"]["uploads"] or state["regions"][HOME]["snapshots"]
    ami.ok("cleanup", config)
    nothing_is_there_but_tasks(ami)


@pytest.mark.parametrize("region", [HOME, "ap-east-1"])
def test_an_import_that_goes_on(ami: Ami, region: str) -> None:
    """It would make a snapshot that nobody knows of; also where there is no image."""
    config = temporary(ami, "s3")
    if region != HOME:
        ami.emulator.reset()
        ami.emulator.boto("s3", region).create_bucket(
            Bucket="a-bucket", CreateBucketConfiguration={"LocationConstraint": region}
        )
    actions = ami.count("create", config)
    ami.ok("cleanup", config)
    nothing_is_there_but_tasks(ami)
    ami.emulator.settings(pending={"import": 3600})
    # An import is listed for a while when it has ended, so that this one is another.
    (ami.directory / "disk.raw").write_bytes(b"another" * MIB)
    assert ami.kill_at(actions.index("ImportSnapshot") + 1, "create", config, performed=True)
    ami.ok("cleanup", config)
    ami.emulator.advance(7200)
    tasks = ami.region(region)["tasks"].values()
    assert sorted(task["state"] for task in tasks) == ["completed", "deleted"]
    nothing_is_there(ami, tasks=True)


def nothing_is_there_but_tasks(ami: Ami) -> None:
    """Imports that are over are listed for a while."""
    for there in ami.emulator.state()["regions"].values():
        assert all(task["state"] == "completed" for task in there["tasks"].values())
    nothing_is_there(ami, tasks=True)
