"""The emulator refuses what AWS refuses: asked with bare boto3, nothing of ours between."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.emulator.aws.client import ROOT, Emulator

BLOCK = 512 * 1024
DATA = bytes(range(256)) * (BLOCK // 256)


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    """Return the code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


class Direct:
    """The EBS direct API in one region."""

    def __init__(self, emulator: Emulator, region: str = "us-east-1") -> None:
        self.emulator = emulator
        self.region = region
        self.ebs = emulator.boto("ebs", region)
        self.ec2 = emulator.boto("ec2", region)

    def start(self, **more: Any) -> str:
        return str(self.ebs.start_snapshot(**{"VolumeSize": 1, **more})["SnapshotId"])

    def put(self, snapshot: str, index: int = 0, data: bytes = DATA, **more: Any) -> dict[str, Any]:
        given = {"DataLength": len(data), "Checksum": digest(data), "ChecksumAlgorithm": "SHA256", **more}
        answer = self.ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, **given)
        return dict(answer)

    def complete(self, snapshot: str, count: int, **more: Any) -> None:
        self.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count, **more)

    def whole(self, **more: Any) -> str:
        """Make a snapshot with one block."""
        snapshot = self.start(**more)
        self.put(snapshot)
        self.complete(snapshot, 1)
        return snapshot

    def state(self, snapshot: str) -> str:
        return str(self.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"])

    def read(self, snapshot: str) -> dict[int, bytes]:
        return self.emulator.blocks(self.region, snapshot)


def register(snapshot: str, **more: Any) -> dict[str, Any]:
    """Return the parameters of RegisterImage."""
    return {
        "Name": "an-image",
        "Architecture": "x86_64",
        "BootMode": "uefi",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/sda1",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 8}}
        ],
        **more,
    }


@pytest.fixture
def direct(emulator: Emulator) -> Direct:
    return Direct(emulator)


def test_blocks_come_back_and_are_counted_and_checked(direct: Direct) -> None:
    snapshot = direct.start()
    other = DATA[::-1]
    for data, more in [
        (DATA[:-1], {}),
        (DATA, {"DataLength": BLOCK - 1}),
        (DATA, {"Checksum": digest(other)}),
        (DATA, {"index": 2048}),
        (DATA, {"Progress": 101}),
    ]:
        assert refused(direct.put, snapshot=snapshot, data=data, **more) == "ValidationException"
    direct.put(snapshot, 2047, other)
    direct.put(snapshot, 5)
    assert refused(direct.complete, snapshot=snapshot, count=3) == "ValidationException"
    linear = hashlib.sha256(hashlib.sha256(DATA).digest() + hashlib.sha256(other).digest()).digest()
    how = {"ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    wrong = {"snapshot": snapshot, "count": 2, "Checksum": digest(DATA), **how}
    assert refused(direct.complete, **wrong) == "ValidationException"
    assert refused(direct.ebs.list_snapshot_blocks, SnapshotId=snapshot) == "ValidationException"
    direct.complete(snapshot, 2, Checksum=base64.b64encode(linear).decode(), **how)
    assert direct.read(snapshot) == {5: DATA, 2047: other}
    assert refused(direct.put, snapshot=snapshot) == "ValidationException"
    assert refused(direct.complete, snapshot=snapshot, count=2) == "ValidationException"
    token = direct.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]
    wrong_token = {"SnapshotId": snapshot, "BlockIndex": 2047, "BlockToken": token}
    assert refused(direct.ebs.get_snapshot_block, **wrong_token) == "ValidationException"
    assert refused(direct.put, snapshot="snap-0123456789abcdef0") == "ResourceNotFoundException"


def test_a_client_token_makes_one_snapshot(direct: Direct) -> None:
    first = direct.start(ClientToken="token")
    assert direct.start(ClientToken="token") == first
    assert refused(direct.start, ClientToken="token", VolumeSize=2) == "ConflictException"
    assert direct.start(ClientToken="other") != first


def test_a_parent_gives_its_blocks(direct: Direct) -> None:
    parent = direct.whole()
    child = direct.start(ParentSnapshotId=parent)
    direct.put(child, 1)
    direct.complete(child, 1)
    assert sorted(direct.read(child)) == [0, 1]
    changed = direct.ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
    assert [item["BlockIndex"] for item in changed] == [1]
    larger = direct.whole(VolumeSize=2)
    assert refused(direct.start, ParentSnapshotId=larger) == "ValidationException"
    assert refused(direct.start, ParentSnapshotId="snap-0") == "ResourceNotFoundException"
    assert refused(direct.start, ParentSnapshotId=direct.start()) == "ValidationException"


