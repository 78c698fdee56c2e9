"""From an image to AMIs and back: every key of the configuration, in one region and in 38."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.emulator.aws.settings import REGIONS
from tests.integration.ami.conftest import BLOCK, HOME, MIB, Ami

OTHER_ACCOUNT = "111122223333"
ORGANIZATION = "arn:aws:organizations::123456789012:organization/o-abcdefghij"
UNIT = "arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678"
CHANGING = (
    "Put",
    "Post",
    "Create",
    "Copy",
    "Register",
    "Modify",
    "Delete",
    "Deregister",
    "Start",
    "Complete",
)
CHANGING = (*CHANGING, "Upload", "Import", "Publish", "Enable", "Disable", "Abort", "Cancel")

MARKETPLACE = {
    "entity_id": "prod-1",
    "access_role_arn": "arn:aws:iam::123456789012:role/marketplace",
    "version_title": "13.1",
    "release_notes": "the notes",
    "user_name": "debian",
    "scanning_port": 2222,
    "os_name": "DEBIAN",
    "os_version": "13",
    "usage_instructions": "ssh debian@…",
    "recommended_instance_type": "t3.small",
    "security_groups": [{"from_port": 22, "to_port": 22, "ip_protocol": "tcp", "ip_ranges": ["0.0.0.0/0"]}],
}


def images(regions: list[str] | None) -> dict[str, Any]:
    """Return images that have every key between them; None is every region that there is."""
    where = {} if regions is None else {"regions": regions}
    return {
        "full": {
            **where,
            "description": "an image with everything",
            "separate_snapshot": True,
            "billing_products": ["bp-1", "bp-2"],
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
            "ssm_parameter": [
                {"name": "/debian/13", "description": "the newest", "allow_overwrite": True},
                {"name": "/debian/kept"},
            ],
            "groups": ["stable", "all"],
            "tags": {"Purpose": "test", "Team": "images"},
            "sns": [
                {"news": {"subject": "a new image", "message": {"default": "text", "email": "mail"}}},
                {"home-news": {"subject": "home", "message": {"default": "text"}, "regions": [HOME]}},
            ],
            "deprecate_at": "2036-01-01T00:00:00Z",
        },
        "passing": {
            "regions": [HOME] if regions else [HOME, "eu-west-1"],
            "boot_mode": "uefi-preferred",
            "temporary": True,
            "groups": ["all"],
        },
        "encrypted": {
            **(
                {"regions": regions}
                if regions
                else {"regions_denylist": [r for r in REGIONS if r > "ap-east-2"]}
            ),
            "boot_mode": "legacy-bios",
            "kms_key_id": "alias/images",
            "groups": ["kept"],
            "keep": 2,
        },
    }


def prepare(ami: Ami, regions: list[str]) -> Path:
    """Make what a publisher has: keys, topics, a bucket, a product; return the image, whose end is no whole block."""
    for region in regions:
        kms = ami.emulator.boto("kms", region)
        kms.create_alias(AliasName="alias/images", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        ami.emulator.boto("sns", region).create_topic(Name="news")
    ami.emulator.boto("sns").create_topic(Name="home-news")
    ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
    ami.emulator.settings(entities={"prod-1": {"Versions": []}})
    (ami.directory / "uefi.b64").write_text("QUJD\n")
    image = ami.image(size=32 * MIB)
    with image.open("ab") as file:
        file.write(b"the end")
    ami.emulator.forget_log()
    return image


def changes(ami: Ami) -> list[tuple[str, str]]:
    """Return the requests since the last call that may change something."""
    ami.asked |= {(item["service"], item["action"]) for item in ami.emulator.log()}
    seen = [
        (item["region"], item["action"]) for item in ami.emulator.log() if item["action"].startswith(CHANGING)
    ]
    ami.emulator.forget_log()
    return seen


def image_of(blocks: dict[int, bytes], size: int) -> bytes:
    """Return the image that is in the blocks of a snapshot; behind it there is nothing."""
    data = bytearray(-(-size // BLOCK) * BLOCK)
    for index, block in blocks.items():
        data[index * BLOCK : (index + 1) * BLOCK] = block
    assert not any(data[size:])
    return bytes(data[:size])


def check_full(found: dict[str, Any], region: dict[str, Any]) -> None:
    """Check that the image has what the configuration says."""
    root, *rest = found["mappings"]
    snapshot = region["snapshots"][root["Ebs"]["SnapshotId"]]
    assert found["name"] == "full"
    assert found["description"] == "an image with everything"
    assert (found["architecture"], found["boot_mode"], found["tpm"], found["imds"]) == (
        "x86_64", "uefi", "v2.0", "v2.0",
    )  # fmt: skip
    assert (found["ena"], found["sriov"], found["uefi_data"]) == (True, "simple", "QUJD")
    assert found["billing_products"] == ["bp-1", "bp-2"]
    assert found["root_device_name"] == root["DeviceName"] == "/dev/xvda"
    assert (root["Ebs"]["VolumeType"], root["Ebs"]["VolumeSize"]) == ("gp2", 9)
    assert [item["VirtualName"] for item in rest] == ["ephemeral0", "ephemeral1"]
    assert found["deprecated"] == "2036-01-01T00:00:00"
    tags = found["tags"]
    assert (tags["Purpose"], tags["Team"], tags["Common"]) == ("test", "images", "yes")
    assert tags["awspub:source:filename"] == "disk.raw"
    assert tags["awspub:source:architecture"] == "x86_64"
    accounts = [item["UserId"] for item in found["permissions"] if "UserId" in item]
    assert sorted(accounts) == [OTHER_ACCOUNT, "444455556666"]
    assert {"OrganizationArn": ORGANIZATION} in found["permissions"]
    assert {"OrganizationalUnitArn": UNIT} in found["permissions"]
    assert snapshot["users"] == [OTHER_ACCOUNT, "444455556666"]
    assert snapshot["tags"]["Name"] != tags["awspub:source:sha256"]
    assert snapshot["tags"]["Common"] == "yes"
    assert not snapshot["encrypted"]


def by_name(region: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """Return the one image of that name."""
    (found,) = [(key, item) for key, item in region["images"].items() if item["name"] == name]
    return found


# In the other two combinations nothing meets that does not meet in these.
@pytest.mark.parametrize(
    ("upload", "everywhere"),
    [
        pytest.param("s3", False, id="s3-1-region"),
        pytest.param("ebs", True, id="ebs-38-regions", marks=pytest.mark.xdist_group("AMIs everywhere")),
    ],
)
def test_the_whole_way(ami: Ami, upload: str, everywhere: bool) -> None:
    regions = REGIONS if everywhere else [HOME]
    source = prepare(ami, regions)
    config = ami.config(
        s3={"bucket_name": "a-bucket", "upload_multipart_concurrency": 4, "import_role": "vmimport"},
        ebs={"concurrency": 4},
        upload=upload,
        source={"path": "disk.raw", "architecture": "x86_64", "format": "raw"},
        tags={"Common": "yes", "Team": "all"},
        images=images(None if everywhere else [HOME]),
    )

    assert ami.run("plan", config).returncode == 0
    assert changes(ami) == []

    made = ami.ok("create", config)
    state = ami.emulator.state()
    assert sorted(made["images"]["full"]) == regions
    assert len(made["images"]["passing"]) == (2 if everywhere else 1)
    assert list(made["images"]["encrypted"]) == (
        ["af-south-1", "ap-east-1", "ap-east-2"] if everywhere else [HOME]
    )
    assert sorted(made["images-by-group"]) == ["all", "kept", "stable"]
    contents = set()
    for region in regions:
        there = state["regions"][region]
        identifier, image = by_name(there, "full")
        assert made["images"]["full"][region] == identifier
        check_full(image, there)
        contents |= {item["content"] for item in there["snapshots"].values()}
        assert all(item["state"] == "completed" for item in there["snapshots"].values())
    assert len(contents) == 1
    for region, identifier in made["images"]["encrypted"].items():
        there = state["regions"][region]
        snapshot = there["snapshots"][there["images"][identifier]["mappings"][0]["Ebs"]["SnapshotId"]]
        assert snapshot["encrypted"]
    home = state["regions"][HOME]
    root = by_name(home, "full")[1]["mappings"][0]["Ebs"]["SnapshotId"]
    data = source.read_bytes()
    assert image_of(ami.emulator.blocks(HOME, root), len(data)) == data

    changes(ami)
    assert ami.ok("create", config) == made
    assert ami.ok("list", config) == made
    assert ami.run("verify", config).returncode == 0
    if not everywhere:
        assert ami.run("plan", config).returncode == 0
        stable = ami.ok("list", config, "--group", "stable")
        assert stable == {
            "failed": {},
            "images": {"full": made["images"]["full"]},
            "images-by-group": {"stable": {"full": made["images"]["full"]}},
        }
    assert changes(ami) == []
    assert ami.emulator.state() == state

    ami.ok("publish", config)
    check_published(ami, regions, made)
    nothing_more(ami, "publish", config, everywhere)
    ami.ok("unpublish", config)
    check_unpublished(ami, regions)
    nothing_more(ami, "unpublish", config, everywhere)
    before = ami.emulator.state()["regions"]
    ami.ok("cleanup", config)
    check_cleaned(ami, before, made)
    nothing_more(ami, "cleanup", config, everywhere)
    changes(ami)
    check_permissions(ami.asked)


S3_PERMISSIONS = {
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
}
"""S3's requests whose permission has another name."""


