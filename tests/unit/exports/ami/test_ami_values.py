"""Names, shares, differences, errors: what follows from values alone."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from osbuild_core.exports.ami.config import parse
from osbuild_core.exports.ami.drift import ImageVerificationErrors, compare, image_tags
from osbuild_core.exports.ami.marketplace import version_details
from osbuild_core.exports.ami.names import client_token, kms_key, snapshot_name
from osbuild_core.exports.ami.observe import FoundImage, found_image
from osbuild_core.exports.ami.registration import registration
from osbuild_core.exports.ami.retention import superfluous
from osbuild_core.exports.ami.sharing import grants
from osbuild_core.exports.ami.sns import applies
from osbuild_core.exports.ami.validation import check_dates, check_regions, check_sizes
from osbuild_core.exports.aws.errors import AwsError, of_aws, scrub
from osbuild_core.exports.s3.parts import object_tags


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def configuration(**image):
    document = {
        "source": {"path": "disk.raw", "architecture": "x86_64"},
        "tags": {"common": "1", "own": "common"},
        "images": {"image": {"boot_mode": "uefi", **image}},
    }
    return parse(document, Path("/"))


def test_snapshots_are_named_as_by_awspub():
    source = sha("image")
    assert snapshot_name(source, "name") == source
    assert snapshot_name(source, "name", separate=True) == sha(source + sha("name"))
    assert snapshot_name(source, "name", billing_products=["a", "b"]) == sha(source + sha("a") + sha("b"))
    both = snapshot_name(source, "name", separate=True, billing_products=["a"])
    assert both == sha(source + sha("name") + sha("a"))
    assert snapshot_name(source, "name", kms_key_id="alias/k") not in (source, both)


def test_tokens_tell_requests_apart():
    assert client_token("a", {"x": 1, "y": 2}) == client_token("a", {"y": 2, "x": 1})
    assert len({client_token("a", 1), client_token("a", 2), client_token("b", 1)}) == 3
    assert len(client_token("a")) == 64


def test_shares_of_other_partitions_are_left_out():
    organization = "arn:aws:organizations::123456789012:organization/o-abcdefghij"
    unit = "arn:aws-cn:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678"
    share = ["123456789012", "aws:210987654321", "aws-cn:111111111111", organization, unit, "123456789012"]
    found = grants(share, "aws")
    assert found == (("123456789012", "210987654321"), (organization,), (), False)
    assert grants(share, "aws-cn") == (("123456789012", "111111111111"), (), (unit,), False)
    assert not grants(None, "aws")


def facts(**changed):
    image = configuration().images["image"]
    request = registration("image", image, architecture="x86_64", snapshot="snap-1", tags={"common": "1"})
    return {
        **{key: value for key, value in request.items() if key != "TagSpecifications"},
        "ImageId": "ami-1",
        "State": "available",
        "RootDeviceType": "ebs",
        "Tags": [{"Key": "common", "Value": "1"}],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({}, []),
        ({"BootMode": "legacy-bios"}, ["BOOT_MODE"]),
        ({"TpmSupport": "v2.0", "ImdsSupport": "v2.0"}, ["TPM_SUPPORT", "IMDS_SUPPORT"]),
        ({"State": "pending", "Architecture": "arm64"}, ["STATE_NOT_AVAILABLE", "ARCHITECTURE"]),
        ({"RootDeviceType": "instance-store"}, ["ROOT_DEVICE_TYPE"]),
        ({"Tags": []}, ["TAGS"]),
        (
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp2", "VolumeSize": 9}}
                ]
            },
            ["ROOT_DEVICE_VOLUME_TYPE", "ROOT_DEVICE_VOLUME_SIZE"],
        ),
    ],
)
def test_differences(changed, errors):
    found = compare(
        "image",
        configuration().images["image"],
        found_image(facts(**changed)),
        tags={"common": "1"},
        architecture="x86_64",
    )
    assert [drift.error for drift in found] == [ImageVerificationErrors[name] for name in errors]


def test_tags_of_images():
    image = configuration(tags={"own": "image"}, keep=2, groups=["nightly"]).images["image"]
    assert image_tags({"common": "1", "own": "common"}, image) == {
        "common": "1",
        "own": "image",
        "osbuild-core:keep:nightly": "",
    }


def test_objects_have_ten_tags():
    tags = {f"k{n}": "v" for n in range(9)} | {
        "odd!": "v",
        "awspub:source:sha256": "1",
        "awspub:source:filename": "f",
    }
    kept, left_out = object_tags(tags, ["awspub:source:filename", "awspub:source:sha256"])
    assert list(kept)[:2] == ["awspub:source:sha256", "awspub:source:filename"]
    assert (len(kept), left_out) == (10, ["k8", "odd!"])


def test_the_newest_are_kept():
    images = [FoundImage(f"ami-{n}", f"n{n}", "", {"CreationDate": f"2026-01-0{n}"}) for n in (2, 1, 3)]
    assert [image.id for image in superfluous(images, 2)] == ["ami-1"]
    assert superfluous(images, 5) == []


def test_where_notifications_go():
    entry = {"topic": {"subject": "s", "message": {"default": "d"}}}

    def where(**more):
        image = configuration(sns=[{"topic": {**entry["topic"], **more}}]).images["image"]
        ((_, _, found),) = image.topics()
        return [region for region in ("a", "b", "c") if applies(found, region, ("a", "b"))]

    assert where() == ["a", "b"]
    assert where(regions=["c"]) == ["c"]
    assert where(regions_denylist=["a"]) == ["b"]


def test_the_marketplace_gets_the_port():
    market = {
        "entity_id": "e",
        "access_role_arn": "r",
        "version_title": "t",
        "release_notes": "n",
        "user_name": "u",
        "scanning_port": 2222,
        "os_name": "o",
        "os_version": "1",
        "usage_instructions": "i",
        "recommended_instance_type": "m5.large",
    }
    conf = configuration(marketplace=market).images["image"].marketplace
    assert conf is not None
    details = version_details(conf, "ami-1")["DeliveryOptions"][0]["Details"]["AmiDeliveryOptionDetails"]
    assert details["AmiSource"]["ScanningPort"] == 2222
    assert details["SecurityGroups"] == []


def test_a_disk_has_to_fit():
    images = configuration(root_device_volume_size=8).images
    check_sizes(images, 8 << 30, ("awspub",))
    with pytest.raises(AwsError) as caught:
        check_sizes(images, (8 << 30) + 1, ("awspub",))
    assert caught.value.place == ("awspub", "images", "image", "root_device_volume_size")


def test_an_image_is_not_born_deprecated():
    images = configuration(deprecate_at="2027-01-01").images
    check_dates(images, datetime(2026, 12, 31, tzinfo=UTC), ("awspub",))
    with pytest.raises(AwsError) as caught:
        check_dates(images, datetime(2027, 1, 1, tzinfo=UTC), ("awspub",))
    assert caught.value.place == ("awspub", "images", "image", "deprecate_at")


def test_keys_of_other_regions():
    arn = "arn:aws:kms:us-east-1:123456789012:"
    assert kms_key(arn + "key/mrk-1", "eu-west-1") == "arn:aws:kms:eu-west-1:123456789012:key/mrk-1"
    assert kms_key(arn + "alias/a", "eu-west-1") == "arn:aws:kms:eu-west-1:123456789012:alias/a"
    assert [kms_key(key, "eu-west-1") for key in (arn + "key/1", "alias/a", None)] == [
        arn + "key/1",
        "alias/a",
        None,
    ]


def test_regions():
    known = (["us-east-1", "eu-central-1"], ["ap-east-1"], ["cn-north-1"])
    assert check_regions(["us-east-1", "ap-east-1", "cn-north-1"], *known, ()) == (
        ["ap-east-1"],
        ["cn-north-1"],
    )
    with pytest.raises(AwsError) as caught:
        check_regions(["us-east-1", "eu-cental-1"], *known, ("awspub",))
    assert (caught.value.code, caught.value.place) == ("aws.region", ("awspub", 1))
    assert caught.value.hint == "did you mean 'eu-central-1'?"


@pytest.mark.parametrize(
    ("code", "ours", "retryable"),
    [
        ("ExpiredToken", "aws.credentials-expired", True),
        ("RequestExpired", "aws.credentials-expired", True),
        ("AuthFailure", "aws.credentials-invalid", False),
        ("UnauthorizedOperation", "aws.denied", False),
        ("RequestLimitExceeded", "aws.busy", True),
        ("InvalidParameterValue", "aws", False),
    ],
)
def test_errors_of_aws(code, ours, retryable):
    error = of_aws(ClientError({"Error": {"Code": code, "Message": "m"}}, "Any"), "do it", region="r")
    assert (error.code, error.retryable) == (ours, retryable)


def test_nothing_secret_is_passed_on():
    texts = [
        "no. Encoded authorization failure message: abcdefSECRET",
        "The AWS Access Key Id AKIASECRETSECRETSECR does not exist",
        "The Canonical String for this request should have been 'POST\n\nx-amz-security-token:SECRET'",
        "https://user:SECRET@proxy/ and https://bucket/key?X-Amz-Signature=SECRET",
    ]
    for text in texts:
        assert "SECRET" not in scrub(text)
        assert "\n" not in scrub(text)
    assert len(scrub("x" * 10_000)) == 300
    error = EndpointConnectionError(endpoint_url="https://u:SECRET@ec2.nowhere/?token=SECRET")
    assert "SECRET" not in of_aws(error, "do it").detail