def test_an_upload_without_blocks_ends_by_itself(emulator: Emulator, direct: Direct) -> None:
    snapshot = direct.start(Timeout=10)
    emulator.advance(9 * 60)
    direct.put(snapshot)
    emulator.advance(9 * 60)
    assert direct.state(snapshot) == "pending"
    emulator.advance(2 * 60)
    assert direct.state(snapshot) == "error"
    assert refused(direct.put, snapshot=snapshot) == "ValidationException"


def test_things_are_pending_for_a_time(emulator: Emulator, direct: Direct) -> None:
    emulator.settings(pending={"snapshot": 100, "copy": 100, "image": 100, "import": 100})
    snapshot = direct.whole()
    copy = emulator.boto("ec2", "eu-west-1").copy_snapshot
    source = {"SourceRegion": "us-east-1", "SourceSnapshotId": snapshot}
    assert direct.state(snapshot) == "pending"
    assert refused(copy, **source) == "IncorrectState"
    assert refused(direct.ec2.register_image, **register(snapshot)) == "IncorrectState"
    emulator.advance(101)
    copied = copy(**source)["SnapshotId"]
    there = Direct(emulator, "eu-west-1")
    assert there.state(copied) == "pending"
    image = direct.ec2.register_image(**register(snapshot))["ImageId"]
    share = {"ImageId": image, "LaunchPermission": {"Add": [{"UserId": "123456789012"}]}}
    assert refused(direct.ec2.modify_image_attribute, **share) == "InvalidAMIID.Unavailable"
    emulator.advance(101)
    assert direct.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    direct.ec2.modify_image_attribute(**share)
    assert there.read(copied) == {0: DATA}