def check_permissions(asked: set[tuple[str, str]]) -> None:
    """Check that the page names the permission for everything that was asked for."""
    page = (ROOT / "docs" / "ami.md").read_text()
    section = page[page.index("\n## Permissions") : page.index("\n## Coming from awspub")]
    named = set(re.findall(r"\b[a-z0-9-]+:[A-Z]\w+", section))
    assert len(asked) > 15
    needed = {
        f"{service}:{S3_PERMISSIONS.get(action, action) if service == 's3' else action}"
        for service, action in asked
    }
    assert needed - named == set()


def nothing_more(ami: Ami, command: str, config: str, everywhere: bool) -> None:
    """Check that a second run changes nothing; in one region, since that takes its time."""
    if not everywhere:
        changes(ami)
        ami.ok(command, config)
        assert changes(ami) == []


def check_published(ami: Ami, regions: list[str], made: dict[str, Any]) -> None:
    state = ami.emulator.state()
    for region in regions:
        there = state["regions"][region]
        identifier, image = by_name(there, "full")
        assert {"Group": "all"} in image["permissions"]
        assert there["snapshots"][image["mappings"][0]["Ebs"]["SnapshotId"]]["groups"] == ["all"]
        parameters = {name.strip("/"): item for name, item in there["parameters"].items()}
        assert sorted(parameters) == ["debian/13", "debian/kept"]
        assert {item["value"] for item in parameters.values()} == {identifier}
        assert {item["data_type"] for item in parameters.values()} == {"aws:ec2:image"}
        messages = sorted(there["messages"], key=lambda item: item["subject"])
        assert [item["subject"] for item in messages] == [
            "a new image",
            *(["home"] if region == HOME else []),
        ]
        assert json.loads(messages[0]["message"]) == {"default": "text", "email": "mail"}
        for other in set(there["images"]) - {identifier}:
            assert there["images"][other]["permissions"] == []
    (change_set,) = state["change_sets"].values()
    (option,) = change_set["changes"][0]["details"]["DeliveryOptions"]
    details = option["Details"]["AmiDeliveryOptionDetails"]
    assert details["AmiSource"]["AmiId"] == made["images"]["full"][HOME]
    assert details["AmiSource"]["ScanningPort"] == 2222


