"""EC2's calls on images."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from .errors import Refused
from .filters import matches, page
from .request import Ec2Request
from .snapshots import completed, copied
from .world import ACCOUNT, Image, Region, World, pairs

NAME = re.compile(r"[A-Za-z0-9 ()\[\]./\-'@_]{3,128}")
ORGANIZATION = re.compile(r"arn:aws[a-z-]*:organizations::\d{12}:organization/o-[a-z0-9]{10,32}")
UNIT = re.compile(
    r"arn:aws[a-z-]*:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}"
)
ARCHITECTURES = ("x86_64", "arm64")
BOOT_MODES = ("legacy-bios", "uefi", "uefi-preferred")
VOLUME_TYPES = ("standard", "io1", "io2", "gp2", "gp3", "sc1", "st1")


def get(region: Region, identifier: str | None, now: float) -> Image:
    """Return an image that can be seen, or refuse."""
    if not (identifier or "").startswith("ami-"):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{identifier}" (expecting "ami-...")')
    if identifier in region.gone_images:
        raise Refused("InvalidAMIID.Unavailable", f"The image ID '{identifier}' is no longer available")
    image = region.images.get(identifier or "")
    if image is None or image.visible_at > now:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{identifier}]' does not exist")
    return image


def check_name(region: Region, name: str | None) -> str:
    """Refuse a name that AWS does not take, or that is in use."""
    if not name or not NAME.fullmatch(name):
        text = "AMI names are 3 to 128 letters, digits, spaces and ()[]./-'@_"
        raise Refused("InvalidAMIName.Malformed", text)
    for image in region.images.values():
        if image.name == name:
            text = f"AMI name {name} is already in use by AMI {image.id}"
            raise Refused("InvalidAMIName.Duplicate", text)
    return name


def check_permissions(items: list[dict[str, str]]) -> None:
    """Refuse launch permissions that are not well formed; nothing of the request is done then."""
    for item in items:
        match item:
            case {"UserId": user} if len(user) == 12 and user.isdigit():
                pass
            case {"Group": "all"}:
                pass
            case {"OrganizationArn": arn} if ORGANIZATION.fullmatch(arn):
                pass
            case {"OrganizationalUnitArn": arn} if UNIT.fullmatch(arn):
                pass
            case _:
                text = f"Invalid attribute item value {item} for launch permission"
                raise Refused("InvalidAMIAttributeItemValue", text)


def described(world: World, image: Image) -> dict[str, Any]:
    """Return an image as DescribeImages shows it."""
    root = next((item for item in image.mappings if item["DeviceName"] == image.root_device_name), None)
    deprecation = image.deprecated.strftime("%Y-%m-%dT%H:%M:00.000Z") if image.deprecated else None
    return {
        "ImageId": image.id,
        "Name": image.name,
        "Description": image.description or None,
        "OwnerId": ACCOUNT,
        "State": image.state(world.clock.now()),
        "Public": image.public,
        "Architecture": image.architecture,
        "BootMode": image.boot_mode,
        "TpmSupport": image.tpm,
        "ImdsSupport": image.imds,
        "CreationDate": image.created,
        "ImageLocation": f"{ACCOUNT}/{image.name}",
        "ImageType": "machine",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "BlockDeviceMappings": image.mappings,
        "EnaSupport": image.ena,
        "SriovNetSupport": image.sriov,
        "Hypervisor": "xen",
        "VirtualizationType": "hvm",
        "RootDeviceName": image.root_device_name,
        "RootDeviceType": "ebs" if root and "Ebs" in root else "instance-store",
        "Tags": pairs(image.tags),
        "DeprecationTime": deprecation,
        "DeregistrationProtection": "enabled-without-cooldown" if image.protected else "disabled",
        "SourceImageId": image.source[0] if image.source else None,
        "SourceImageRegion": image.source[1] if image.source else None,
    }


class ImageCalls(Ec2Request):
    """What RegisterImage, DescribeImages and their kin do here."""

    def register_image(self) -> ActionResult:
        self.error_on_dryrun()
        tags = self.tags_for("image")
        with self.world.lock:
            name = check_name(self.here, self._get_param("Name"))
            visible, ready = self.world.times("image")
            image = Image(
                id=self.world.new_id("ami-"),
                region=self.here.name,
                name=name,
                created=self.world.clock.date(),
                visible_at=visible,
                ready_at=ready,
                architecture=self._architecture(),
                boot_mode=self._one_of("BootMode", BOOT_MODES, None),
                root_device_name=self._get_param("RootDeviceName", ""),
                mappings=self._mappings(),
                description=self._description(),
                tags=tags,
                ena=self._get_bool_param("EnaSupport", False),
                sriov=self._one_of("SriovNetSupport", ("simple",), None),
                tpm=self._one_of("TpmSupport", ("v2.0",), None),
                imds=self._one_of("ImdsSupport", ("v2.0",), None),
                uefi_data=self._uefi_data(),
                billing_products=self._get_param("BillingProducts", []),
            )
            self._check_image(image)
            self.here.images[image.id] = image
        return ActionResult({"ImageId": image.id})

    def _one_of(self, name: str, allowed: tuple[str, ...], default: str | None) -> str | None:
        value: str | None = self._get_param(name, default)
        if value is not None and value != default and value not in allowed:
            raise Refused("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid.")
        return value

    def _architecture(self) -> str:
        return self._one_of("Architecture", ARCHITECTURES, "i386") or ""

    def _description(self) -> str:
        text: str = self._get_param("Description", "")
        if len(text) > 255:
            raise Refused("InvalidParameterValue", "The description exceeds 255 characters")
        return text

    def _uefi_data(self) -> str | None:
        data: str | None = self._get_param("UefiData")
        if data is not None:
            try:
                base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                raise Refused("InvalidParameterValue", "UefiData is not base64") from None
            if len(data) > 64 * 1024:
                raise Refused("InvalidParameterValue", "UefiData exceeds 64 KB")
        return data

    def _mappings(self) -> list[dict[str, Any]]:
        """Return the block devices, each with a snapshot that is there and is ready."""
        made: list[dict[str, Any]] = []
        for item in self._get_param("BlockDeviceMappings", []):
            ebs = dict(item.get("Ebs") or {})
            if any(other["DeviceName"] == item.get("DeviceName") for other in made) or not item.get(
                "DeviceName"
            ):
                raise Refused(
                    "InvalidBlockDeviceMapping",
                    f"The device {item.get('DeviceName')} is used twice or has no name",
                )
            if not ebs:
                if not re.fullmatch(r"ephemeral\d+", item.get("VirtualName", "")):
                    raise Refused(
                        "InvalidBlockDeviceMapping", "A device needs a snapshot or an ephemeral name"
                    )
                made.append({"DeviceName": item["DeviceName"], "VirtualName": item["VirtualName"]})
                continue
            made.append({"DeviceName": item["DeviceName"], "Ebs": self._ebs(ebs)})
        return made

    def _ebs(self, ebs: dict[str, Any]) -> dict[str, Any]:
        if "SnapshotId" not in ebs:
            raise Refused("InvalidBlockDeviceMapping", "An EBS device of an image needs a snapshot")
        if "Encrypted" in ebs:
            raise Refused("InvalidBlockDeviceMapping", "Encrypted cannot be given together with a snapshot")
        snapshot = completed(self.world, self.here, ebs["SnapshotId"])
        size, kind = int(ebs.get("VolumeSize", snapshot.size)), ebs.get("VolumeType", "standard")
        if size < snapshot.size:
            text = f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}' of {snapshot.size}GB"
            raise Refused("InvalidBlockDeviceMapping", text)
        if kind not in VOLUME_TYPES:
            raise Refused("InvalidParameterValue", f"Value ({kind}) for parameter VolumeType is invalid.")
        return {
            "SnapshotId": snapshot.id,
            "VolumeSize": size,
            "VolumeType": kind,
            "DeleteOnTermination": ebs.get("DeleteOnTermination", True),
            "Encrypted": snapshot.encrypted,
        }

    def _check_image(self, image: Image) -> None:
        """Refuse combinations that AWS does not take."""
        if self._get_param("VirtualizationType", "paravirtual") != "hvm":
            raise Refused("InvalidParameterValue", "Only the virtualization type hvm is emulated")
        if image.architecture not in ARCHITECTURES:
            raise Refused("InvalidParameterValue", f"{image.architecture} cannot be combined with hvm here")
        if image.root_device_name not in {item["DeviceName"] for item in image.mappings}:
            raise Refused("InvalidBlockDeviceMapping", "The root device has no block device mapping")
        if image.architecture == "arm64" and image.boot_mode not in (None, "uefi"):
            raise Refused("InvalidParameterCombination", f"arm64 cannot have the boot mode {image.boot_mode}")
        if image.tpm and image.boot_mode != "uefi":
            raise Refused("InvalidParameterCombination", "TpmSupport requires the boot mode uefi")
        if image.uefi_data and image.boot_mode == "legacy-bios":
            raise Refused("InvalidParameterCombination", "UefiData requires a UEFI boot mode")

    def copy_image(self) -> ActionResult:
        self.error_on_dryrun()
        tags = self.all_tags("image", "snapshot")
        encrypted, kms_key = self._get_bool_param("Encrypted", False), self._get_param("KmsKeyId")
        if kms_key and not encrypted:
            raise Refused("InvalidParameterDependency", "KmsKeyId requires Encrypted to be set")
        origin, token = self._get_param("SourceRegion"), self._get_param("ClientToken")
        asked = {
            name: self._get_param(name) for name in ("Name", "SourceImageId", "SourceRegion", "KmsKeyId")
        }
        with self.world.lock:
            known = self.world.once(self.here, "CopyImage", token, asked, "IdempotentParameterMismatch")
            if known:
                return ActionResult({"ImageId": known})
            source = get(self.world.region(origin), asked["SourceImageId"], self.world.clock.now())
            if source.state(self.world.clock.now()) != "available":
                raise Refused("InvalidAMIID.Unavailable", f"The image {source.id} is not available")
            name = check_name(self.here, asked["Name"])
            identifier, mappings, ready = self.world.new_id("ami-"), [], 0.0
            for item in source.mappings:
                if "Ebs" not in item:
                    mappings.append(item)
                    continue
                text = f"Copied for DestinationAmi {identifier} from SourceAmi {source.id}"
                copy = copied(
                    self.world,
                    completed(self.world, self.world.region(origin), item["Ebs"]["SnapshotId"]),
                    self.here,
                    encrypted=encrypted,
                    kms_key=kms_key,
                    description=text,
                    tags=dict(tags["snapshot"]),
                )
                ready = max(ready, copy.ready_at)
                ebs = {**item["Ebs"], "SnapshotId": copy.id, "Encrypted": copy.encrypted}
                mappings.append({**item, "Ebs": ebs})
            image = Image(
                id=identifier, region=self.here.name, name=name, created=self.world.clock.date(),
                visible_at=self.world.times("image")[0], ready_at=ready, architecture=source.architecture,
                boot_mode=source.boot_mode, root_device_name=source.root_device_name, mappings=mappings,
                description=self._get_param("Description", source.description), ena=source.ena, sriov=source.sriov,
                tags={**(source.tags if self._get_bool_param("CopyImageTags", False) else {}), **tags["image"]},
                tpm=source.tpm, imds=source.imds, uefi_data=source.uefi_data,
                billing_products=source.billing_products, source=(source.id, origin),
            )  # fmt: skip
            self.here.images[image.id] = image
            self.world.remember(self.here, "CopyImage", token, asked, image.id)
        return ActionResult({"ImageId": image.id})

    def describe_images(self) -> ActionResult:
        self.error_on_dryrun()
        wanted, ids = self._filters_from_querystring(), self._get_param("ImageIds", [])
        owners, users = self._get_param("Owners", []), self._get_param("ExecutableUsers", [])
        if ids and self._get_param("MaxResults"):
            raise Refused("InvalidParameterCombination", "ImageIds and MaxResults exclude each other")
        now = self.world.clock.now()
        with self.world.lock:
            if ids:
                there = [get(self.here, identifier, now) for identifier in ids]
            else:
                there = [item for item in self.here.images.values() if item.visible_at <= now]
            if owners and not {"self", ACCOUNT} & set(owners):
                there = []
            if users:
                there = [item for item in there if self._launchable(item, users)]
            if not self._get_bool_param("IncludeDisabled", False):
                there = [item for item in there if not item.disabled]
            shown = [
                described(self.world, item)
                for item in there
                if matches(wanted, self.image_fields(item), item.tags)
            ]
        items, token = page(shown, self._get_param("MaxResults"), self._get_param("NextToken"), (1, 1000))
        return ActionResult({"Images": items, "NextToken": token})

    @staticmethod
    def _launchable(image: Image, users: list[str]) -> bool:
        permitted = {item.get("UserId") for item in image.permissions} | ({"all"} if image.public else set())
        return bool(permitted & {ACCOUNT if user == "self" else user for user in users})

    def image_fields(self, item: Image) -> dict[str, Any]:
        """What the filters of DescribeImages look at."""
        shown = described(self.world, item)
        return {
            "image-id": item.id,
            "name": item.name,
            "state": shown["State"],
            "description": item.description,
            "architecture": item.architecture,
            "boot-mode": item.boot_mode,
            "tpm-support": item.tpm,
            "imds-support": item.imds,
            "is-public": item.public,
            "owner-id": ACCOUNT,
            "owner-alias": None,
            "image-type": "machine",
            "root-device-type": shown["RootDeviceType"],
            "root-device-name": item.root_device_name,
            "virtualization-type": "hvm",
            "hypervisor": "xen",
            "ena-support": item.ena,
            "sriov-net-support": item.sriov,
            "block-device-mapping.snapshot-id": item.snapshots,
            "source-image-id": item.source[0] if item.source else None,
            "source-image-region": item.source[1] if item.source else None,
            "platform": None,
            "creation-date": item.created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }

    def image(self) -> Image:
        """Return the image that the request names."""
        return get(self.here, self._get_param("ImageId"), self.world.clock.now())

    def deregister_image(self) -> ActionResult:
        self.error_on_dryrun()
        results = []
        with self.world.lock:
            image = self.image()
            if image.protected:
                raise Refused("OperationNotPermitted", f"Deregistration protection is enabled for {image.id}")
            del self.here.images[image.id]
            self.here.gone_images.add(image.id)
            if self._get_bool_param("DeleteAssociatedSnapshots", False):
                for identifier in image.snapshots:
                    shared = any(identifier in other.snapshots for other in self.here.images.values())
                    if not shared:
                        self.here.snapshots.pop(identifier, None)
                    code = "skipped" if shared else "success"
                    results.append({"SnapshotId": identifier, "ReturnCode": code})
        return ActionResult({"Return": True, "DeleteSnapshotResults": results or None})

    def modify_image_attribute(self) -> EmptyResult:
        self.error_on_dryrun()
        change = self._get_param("LaunchPermission", {})
        add, remove = list(change.get("Add", [])), list(change.get("Remove", []))
        keys = ("UserIds", "UserId"), ("UserGroups", "Group"), ("OrganizationArns", "OrganizationArn")
        keys = (*keys, ("OrganizationalUnitArns", "OrganizationalUnitArn"))
        given = [{key: value} for name, key in keys for value in self._get_param(name, [])]
        if given:
            match self._get_param("OperationType"):
                case "add":
                    add += given
                case "remove":
                    remove += given
                case other:
                    raise Refused("InvalidParameterValue", f"invalid operation type {other}")
        text = (self._get_param("Description") or {}).get("Value")
        if not add and not remove and text is None:
            raise Refused("MissingParameter", "The request must contain something to change")
        check_permissions(add + remove)
        with self.world.lock:
            image = self.image()
            if image.state(self.world.clock.now()) == "pending":
                raise Refused("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is not available")
            self._check_public(image, add)
            if text is not None:
                image.description = text
            image.permissions += [item for item in add if item not in image.permissions]
            image.permissions = [item for item in image.permissions if item not in remove]
        return EmptyResult()

    def _check_public(self, image: Image, add: list[dict[str, str]]) -> None:
        if {"Group": "all"} not in add:
            return
        if self.world.settings.image_access.get(self.here.name, "unblocked") != "unblocked":
            text = "You can't publicly share this image because block public access for AMIs is enabled"
            raise Refused("OperationNotPermitted", text)
        if any(item.get("Ebs", {}).get("Encrypted") for item in image.mappings):
            raise Refused("OperationNotPermitted", "Images with encrypted snapshots cannot be public")

    def describe_image_attribute(self) -> ActionResult:
        with self.world.lock:
            image = self.image()
            result: dict[str, Any] = {"ImageId": image.id}
            match self._get_param("Attribute"):
                case "launchPermission":
                    result["LaunchPermissions"] = image.permissions
                case "description":
                    result["Description"] = {"Value": image.description}
                case "bootMode":
                    result["BootMode"] = {"Value": image.boot_mode}
                case "tpmSupport":
                    result["TpmSupport"] = {"Value": image.tpm}
                case "imdsSupport":
                    result["ImdsSupport"] = {"Value": image.imds}
                case "uefiData":
                    result["UefiData"] = {"Value": image.uefi_data}
                case "sriovNetSupport":
                    result["SriovNetSupport"] = {"Value": image.sriov}
                case "productCodes":
                    result["ProductCodes"] = []
                case "blockDeviceMapping":
                    raise Refused("AuthFailure", "Unauthorized attempt to access restricted resource")
                case other:
                    raise Refused(
                        "InvalidParameterValue", f"Value ({other}) for parameter attribute is invalid."
                    )
        return ActionResult(result)

    def enable_image_deprecation(self) -> ActionResult:
        self.error_on_dryrun()
        date: datetime.datetime = self._get_param("DeprecateAt")
        now = self.world.clock.date()
        with self.world.lock:
            image = self.image()
            years = 2 if image.public else 10
            if not now < date <= now + datetime.timedelta(days=366 * years):
                text = f"DeprecateAt has to be in the future and at most {years} years away"
                raise Refused("InvalidParameterValue", text)
            image.deprecated = date
        return ActionResult({"Return": True})

    def disable_image_deprecation(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            self.image().deprecated = None
        return ActionResult({"Return": True})

    def enable_image_deregistration_protection(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            self.image().protected = True
        return ActionResult({"Return": "enabled-without-cooldown"})

    def disable_image_deregistration_protection(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            self.image().protected = False
        return ActionResult({"Return": "disabled"})

    def disable_image(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            image = self.image()
            image.disabled, image.permissions = True, []
        return ActionResult({"Return": True})

    def enable_image(self) -> ActionResult:
        self.error_on_dryrun()
        with self.world.lock:
            self.image().disabled = False
        return ActionResult({"Return": True})

    def get_image_block_public_access_state(self) -> ActionResult:
        state = self.world.settings.image_access.get(self.here.name, "unblocked")
        return ActionResult({"ImageBlockPublicAccessState": state, "ManagedBy": "account"})

    def enable_image_block_public_access(self) -> ActionResult:
        self.error_on_dryrun()
        state = self._get_param("ImageBlockPublicAccessState")
        self.world.settings.image_access[self.here.name] = state
        return ActionResult({"ImageBlockPublicAccessState": state})

    def disable_image_block_public_access(self) -> ActionResult:
        self.error_on_dryrun()
        self.world.settings.image_access[self.here.name] = "unblocked"
        return ActionResult({"ImageBlockPublicAccessState": "unblocked"})
