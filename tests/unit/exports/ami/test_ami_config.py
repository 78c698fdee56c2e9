"""Configuration files: everything that awspub takes, what is refused and where."""

from __future__ import annotations

import textwrap

import pytest

from osbuild_core.exports.ami.config import Configuration, load
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.model.errors import place_text

EVERYTHING = """
other-tool: {ignored: true}
awspub:
  s3:
    bucket_name: images
  source:
    path: disk.vmdk
    architecture: x86_64
  tags:
    version: "$version"
  images:
    "image-$version":
      description: an image
      regions: [eu-central-1, us-east-1]
      regions_denylist: [us-west-1]
      separate_snapshot: true
      billing_products: [bp-1]
      boot_mode: uefi
      root_device_name: /dev/xvda
      root_device_volume_type: gp2
      root_device_volume_size: 16
      uefi_data: uefi.b64
      tpm_support: v2.0
      imds_support: v2.0
      share:
        - "123456789012"
        - "aws-cn:123456789012"
        - arn:aws:organizations::123456789012:organization/o-123example
        - arn:aws:organizations::123456789012:ou/o-123example/ou-1234-5example
      temporary: false
      public: true
      marketplace:
        entity_id: product
        access_role_arn: arn:aws:iam::123456789012:role/market
        version_title: 2024-01-01
        release_notes: notes
        user_name: admin
        scanning_port: 22
        os_name: DEBIAN
        os_version: 12
        usage_instructions: ssh
        recommended_instance_type: m5.large
        security_groups:
          - {from_port: 22, to_port: 22, ip_protocol: tcp, ip_ranges: [0.0.0.0/0]}
      ssm_parameter:
        - {name: /images/latest, description: the latest, allow_overwrite: true}
      groups: [nightly]
      tags: {own: yes}
      sns:
        - topic:
            subject: new
            message: {default: there is a new one, email: dear all}
            regions: [us-east-1]
            regions_denylist: [eu-central-1]
"""

MINIMAL = """
awspub:
  source: {path: disk.raw, architecture: x86_64}
  images:
    image: {boot_mode: uefi}
"""


def write(tmp_path, text: str):
    path = tmp_path / "config.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def test_everything_of_awspub(tmp_path):
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("version: '1.2'")
    found = load(write(tmp_path, EVERYTHING.replace("os_version: 12", "os_version: '12'")), mapping)
    image = found.images["image-1.2"]
    assert found.source.path == tmp_path / "disk.vmdk"
    assert image.uefi_data == tmp_path / "uefi.b64"
    assert found.tags == {"version": "1.2"}
    # As in YAML 1.2: a word is a word, and so is a date.
    assert image.tags == {"own": "yes"}
    assert image.marketplace is not None and image.marketplace.version_title == "2024-01-01"
    assert [(topic, sns.subject) for _, topic, sns in image.topics()] == [("topic", "new")]
    assert [*found.selected("nightly")] == ["image-1.2"]


def test_keys_without_a_value(tmp_path):
    """``key:`` and nothing else is accepted where awspub accepts it."""
    empty = "tags groups public temporary root_device_name root_device_volume_type root_device_volume_size"
    keys = "".join(f", {key}: null" for key in [*empty.split(), "description", "sns", "marketplace"])
    parameter = "ssm_parameter: [{name: /p, description: null, allow_overwrite: null}]"
    text = MINIMAL.replace("boot_mode: uefi", f"boot_mode: uefi{keys}, {parameter}")
    found = load(write(tmp_path, text.replace("  images:", "  tags: null\n  images:")))
    little = load(write(tmp_path, MINIMAL))
    image = found.images["image"]
    assert image.ssm_parameter is not None and not image.ssm_parameter[0].allow_overwrite
    assert image.model_copy(update={"ssm_parameter": None}) == little.images["image"]
    assert found.tags == little.tags == {}
    with pytest.raises(AwsError) as caught:
        load(write(tmp_path, MINIMAL.replace("boot_mode: uefi", "boot_mode: null")))
    assert caught.value.place == ("awspub", "images", "image", "boot_mode")


