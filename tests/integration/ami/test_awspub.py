"""awspub and ours, on the same emulator with the same configuration: the same results, and each finds the other's."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.awspub import UnavailableError, cache_directory, installed
from tests.integration.ami.conftest import HOME, MIB, Ami
from tests.integration.ami.test_cycle import CHANGING, MARKETPLACE, ORGANIZATION, OTHER_ACCOUNT, UNIT

# Asked for before the tests have a cache of their own each.
CACHE = cache_directory()

REGIONS = [HOME, "eu-west-1", "sa-west-1"]
COMMON = {
    "s3": {"bucket_name": "a-bucket"},
    "source": {"path": "disk.vmdk", "architecture": "x86_64"},
    "tags": {"Common": "yes", "Team": "all"},
    "images": {
        "everything": {
            "description": "an image",
            "regions": REGIONS,
            "boot_mode": "uefi",
            "root_device_name": "/dev/xvda",
            "root_device_volume_type": "gp2",
            "root_device_volume_size": 9,
            "uefi_data": "uefi.b64",
            "tpm_support": "v2.0",
            "imds_support": "v2.0",
            "share": [OTHER_ACCOUNT, "aws:444455556666", "aws-cn:777788889999", ORGANIZATION, UNIT],
            "public": True,
            "marketplace": MARKETPLACE,
            "ssm_parameter": [{"name": "/debian/13", "description": "the newest", "allow_overwrite": True}],
            "groups": ["stable"],
            "tags": {"Team": "images"},
            "sns": [
                {"news": {"subject": "new", "message": {"default": "d", "email": "e"}, "regions": REGIONS}}
            ],
        },
        "billed": {
            "description": "an image",
            "regions": REGIONS[:2],
            "boot_mode": "uefi-preferred",
            "separate_snapshot": True,
            "billing_products": ["bp-1"],
            "groups": ["stable", "other"],
        },
        "passing": {
            "description": "an image",
            "regions": [HOME],
            "boot_mode": "legacy-bios",
            "temporary": True,
        },
    },
}


@pytest.fixture(scope="session")
def awspub_program() -> Path:
    try:
        return installed(CACHE)
    except UnavailableError as error:
        pytest.skip(str(error))


class Both:
    """Both programs, in a directory with one image and one configuration."""

    def __init__(self, ami: Ami, program: Path) -> None:
        self.ami = ami
        self.program = program
        ami.image()
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
        subprocess.run([*convert, "disk.raw", "disk.vmdk"], cwd=ami.directory, check=True)
        (ami.directory / "uefi.b64").write_text("QUJD")
        self.config = ami.config(**COMMON)
        self.begin()

    def begin(self) -> None:
        """Begin again with an empty account."""
        self.ami.emulator.reset()
        self.ami.emulator.settings(entities={"prod-1": {"Versions": []}})
        self.ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
        for region in REGIONS:
            self.ami.emulator.boto("sns", region).create_topic(Name="news")
        self.ami.emulator.forget_log()

    def awspub(self, command: str, config: str | None = None) -> Any:
        """Run awspub; return the JSON that it prints."""
        done = subprocess.run(
            [str(self.program), command, config or self.config],
            cwd=self.ami.directory,
            env=self.ami.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def made(self) -> list[str]:
        """Return the requests since the last call that make or remove something."""
        # awspub shares in every run what is shared already.
        again = ("ModifyImageAttribute", "ModifySnapshotAttribute")
        actions = [item["action"] for item in self.ami.emulator.log()]
        self.ami.emulator.forget_log()
        return [action for action in actions if action.startswith(CHANGING) and action not in again]


@pytest.fixture
def both(ami: Ami, awspub_program: Path) -> Both:
    return Both(ami, awspub_program)


def outcome(ami: Ami) -> dict[str, Any]:
    """Return what a program has made, without ids and without the few tags that are ours."""
    state = ami.emulator.state()
    result: dict[str, Any] = {
        "objects": {name: bucket["objects"] for name, bucket in state["buckets"].items()},
        "versions": [
            change["details"] for item in state["change_sets"].values() for change in item["changes"]
        ],
    }
    for version in result["versions"]:
        source = version["DeliveryOptions"][0]["Details"]["AmiDeliveryOptionDetails"]["AmiSource"]
        identifier = source.pop("AmiId")
        source["image"] = state["regions"][HOME]["images"][identifier]["name"]
        # awspub reads the key, and never sends it.
        source.pop("ScanningPort", None)
    for region in REGIONS:
        there = state["regions"][region]
        names = {key: item["tags"]["Name"] for key, item in there["snapshots"].items()}
        for image in there["images"].values():
            root = image["mappings"][0]["Ebs"]
            root["SnapshotId"] = names[root["SnapshotId"]]
            image["tags"] = {k: v for k, v in image["tags"].items() if not k.startswith("osbuild-core:")}
        kept = "state", "size", "tags", "users", "groups", "content"
        result[region] = {
            "images": {item["name"]: item for item in there["images"].values()},
            "snapshots": {
                item["tags"]["Name"]: {name: item[name] for name in kept}
                for item in there["snapshots"].values()
            },
            "parameters": {
                name: there["images"][item.pop("value")]["name"] for name, item in there["parameters"].items()
            },
            "messages": [{**item, "message": json.loads(item["message"])} for item in there["messages"]],
        }
    return result


def by_region(output: dict[str, Any]) -> dict[str, list[str]]:
    return {name: sorted(ids) for name, ids in output["images"].items()}


def test_the_same_comes_of_both(both: Both) -> None:
    theirs = both.awspub("create")
    both.awspub("publish")
    wanted = outcome(both.ami)
    both.awspub("cleanup")
    cleaned = [sorted(item["name"] for item in both.ami.region()["images"].values())]
    both.begin()
    ours = both.ami.ok("create", both.config)
    both.ami.ok("publish", both.config)
    assert outcome(both.ami) == wanted
    both.ami.ok("cleanup", both.config)
    cleaned.append(sorted(item["name"] for item in both.ami.region()["images"].values()))
    assert by_region(ours) == by_region(theirs)
    assert {group: sorted(names) for group, names in ours["images-by-group"].items()} == {
        group: sorted(names) for group, names in theirs["images-by-group"].items()
    }
    assert cleaned == [["billed", "everything"]] * 2
    assert len(wanted[HOME]["snapshots"]) == 2


def test_ours_finds_theirs(both: Both) -> None:
    theirs = both.awspub("create")
    both.made()
    ours = both.ami.ok("create", both.config)
    assert ours["images"] == theirs["images"]
    assert ours["images-by-group"] == theirs["images-by-group"]
    assert both.ami.ok("list", both.config)["images"] == theirs["images"]
    assert both.ami.run("verify", both.config).returncode == 0
    assert both.made() == []


def test_theirs_finds_ours(both: Both) -> None:
    ours = both.ami.ok("create", both.config)
    both.made()
    theirs = both.awspub("create")
    assert theirs["images"] == ours["images"]
    assert theirs["images-by-group"] == ours["images-by-group"]
    assert both.awspub("list")["images"] == ours["images"]
    assert both.made() == []


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_each_continues_the_upload_of_the_other(both: Both, first: str) -> None:
    ami = both.ami
    (ami.directory / "disk.vmdk").write_bytes(random.Random(1).randbytes(3 * 8 * MIB))
    bucket = {"bucket_name": "a-bucket"}
    config = ami.config(**{**COMMON, "s3": bucket})
    # One part at a time, as awspub sends them, so that a number says how far it was.
    slow = ami.config("slow.yaml", **{**COMMON, "s3": {**bucket, "upload_multipart_concurrency": 1}})
    ours, theirs = ami.command("create", slow), [str(both.program), "create", config]
    ami.emulator.rule("AccessDenied", service="s3", action="CompleteMultipartUpload")
    run = ours if first == "ours" else theirs
    subprocess.run(run, cwd=ami.directory, env=ami.environment, capture_output=True)
    actions = [item["action"] for item in ami.emulator.log()]
    both.begin()
    second_part = [at for at, action in enumerate(actions, 1) if action == "UploadPart"][1]
    assert ami.kill_program_at(second_part, run, performed=True)
    (begun,) = ami.emulator.state()["buckets"]["a-bucket"]["uploads"].values()
    assert begun["parts"] == 2
    ami.emulator.forget_log()
    # The image is no disk, and awspub would wait long for its import.
    ami.emulator.rule("AccessDenied", action="ImportSnapshot")
    subprocess.run(
        theirs if first == "ours" else ours, cwd=ami.directory, env=ami.environment, capture_output=True
    )
    assert [item["action"] for item in ami.emulator.log()].count("UploadPart") == 1
    there = ami.emulator.state()["buckets"]["a-bucket"]
    assert (there["uploads"], [item["size"] for item in there["objects"].values()]) == ({}, [24 * MIB])


def test_theirs_finds_what_came_by_ebs_direct(both: Both) -> None:
    images = {"direct": {"boot_mode": "uefi", "regions": REGIONS}}
    config = both.ami.config("direct.yaml", images=images, s3={"bucket_name": "a-bucket"})
    ours_only = both.ami.config("ours.yaml", images=images, upload="ebs")
    ours = both.ami.ok("create", ours_only)
    assert both.ami.region()["tasks"] == {}
    assert both.awspub("list", config)["images"] == ours["images"]