def test_new_things_are_not_seen_at_once(emulator: Emulator, direct: Direct) -> None:
    snapshot = direct.whole()
    emulator.settings(invisible=10)
    image = direct.ec2.register_image(**register(snapshot))["ImageId"]
    assert direct.ec2.describe_images(Owners=["self"])["Images"] == []
    assert refused(direct.ec2.describe_images, ImageIds=[image]) == "InvalidAMIID.NotFound"
    assert refused(direct.ec2.register_image, **register(snapshot)) == "InvalidAMIName.Duplicate"
    emulator.advance(11)
    assert [item["ImageId"] for item in direct.ec2.describe_images(Owners=["self"])["Images"]] == [image]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Name": "na#me"}, "InvalidAMIName.Malformed"),
        ({"Name": "a" * 129}, "InvalidAMIName.Malformed"),
        ({"Name": "taken"}, "InvalidAMIName.Duplicate"),
        ({"Description": "d" * 256}, "InvalidParameterValue"),
        ({"Architecture": "mips"}, "InvalidParameterValue"),
        ({"BootMode": "floppy"}, "InvalidParameterValue"),
        ({"TpmSupport": "v2.0", "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
        ({"Architecture": "arm64", "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
        ({"UefiData": "not base64"}, "InvalidParameterValue"),
        ({"RootDeviceName": "/dev/xvda"}, "InvalidBlockDeviceMapping"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-1"}}]},
         "InvalidSnapshot.NotFound"),
        ({"TagSpecifications": [{"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}]},
         "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "aws:a", "Value": "b"}]}]},
         "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "image",
                                 "Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}]},
         "TagLimitExceeded"),
    ],
)  # fmt: skip
def test_images_that_cannot_be(direct: Direct, change: dict[str, Any], code: str) -> None:
    snapshot = direct.whole()
    direct.ec2.register_image(**register(snapshot, Name="taken"))
    assert refused(direct.ec2.register_image, **register(snapshot, **change)) == code
    assert len(direct.ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_a_volume_is_not_smaller_than_its_snapshot(direct: Direct) -> None:
    snapshot = direct.whole(VolumeSize=9)
    assert refused(direct.ec2.register_image, **register(snapshot)) == "InvalidBlockDeviceMapping"


def test_snapshots_in_use_and_images_that_are_gone(direct: Direct) -> None:
    snapshot = direct.whole()
    image = direct.ec2.register_image(**register(snapshot))["ImageId"]
    assert refused(direct.ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    direct.ec2.enable_image_deregistration_protection(ImageId=image)
    assert refused(direct.ec2.deregister_image, ImageId=image) == "OperationNotPermitted"
    direct.ec2.disable_image_deregistration_protection(ImageId=image)
    direct.ec2.deregister_image(ImageId=image)
    assert refused(direct.ec2.deregister_image, ImageId=image) == "InvalidAMIID.Unavailable"
    direct.ec2.delete_snapshot(SnapshotId=snapshot)
    assert refused(direct.ec2.describe_snapshots, SnapshotIds=[snapshot]) == "InvalidSnapshot.NotFound"


def test_tags_have_limits_and_owners(direct: Direct) -> None:
    snapshot = direct.whole(Tags=[{"Key": "a", "Value": "1"}])
    tags = direct.ec2.create_tags
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    assert refused(tags, Resources=[snapshot], Tags=many) == "TagLimitExceeded"
    assert refused(tags, Resources=["snap-0"], Tags=many[:1]) == "InvalidSnapshot.NotFound"
    assert (
        refused(tags, Resources=[snapshot], Tags=[{"Key": "k", "Value": "v" * 257}])
        == "InvalidParameterValue"
    )
    tags(Resources=[snapshot], Tags=many[:49])
    found = direct.ec2.describe_snapshots(Filters=[{"Name": "tag:a", "Values": ["?"]}])["Snapshots"]
    assert len(found[0]["Tags"]) == 50
    wrong = [{"Name": "no-filter", "Values": ["1"]}]
    assert refused(direct.ec2.describe_snapshots, Filters=wrong) == "InvalidParameterValue"


def test_sharing_is_checked(emulator: Emulator, direct: Direct) -> None:
    snapshot = direct.whole()
    image = direct.ec2.register_image(**register(snapshot))["ImageId"]
    modify = direct.ec2.modify_image_attribute
    for wrong in [{"UserId": "12"}, {"Group": "some"}, {"OrganizationArn": "o-1"}]:
        code = refused(modify, ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}, wrong]})
        assert code == "InvalidAMIAttributeItemValue"
    assert emulator.state()["regions"]["us-east-1"]["images"][image]["permissions"] == []
    emulator.settings(
        image_access={"us-east-1": "block-new-sharing"}, snapshot_access={"us-east-1": "block-all-sharing"}
    )
    assert (
        direct.ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing"
    )
    public = {"ImageId": image, "LaunchPermission": {"Add": [{"Group": "all"}]}}
    assert refused(modify, **public) == "OperationNotPermitted"
    shared = {
        "SnapshotId": snapshot,
        "Attribute": "createVolumePermission",
        "OperationType": "add",
        "GroupNames": ["all"],
    }
    assert refused(direct.ec2.modify_snapshot_attribute, **shared) == "OperationNotPermitted"
    emulator.settings(image_access={}, snapshot_access={})
    modify(**public)
    direct.ec2.modify_snapshot_attribute(**shared)
    assert direct.ec2.describe_images(ImageIds=[image])["Images"][0]["Public"]


def test_encrypted_snapshots(emulator: Emulator, direct: Direct) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    emulator.settings(kms_keys=[key])
    snapshot = direct.whole(Encrypted=True, KmsKeyArn=key)
    copy = {"SourceRegion": "us-east-1", "SourceSnapshotId": snapshot}
    assert refused(direct.ec2.copy_snapshot, **copy, KmsKeyId=key) == "InvalidParameterDependency"
    bad = direct.ec2.copy_snapshot(**copy, Encrypted=True, KmsKeyId="alias/nothing")["SnapshotId"]
    assert direct.state(bad) == "error"
    public = {"SnapshotId": snapshot, "OperationType": "add", "GroupNames": ["all"]}
    assert refused(direct.ec2.modify_snapshot_attribute, **public) == "OperationNotPermitted"
    assert emulator.state()["regions"]["us-east-1"]["snapshots"][snapshot]["kms_key"] == key


def container(key: str, kind: str = "raw", bucket: str = "a-bucket") -> dict[str, Any]:
    return {"Format": kind, "UserBucket": {"S3Bucket": bucket, "S3Key": key}}


def test_imports_of_objects(emulator: Emulator, direct: Direct, tmp_path: Path) -> None:
    s3, start = emulator.boto("s3"), direct.ec2.import_snapshot
    s3.create_bucket(Bucket="a-bucket")
    raw = bytes(BLOCK) + DATA + bytes(BLOCK)
    (tmp_path / "raw").write_bytes(raw)
    convert = ["qemu-img", "convert", "-f", "raw", "-O"]
    vmdk = ["vmdk", "-o", "subformat=streamOptimized", "raw", "vmdk"]
    subprocess.run([*convert, *vmdk], cwd=tmp_path, check=True)
    subprocess.run([*convert, "vpc", "raw", "vhd"], cwd=tmp_path, check=True)
    for name in ("raw", "vmdk", "vhd"):
        s3.put_object(Bucket="a-bucket", Key=name, Body=(tmp_path / name).read_bytes())
    for wrong in [
        container("nothing"), container("raw", bucket="no-bucket"), container("raw", kind="iso"),
    ]:  # fmt: skip
        assert refused(start, DiskContainer=wrong) == "InvalidParameter"
    assert refused(start, DiskContainer=container("raw"), RoleName="none") == "InvalidParameter"
    elsewhere = emulator.boto("ec2", "eu-west-1").import_snapshot
    assert refused(elsewhere, DiskContainer=container("raw")) == "InvalidParameter"
    emulator.settings(pending={"import": 60})
    kinds = ("raw", "vmdk", "vhd")
    tasks = {kind: start(DiskContainer=container(kind, kind))["ImportTaskId"] for kind in kinds}
    wrong_kind = start(DiskContainer=container("raw", "vmdk"))["ImportTaskId"]
    cancelled = start(DiskContainer=container("raw"), ClientToken="t")["ImportTaskId"]
    assert start(DiskContainer=container("raw"), ClientToken="t")["ImportTaskId"] == cancelled
    direct.ec2.cancel_import_task(ImportTaskId=cancelled)

    def detail(task: str) -> dict[str, Any]:
        answer = direct.ec2.describe_import_snapshot_tasks(ImportTaskIds=[task])
        return dict(answer["ImportSnapshotTasks"][0]["SnapshotTaskDetail"])

    assert "SnapshotId" not in detail(tasks["raw"])
    assert direct.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    emulator.advance(61)
    for task in tasks.values():
        assert detail(task)["Status"] == "completed"
        assert direct.read(detail(task)["SnapshotId"]) == {1: DATA}
    assert detail(wrong_kind)["Status"] == "deleted"
    assert "Unsupported VMDK" in detail(wrong_kind)["StatusMessage"]
    assert detail(cancelled)["Status"] == "deleted"
    assert len(direct.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 3


def test_copied_images(emulator: Emulator, direct: Direct) -> None:
    source = direct.ec2.register_image(**register(direct.whole()))["ImageId"]
    there = Direct(emulator, "eu-west-1")
    asked = {"Name": "a-copy", "SourceImageId": source, "SourceRegion": "us-east-1", "ClientToken": "t"}
    copy = there.ec2.copy_image(**asked)["ImageId"]
    assert there.ec2.copy_image(**asked)["ImageId"] == copy
    assert refused(there.ec2.copy_image, **{**asked, "ClientToken": "u"}) == "InvalidAMIName.Duplicate"
    shown = there.ec2.describe_images(ImageIds=[copy])["Images"][0]
    assert shown["SourceImageId"] == source
    assert there.read(shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]) == {0: DATA}


def test_deprecation_is_a_date_to_come(direct: Direct) -> None:
    image = direct.ec2.register_image(**register(direct.whole()))["ImageId"]
    for wrong in ("2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        enable = direct.ec2.enable_image_deprecation
        assert refused(enable, ImageId=image, DeprecateAt=wrong) == "InvalidParameterValue"


def test_parameters_messages_and_change_sets(emulator: Emulator, direct: Direct) -> None:
    image = direct.ec2.register_image(**register(direct.whole()))["ImageId"]
    put = emulator.boto("ssm").put_parameter
    parameter = {"Name": "/an/image", "Type": "String", "DataType": "aws:ec2:image"}
    assert refused(put, Value="ami-0", **parameter) == "ValidationException"
    put(Value=image, **parameter)
    assert refused(put, Value=image, **parameter) == "ParameterAlreadyExists"

    sns = emulator.boto("sns")
    topic = sns.create_topic(Name="a-topic")["TopicArn"]
    message = {"TopicArn": topic, "MessageStructure": "json"}
    assert refused(sns.publish, Message='{"email": "x"}', **message) == "InvalidParameter"
    assert refused(sns.publish, TopicArn=topic + "x", Message="m") == "NotFound"
    sns.publish(Message='{"default": "x"}', Subject="s", **message)
    assert [item["subject"] for item in emulator.state()["regions"]["us-east-1"]["messages"]] == ["s"]

    emulator.settings(entities={"a-product": {"Versions": []}}, pending={"change-set": 60})
    catalog = emulator.boto("marketplace-catalog")
    missing = {"Catalog": "AWSMarketplace", "EntityId": "no-product"}
    assert refused(catalog.describe_entity, **missing) == "ResourceNotFoundException"
    change = {"Catalog": "AWSMarketplace", "ChangeSet": [new_version(image)]}
    started = catalog.start_change_set(**change)["ChangeSetId"]
    assert refused(catalog.start_change_set, **change) == "ResourceInUseException"
    asked = {"Catalog": "AWSMarketplace", "ChangeSetId": started}
    assert catalog.describe_change_set(**asked)["Status"] == "APPLYING"
    emulator.advance(61)
    assert catalog.describe_change_set(**asked)["Status"] == "SUCCEEDED"
    entity = catalog.describe_entity(Catalog="AWSMarketplace", EntityId="a-product")
    assert json.loads(entity["Details"])["Versions"][0]["VersionTitle"] == "1.0"
    assert refused(catalog.start_change_set, **change) == "ValidationException"


def new_version(image: str) -> dict[str, Any]:
    """Return a change that adds a version to a product of the marketplace."""
    source = {
        "AmiId": image,
        "AccessRoleArn": "arn:aws:iam::123456789012:role/r",
        "UserName": "u",
        "OperatingSystemName": "DEBIAN",
        "OperatingSystemVersion": "13",
    }
    group = {"IpProtocol": "tcp", "IpRanges": ["0.0.0.0/0"], "FromPort": 22, "ToPort": 22}
    details = {
        "AmiSource": source,
        "UsageInstructions": "use it",
        "RecommendedInstanceType": "t3.small",
        "SecurityGroups": [group],
    }
    return {
        "ChangeType": "AddDeliveryOptions",
        "Entity": {"Type": "AmiProduct@1.0", "Identifier": "a-product"},
        "DetailsDocument": {
            "Version": {"VersionTitle": "1.0", "ReleaseNotes": "n"},
            "DeliveryOptions": [{"Details": {"AmiDeliveryOptionDetails": details}}],
        },
    }


def test_buckets_stay_in_their_region(emulator: Emulator) -> None:
    west = emulator.boto("s3", "us-west-2")
    west.create_bucket(Bucket="a-bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    # boto3 asks again where it is told to.
    emulator.boto("s3").put_object(Bucket="a-bucket", Key="k", Body=b"x")
    seen = [item["region"] for item in emulator.log() if item["action"] == "PutObject"]
    assert seen == ["us-east-1", "us-west-2"]
    wrong = {"Bucket": "a-bucket", "Key": "k", "Body": b"x", "ChecksumSHA256": digest(b"y")}
    assert refused(west.put_object, **wrong) == "BadDigest"


def test_parts_of_an_upload_are_listed_with_their_checksums(emulator: Emulator) -> None:
    s3 = emulator.boto("s3")
    s3.create_bucket(Bucket="a-bucket")
    where = {"Bucket": "a-bucket", "Key": "k"}
    upload = dict(where)
    upload["UploadId"] = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    for number in (2, 5, 9):
        data = bytes([number])
        s3.upload_part(**upload, PartNumber=number, Body=data, ChecksumSHA256=digest(data))
    first = s3.list_parts(**upload, MaxParts=2)
    rest = s3.list_parts(**upload, PartNumberMarker=first["NextPartNumberMarker"])
    assert (first["ChecksumAlgorithm"], first["IsTruncated"], rest["IsTruncated"]) == ("SHA256", True, False)
    seen = [(part["PartNumber"], part["ChecksumSHA256"]) for part in [*first["Parts"], *rest["Parts"]]]
    assert seen == [(number, digest(bytes([number]))) for number in (2, 5, 9)]
    s3.abort_multipart_upload(**upload)
    upload["UploadId"] = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"data", ChecksumAlgorithm="SHA256")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": digest(b"data")}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    whole = digest(hashlib.sha256(b"data").digest()) + "-1"
    assert s3.head_object(**where, ChecksumMode="ENABLED")["ChecksumSHA256"] == whole


def test_requests_are_logged_with_their_bytes(emulator: Emulator, direct: Direct) -> None:
    direct.whole()
    seen = [(item["service"], item["action"]) for item in emulator.log()]
    assert seen == [("ebs", "StartSnapshot"), ("ebs", "PutSnapshotBlock"), ("ebs", "CompleteSnapshot")]
    assert emulator.log()[1]["bytes"] == BLOCK


def test_throttling_is_drawn_with_a_seed(emulator: Emulator, direct: Direct) -> None:
    def draw() -> str:
        emulator.settings(seed=3, rules=[{"error": "throttle", "share": 0.5}])
        drawn = ""
        for _ in range(20):
            try:
                direct.ec2.describe_images(Owners=["self"])
                drawn += "."
            except ClientError as error:
                assert error.response["Error"]["Code"] == "RequestLimitExceeded"
                drawn += "x"
        return drawn

    first = draw()
    assert 4 <= first.count("x") <= 16
    assert draw() == first


@pytest.mark.parametrize(
    ("service", "call", "throttled", "expired"),
    [
        ("ec2", "describe_regions", "RequestLimitExceeded", "RequestExpired"),
        ("s3", "list_buckets", "SlowDown", "ExpiredToken"),
        ("ssm", "describe_parameters", "ThrottlingException", "ExpiredTokenException"),
        ("sns", "list_topics", "Throttled", "ExpiredToken"),
        ("sts", "get_caller_identity", "Throttling", "ExpiredToken"),
    ],
)
def test_rules_speak_as_the_service_does(
    emulator: Emulator, service: str, call: str, throttled: str, expired: str
) -> None:
    asked = getattr(emulator.boto(service), call)
    emulator.settings(rules=[{"error": "throttle", "times": 1}, {"error": "expired", "skip": 1}])
    assert refused(asked) == throttled
    asked()
    assert refused(asked) == expired


def test_a_region_may_refuse(emulator: Emulator) -> None:
    emulator.rule("OperationNotPermitted", service="ec2", action="RegisterImage", region="eu-west-1")
    for region, code in [("eu-west-1", "OperationNotPermitted"), ("eu-west-2", "InvalidAMIName.Malformed")]:
        assert refused(emulator.boto("ec2", region).register_image, Name="na#me") == code
    emulator.settings(not_opted_in=["eu-west-2"], refused_keys=["AKIAEMULATORWRONG001"])
    for region in ("eu-west-2", "mars-north-1"):
        assert refused(emulator.boto("ec2", region).describe_regions) == "AuthFailure"
    assert (
        refused(emulator.boto("sts", key="AKIAEMULATORWRONG001").get_caller_identity)
        == "InvalidClientTokenId"
    )
    names = [item["RegionName"] for item in emulator.boto("ec2").describe_regions()["Regions"]]
    assert len(names) == 37
    assert "eu-west-2" not in names


def test_answers_may_be_lost(emulator: Emulator, direct: Direct) -> None:
    emulator.settings(rules=[{"error": "lost", "action": "StartSnapshot", "times": 1}])
    with pytest.raises(ConnectionClosedError):
        direct.start(ClientToken="t")
    made = list(emulator.state()["regions"]["us-east-1"]["snapshots"])
    assert [direct.start(ClientToken="t")] == made


CALLS = """
import boto3
for number in range(9):
    boto3.client("ec2").copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId="{snapshot}")
"""


@pytest.mark.parametrize("performed", [True, False])
def test_a_client_is_held_at_a_request(emulator: Emulator, direct: Direct, performed: bool) -> None:
    snapshot, key = direct.whole(), "AKIAEMULATORHELD0001"
    environment = emulator.environment(key)
    with emulator.hold(key, 3, performed=performed):
        command = [sys.executable, "-c", CALLS.format(snapshot=snapshot)]
        client = subprocess.Popen(command, env=environment)
        assert emulator.held(60)
        client.send_signal(signal.SIGKILL)
        client.wait()
    made = len(emulator.state()["regions"]["us-east-1"]["snapshots"]) - 1
    assert made == (3 if performed else 2)
    # Nothing is carried out for that key any more.
    with pytest.raises(ConnectionClosedError):
        emulator.boto("ec2", key=key).describe_regions()


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_it_ends_when_it_is_told_to(how: str) -> None:
    command = [sys.executable, "-m", "tests.emulator.aws"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
    if how == "stdin":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
