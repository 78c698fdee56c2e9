"""What cannot work is refused in one line with the place and a hint, and nothing is left behind."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.aws.client import SECRET, TOKEN
from tests.integration.ami.conftest import BLOCK, HOME, KEY, MIB, Ami


def refusal(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the one line that says why a command failed, with its hint."""
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert re.search(r"\(.+\)$", line), f"no hint: {line}"
    return line


def nothing_is_there(ami: Ami, *, tasks: bool = False) -> None:
    """Check that no region and no bucket has anything, and that no secret was kept; there may be ``tasks``."""
    state = ami.emulator.state()
    for there in state["regions"].values():
        assert not there["images"]
        assert not there["snapshots"]
        assert tasks or not there["tasks"]
    for bucket in state["buckets"].values():
        assert not bucket["objects"]
        assert not bucket["uploads"]
    for path in ami.directory.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in data and TOKEN.encode() not in data


def no_bucket(ami: Ami) -> dict[str, Any]:
    return {"upload": "s3", "s3": {"bucket_name": "no-bucket"}}


def no_role(ami: Ami) -> dict[str, Any]:
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    return {"upload": "s3", "s3": {"bucket_name": "a-bucket", "import_role": "no-role"}}


def source(path: str) -> Callable[[Ami], dict[str, Any]]:
    return lambda _ami: {"source": {"path": path, "architecture": "x86_64"}}


def image(**keys: Any) -> Callable[[Ami], dict[str, Any]]:
    return lambda _ami: {"images": {"an-image": {"boot_mode": "uefi", "regions": [HOME], **keys}}}


def empty_file(ami: Ami) -> dict[str, Any]:
    (ami.directory / "empty.raw").touch()
    return source("empty.raw")(ami)


def pipe(ami: Ami) -> dict[str, Any]:
    os.mkfifo(ami.directory / "pipe")
    return source("pipe")(ami)


def no_key(upload: str) -> Callable[[Ami], dict[str, Any]]:
    def change(ami: Ami) -> dict[str, Any]:
        ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
        regions = [HOME, "eu-west-1"]
        kms = ami.emulator.boto("kms")
        kms.create_alias(AliasName="alias/images", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        return {
            "upload": upload,
            "s3": {"bucket_name": "a-bucket"},
            **image(kms_key_id="alias/images", regions=regions)(ami),
        }

    return change


def large(ami: Ami) -> dict[str, Any]:
    ami.image("large.raw", size=1025 * MIB)
    return {**source("large.raw")(ami), **image(root_device_volume_size=1)(ami)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_bucket, ["awspub.s3.bucket_name", "no-bucket"]),
        (source("nothing.raw"), ["awspub.source.path", "nothing.raw"]),
        (source("."), ["awspub.source.path"]),
        (empty_file, ["awspub.source.path", "empty.raw"]),
        (pipe, ["awspub.source.path", "no regular file"]),
        (no_key("ebs"), ["awspub.images.an-image.kms_key_id", "alias/images", "eu-west-1"]),
        (no_key("s3"), ["awspub.images.an-image.kms_key_id", "alias/images", "eu-west-1"]),
        (image(deprecate_at="2020-01-01"), ["awspub.images.an-image.deprecate_at"]),
        (large, ["awspub.images.an-image.root_device_volume_size"]),
        (image(regions=["us-est-1"]), ["awspub.images.an-image.regions[0]", "us-est-1", "us-west-1"]),
        (image(tpm_support="v2.0", boot_mode="legacy-bios"), ["awspub.images.an-image.tpm_support"]),
        (image(share=["12"]), ["awspub.images.an-image.share[0]", "account"]),
        (image(no_such_key=1), ["awspub.images.an-image.no_such_key"]),
    ],
)
def test_a_configuration_that_cannot_work(
    ami: Ami, change: Callable[[Ami], dict[str, Any]], words: list[str]
) -> None:
    ami.image()
    config = ami.config(**change(ami))
    ami.emulator.forget_log()
    line = refusal(ami.run("create", config))
    assert [word for word in words if word not in line] == []
    nothing_is_there(ami)


@pytest.mark.parametrize("change", [no_bucket, no_key("ebs"), image(deprecate_at="2020-01-01")])
def test_a_plan_says_so_too(ami: Ami, change: Callable[[Ami], dict[str, Any]]) -> None:
    ami.image()
    config = ami.config(**change(ami))
    assert refusal(ami.run("plan", config)) == refusal(ami.run("create", config))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, ["credentials", "AWS_PROFILE"]),
        ({"AWS_PROFILE": "no-profile"}, ["no-profile"]),
        ({"AWS_DEFAULT_REGION": "mars-north-1"}, ["mars-north-1"]),
        ({"AWS_ACCESS_KEY_ID": "AKIAEMULATORWRONG001"}, ["credentials"]),
    ],
    ids=["no credentials", "no profile", "no region", "wrong key"],
)
def test_an_environment_that_cannot_work(ami: Ami, environment: dict[str, str], words: list[str]) -> None:
    ami.image()
    ami.emulator.settings(refused_keys=["AKIAEMULATORWRONG001"])
    line = refusal(ami.run("create", ami.config(), env=environment))
    assert [word for word in words if word not in line] == []
    nothing_is_there(ami)


def test_a_role_that_is_not_there(ami: Ami) -> None:
    ami.image()
    line = refusal(ami.run("create", ami.config(**no_role(ami))))
    assert "awspub.s3.import_role" in line
    there = ami.region()
    assert not there["tasks"]
    assert not there["snapshots"]