def check_unpublished(ami: Ami, regions: list[str]) -> None:
    state = ami.emulator.state()
    for region in regions:
        there = state["regions"][region]
        _, image = by_name(there, "full")
        assert {"Group": "all"} not in image["permissions"]
        assert {"UserId": OTHER_ACCOUNT} in image["permissions"]
        assert all(item["groups"] == [] for item in there["snapshots"].values())


def check_cleaned(ami: Ami, before: dict[str, Any], made: dict[str, Any]) -> None:
    """Check that what is temporary is gone with its snapshot, and nothing else."""
    after = ami.emulator.state()["regions"]
    for region, there in before.items():
        gone = {key: item for key, item in there["images"].items() if item["name"] == "passing"}
        assert set(gone) == (
            {made["images"]["passing"][region]} if region in made["images"]["passing"] else set()
        )
        assert after[region]["images"].keys() == there["images"].keys() - gone.keys()
        roots = {item["mappings"][0]["Ebs"]["SnapshotId"] for item in gone.values()}
        assert after[region]["snapshots"].keys() == there["snapshots"].keys() - roots


def test_a_template_and_its_mapping(ami: Ami) -> None:
    ami.image()
    config = ami.config(
        images={"image-$serial": {"boot_mode": "uefi", "regions": [HOME], "tags": {"price": "$$5"}}}
    )
    (ami.directory / "map.yaml").write_text("serial: 20260101\n")
    made = ami.ok("create", config, "--config-mapping", "map.yaml")
    assert list(made["images"]) == ["image-20260101"]
    assert by_name(ami.region(), "image-20260101")[1]["tags"]["price"] == "$5"