def test_little_is_enough(tmp_path):
    found = load(write(tmp_path, MINIMAL))
    image = found.images["image"]
    assert (image.root_device_name, image.root_device_volume_type, image.root_device_volume_size) == (
        "/dev/sda1",
        "gp3",
        8,
    )
    assert found.s3 is None and image.description is None


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("boot_mod", "uefi", "awspub.images.image.boot_mod"),
        ("boot_mode", "bios", "awspub.images.image.boot_mode"),
        ("tpm_support", "v2.0", "awspub.images.image.tpm_support"),
        ("root_device_volume_size", "true", "awspub.images.image.root_device_volume_size"),
        ("share", "[12345]", "awspub.images.image.share[0]"),
        ("share", "['12345']", "awspub.images.image.share[0]"),
        ("regions_denylist", "[eu-west-1]", "awspub.images.image.regions_denylist"),
        ("keep", "2", "awspub.images.image.keep"),
        ("tags", "{aws:own: x}", "awspub.images.image.tags.aws:own"),
        ("tags", "{" + ", ".join(f"k{n}: v" for n in range(48)) + "}", "awspub.images.image.tags"),
        (
            "sns",
            "[{topic: {subject: s, message: {email: e}}}]",
            "awspub.images.image.sns[0].topic.message.default",
        ),
        ("public", "true, kms_key_id: alias/key", "awspub.images.image.kms_key_id"),
        ("description", "x" * 256, "awspub.images.image.description"),
    ],
)
def test_what_is_refused_has_a_place(tmp_path, key, value, place):
    mode = "" if key == "boot_mode" else "boot_mode: legacy-bios, regions: [eu-west-1], "
    text = f"""
        awspub:
          source: {{path: disk.raw, architecture: x86_64}}
          images:
            image: {{{mode}{key}: {value}}}
        """
    with pytest.raises(AwsError) as caught:
        load(write(tmp_path, text))
    assert (caught.value.code, place_text(caught.value.place)) == ("ami.config", place)
    assert "\n" not in caught.value.detail


def test_arm_boots_by_uefi(tmp_path):
    text = MINIMAL.replace("x86_64", "arm64").replace("boot_mode: uefi", "boot_mode: uefi-preferred")
    with pytest.raises(AwsError) as caught:
        load(write(tmp_path, text))
    assert place_text(caught.value.place) == "awspub.images.image.boot_mode"


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        (
            MINIMAL + "    image: {boot_mode: uefi}\n",
            "ami.config",
            ":6:5: not valid YAML: the key 'image' occurs twice",
        ),
        (MINIMAL.replace("disk.raw", "$name"), "ami.mapping", ":3: the variable $name is not set"),
        (MINIMAL.replace("disk.raw", "a$ b"), "ami.mapping", ":3: a $ is not"),
        ("a: [", "ami.config", "not valid YAML"),
        ("[" * 2000, "ami.config", "nested too deeply"),
        ("other: 1", "ami.config", "there is no key 'awspub'"),
        ("", "ami.config", "there is no key 'awspub'"),
        ("awspub: !!python/object:os.system {}", "ami.config", "not valid YAML"),
    ],
)
def test_files_that_are_none(tmp_path, text, code, part):
    with pytest.raises(AwsError) as caught:
        load(write(tmp_path, text))
    assert caught.value.code == code
    assert part in caught.value.detail and "\n" not in caught.value.detail


def test_numbers_and_dollars(tmp_path):
    text = MINIMAL + "      tags: {price: 5$$, time: 12:30, octal: 0o17x, when: 2024-01-01, no: no}\n"
    text = text.replace("image: {boot_mode: uefi}", "image:\n      boot_mode: uefi")
    found = load(write(tmp_path, text))
    assert found.images["image"].tags == {
        "price": "5$",
        "time": "12:30",
        "octal": "0o17x",
        "when": "2024-01-01",
        "no": "no",
    }


def test_a_group_that_nobody_is_in(tmp_path):
    found: Configuration = load(write(tmp_path, MINIMAL))
    with pytest.raises(AwsError) as caught:
        found.selected("nightly")
    assert caught.value.code == "ami.group"