@pytest.mark.parametrize("upload", ["ebs", "s3"])
def test_an_image_that_changes_while_it_is_sent(ami: Ami, upload: str) -> None:
    path = ami.image(size=32 * MIB, blocks=32)
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    options = {
        "s3": {"bucket_name": "a-bucket", "upload_multipart_concurrency": 1},
        "ebs": {"concurrency": 1},
    }
    config = ami.config(upload=upload, **options)
    action = {"ebs": "PutSnapshotBlock", "s3": "UploadPart"}[upload]
    # The client waits for the answer to its second piece until the file was written to.
    ami.emulator.settings(latency=0.1)
    output = ami.directory / "output"
    with output.open("w") as file:
        client = subprocess.Popen(
            ami.command("create", config), cwd=ami.directory, env=ami.environment, stdout=file, stderr=file
        )
        until = time.monotonic() + 60
        while sum(item["action"] == action for item in ami.emulator.log()) < 2:
            assert time.monotonic() < until
            assert client.poll() is None, output.read_text()
        with path.open("r+b") as image_file:
            image_file.write(os.urandom(BLOCK))
        ami.emulator.settings(latency=0)
        status = client.wait(timeout=60)
    line = refusal(subprocess.CompletedProcess([], status, "", output.read_text()))
    assert "awspub.source.path" in line
    assert "changed" in line
    assert not ami.region()["images"]
    # What was begun is not what the image is now: it goes, or is never mixed with the new one.
    ami.ok("create", config)
    (identifier,) = ami.ok("list", config)["images"]["an-image"].values()
    root = ami.region()["images"][identifier]["mappings"][0]["Ebs"]["SnapshotId"]
    blocks = ami.emulator.blocks(HOME, root)
    data = path.read_bytes()
    for index in range(len(data) // BLOCK):
        assert blocks.get(index, bytes(BLOCK)) == data[index * BLOCK : (index + 1) * BLOCK]


@pytest.mark.parametrize("upload", ["ebs", "s3"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_credentials_that_expire_in_the_middle(ami: Ami, upload: str, share: float) -> None:
    ami.image()
    regions = [HOME, "eu-west-1", "ap-east-1"]
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    images = {"an-image": {"boot_mode": "uefi", "regions": regions}}
    config = ami.config(upload=upload, s3={"bucket_name": "a-bucket"}, images=images)
    # About as many requests as it takes.
    total = {"ebs": 21, "s3": 20}[upload]
    ami.emulator.settings(rules=[{"error": "expired", "skip": int(share * total)}])
    assert "expired" in refusal(ami.run("create", config))
    ami.emulator.settings(rules=[])
    made = ami.ok("create", config)
    for region in regions:
        there = ami.region(region)
        assert list(there["images"]) == [made["images"]["an-image"][region]]
        assert len(there["snapshots"]) == 1


def test_a_region_that_refuses(ami: Ami) -> None:
    ami.image()
    regions = [HOME, "eu-west-1", "ap-east-1"]
    config = ami.config(images={"an-image": {"boot_mode": "uefi", "regions": regions}})
    ami.emulator.rule("OperationNotPermitted", action="RegisterImage", region="eu-west-1")
    done = ami.run("create", config, "--output", "result.json")
    line = refusal(done)
    assert "eu-west-1" in line
    assert "awspub.images.an-image" in line
    assert sorted(region for region in regions if ami.region(region)["images"]) == ["ap-east-1", HOME]
    ami.emulator.settings(rules=[])
    made = ami.ok("create", config)
    assert sorted(made["images"]["an-image"]) == sorted(regions)
    assert len(ami.region("eu-west-1")["snapshots"]) == 1


def test_a_home_region_that_refuses(ami: Ami) -> None:
    """The upload may go elsewhere."""
    ami.image()
    regions = [HOME, "eu-west-1"]
    config = ami.config(upload="ebs", images={"an-image": {"boot_mode": "uefi", "regions": regions}})
    ami.emulator.rule("AccessDeniedException", service="ebs", action="StartSnapshot", region=HOME)
    done = ami.run("create", config)
    assert done.returncode == 1
    assert HOME in refusal(done)
    assert ami.region("eu-west-1")["images"]


def test_a_region_that_lets_nothing_be_public(ami: Ami) -> None:
    ami.image()
    regions = [HOME, "eu-west-1"]
    config = ami.config(images={"an-image": {"boot_mode": "uefi", "regions": regions, "public": True}})
    ami.ok("create", config)
    ami.emulator.settings(image_access={"eu-west-1": "block-new-sharing"})
    line = refusal(ami.run("publish", config))
    assert "eu-west-1" in line
    assert "block-new-sharing" in line
    for region, public in [(HOME, True), ("eu-west-1", False)]:
        there = ami.region(region)
        assert [{"Group": "all"} in item["permissions"] for item in there["images"].values()] == [public]
        assert [item["groups"] for item in there["snapshots"].values()] == [["all"] if public else []]


def test_publishing_what_is_not_there(ami: Ami) -> None:
    ami.image()
    config = ami.config(images={"an-image": {"boot_mode": "uefi", "regions": [HOME], "public": True}})
    assert "awspub.images.an-image" in refusal(ami.run("publish", config))


def test_a_failed_import(ami: Ami, tmp_path: Path) -> None:
    """What is said to be a VMDK image and is none: AWS finds out in the task."""
    ami.image()
    (tmp_path / "disk.vmdk").write_bytes(b"KDMV" + bytes(MIB))
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    config = ami.config(
        upload="s3",
        s3={"bucket_name": "a-bucket"},
        source={"path": "disk.vmdk", "architecture": "x86_64"},
    )
    line = refusal(ami.run("create", config))
    assert "awspub.source.path" in line
    assert "import-snap-" in line
    assert not ami.region()["snapshots"]