def test_what_differs_is_shown_and_set_right(ami: Ami) -> None:
    ami.image()
    image = {"boot_mode": "uefi", "regions": [HOME], "description": "one", "tags": {"a": "1"}}
    made = ami.ok("create", ami.config(images={"an-image": image}))
    changed = {**image, "description": "two", "tags": {"a": "2"}, "boot_mode": "legacy-bios"}
    config = ami.config(images={"an-image": changed})
    assert ami.run("verify", config).returncode != 0
    plan = ami.run("plan", config)
    assert plan.returncode == 0
    for word in ("boot mode", "'two'", "a=2"):
        assert word in plan.stdout
    assert ami.ok("create", config) == made
    found = by_name(ami.region(), "an-image")[1]
    assert (found["description"], found["tags"]["a"], found["boot_mode"]) == ("two", "2", "uefi")


def test_only_the_newest_of_a_group_are_kept(ami: Ami) -> None:
    for number in range(4):
        ami.image(seed=number)
        image = {"boot_mode": "uefi", "regions": [HOME], "groups": ["nightly"], "keep": 2}
        config = ami.config(images={f"nightly-{number}": image})
        ami.ok("create", config)
        ami.emulator.advance(60)
    ami.ok("cleanup", config)
    there = ami.region()
    assert sorted(item["name"] for item in there["images"].values()) == ["nightly-2", "nightly-3"]
    assert len(there["snapshots"]) == 2


WEATHER = [
    {"error": "throttle", "share": 0.06},
    {"error": "lost", "share": 0.03},
    {"error": "cut", "share": 0.02},
]


@pytest.mark.parametrize("upload", ["ebs", pytest.param("s3", marks=pytest.mark.soak)])
def test_in_bad_weather(ami: Ami, upload: str) -> None:
    """Throttled, with answers lost, and with an AWS that takes its time to know what it has made."""
    regions = [HOME, "eu-west-1", "ap-east-1", "sa-east-1"]
    source = prepare(ami, regions)
    config = ami.config(
        s3={"bucket_name": "a-bucket"},
        upload=upload,
        images={"an-image": {"boot_mode": "uefi", "regions": regions, "share": [OTHER_ACCOUNT]}},
    )
    ami.emulator.settings(
        seed=5,
        rules=WEATHER,
        invisible=0.2,
        pending={"snapshot": 0.2, "copy": 0.5, "import": 0.5, "image": 0.2},
    )
    made = ami.ok("create", config)
    ami.emulator.settings(rules=[])
    ami.emulator.advance(3600)
    for region in regions:
        there = ami.region(region)
        # Whatever was asked for twice was made once.
        assert list(there["images"]) == [made["images"]["an-image"][region]]
        (snapshot,) = there["snapshots"].values()
        assert (snapshot["state"], snapshot["users"]) == ("completed", [OTHER_ACCOUNT])
    data = source.read_bytes()
    assert image_of(ami.emulator.blocks(HOME, next(iter(ami.region()["snapshots"]))), len(data)) == data
