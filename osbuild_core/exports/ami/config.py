"""The configuration: every key of awspub's, and ours beyond them.

A file that awspub accepts is accepted here. What is refused has a place (``awspub.images.NAME.boot_mode``).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from osbuild_core.exports.ami.configfile import parse as parse_yaml
from osbuild_core.exports.ami.configfile import read_mapping, read_text, substitute
from osbuild_core.exports.ami.names import ROOT
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.model.errors import Path as Place

_ACCOUNT = r"\d{12}"
_PARTITION = r"aws|aws-cn|aws-us-gov"
_ORGANIZATIONS = rf"arn:(?:{_PARTITION}):organizations::{_ACCOUNT}"
_SHARE = (
    rf"^(?:(?:(?:{_PARTITION}):)?{_ACCOUNT}"
    rf"|{_ORGANIZATIONS}:organization/o-[a-z0-9]+"
    rf"|{_ORGANIZATIONS}:ou/o-[a-z0-9]+/ou-[0-9a-z]+-[0-9a-z]+)$"
)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


Share = Annotated[str, StringConstraints(pattern=_SHARE)]
Count = Annotated[int, BeforeValidator(_no_bool)]
Tags = dict[str, str]


class _Model(BaseModel):
    """A key with no value (``null``) is as good as none, where there is a default: so has awspub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        fields = cls.model_fields
        return {
            key: value
            for key, value in document.items()
            if value is not None or key not in fields or fields[key].is_required()
        }


class S3(_Model):
    """``import_role`` is the role with which EC2 reads the object."""

    bucket_name: str
    upload_multipart_concurrency: Annotated[Count, Field(ge=1, le=32)] = 8
    import_role: str = "vmimport"


class Ebs(_Model):
    """How blocks are written; with ``parent_snapshot`` only those that differ from its blocks."""

    parent_snapshot: Annotated[str, StringConstraints(pattern=r"^snap-[0-9a-f]{8,}$")] | None = None
    concurrency: Annotated[Count, Field(ge=1, le=64)] = 16


class Source(_Model):
    path: Path
    architecture: Literal["x86_64", "arm64"]
    format: Literal["raw", "vmdk", "vhd"] | None = None


class SecurityGroup(_Model):
    from_port: Count
    to_port: Count
    ip_protocol: Literal["tcp", "udp"]
    ip_ranges: list[str]


class Marketplace(_Model):
    entity_id: str
    access_role_arn: str
    version_title: str
    release_notes: str
    user_name: str
    scanning_port: Count = 22
    os_name: str
    os_version: str
    usage_instructions: str
    recommended_instance_type: str
    security_groups: list[SecurityGroup] | None = None


class SsmParameter(_Model):
    name: str
    description: str | None = None
    allow_overwrite: bool = False


class SnsMessage(_Model):
    default: str
    email: str | None = None


class Sns(_Model):
    """``always``: sent in every run, not only where it was not sent yet."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=99)]
    message: SnsMessage = SnsMessage(default="")
    regions: list[str] | None = None
    regions_denylist: list[str] | None = None
    always: bool = False


class Image(_Model):
    description: str | None = None
    regions: list[str] | None = None
    regions_denylist: list[str] | None = None
    separate_snapshot: bool = False
    billing_products: list[str] | None = None
    boot_mode: Literal["legacy-bios", "uefi", "uefi-preferred"]
    root_device_name: str = "/dev/sda1"
    root_device_volume_type: Literal["gp2", "gp3"] = "gp3"
    root_device_volume_size: Annotated[Count, Field(ge=1, le=65536)] = 8
    uefi_data: Path | None = None
    tpm_support: Literal["v2.0"] | None = None
    imds_support: Literal["v2.0"] | None = None
    share: list[Share] | None = None
    temporary: bool = False
    public: bool = False
    marketplace: Marketplace | None = None
    ssm_parameter: list[SsmParameter] | None = None
    groups: list[str] | None = None
    tags: Tags = Field(default_factory=dict)
    sns: list[dict[str, Sns]] | None = None
    kms_key_id: str | None = None
    deprecate_at: datetime | None = None
    keep: Annotated[Count, Field(ge=1)] | None = None

    def topics(self) -> list[tuple[int, str, Sns]]:
        """Return (index in ``sns``, topic, notification)."""
        return [(i, topic, sns) for i, entry in enumerate(self.sns or ()) for topic, sns in entry.items()]


class Configuration(_Model):
    """Paths in it are absolute, or relative to the current directory."""

    s3: S3 | None = None
    ebs: Ebs = Ebs()
    upload: Literal["s3", "ebs"] | None = None
    source: Source
    images: dict[str, Image]
    tags: Tags = Field(default_factory=dict)

    def selected(self, group: str | None = None) -> dict[str, Image]:
        """Return the images, those of ``group`` where one is named. Raises AwsError where nobody knows it."""
        if group is None:
            return dict(self.images)
        known = sorted({name for image in self.images.values() for name in image.groups or ()})
        if group not in known:
            raise AwsError(
                f"no image is in the group {group!r}",
                code="ami.group",
                hint=f"there are: {', '.join(known)}" if known else "no image has groups",
                place=(ROOT, "images"),
            )
        return {name: image for name, image in self.images.items() if group in (image.groups or ())}


def load(path: Path, mapping: Path | None = None) -> Configuration:
    """Return the configuration in the file ``path``, with the variables of the file ``mapping``.

    Raises AwsError ``ami.config`` or ``ami.mapping``.
    """
    path = Path(path)
    variables = read_mapping(None if mapping is None else Path(mapping))
    text = substitute(read_text(path, "ami.config"), variables, str(path))
    document = parse_yaml(text, str(path), "ami.config")
    if not isinstance(document, dict) or ROOT not in document:
        raise AwsError(
            f"{path}: there is no key {ROOT!r}", code="ami.config", hint=f"all else stands below {ROOT}:"
        )
    return parse(document[ROOT], path.absolute().parent)


def parse(document: Any, base: Path, *, root: Place = (ROOT,)) -> Configuration:
    """Return the configuration in ``document`` (what stands below ``awspub``); its paths are relative to ``base``.

    ``root`` begins the places of errors. Raises AwsError ``ami.config``, also for what AWS would refuse.
    """
    from osbuild_core.exports.ami.validation import check

    try:
        found = Configuration.model_validate(document)
    except ValidationError as error:
        raise _refusal(error, root) from None
    images = {
        name: image
        if image.uefi_data is None
        else image.model_copy(update={"uefi_data": base / image.uefi_data.expanduser()})
        for name, image in found.images.items()
    }
    source = found.source.model_copy(update={"path": base / found.source.path.expanduser()})
    configuration = found.model_copy(update={"source": source, "images": images})
    check(configuration, root)
    return configuration


def _refusal(error: ValidationError, root: Place) -> AwsError:
    first, *others = error.errors(include_url=False, include_input=False, include_context=False)
    place = (*root, *(part for part in first["loc"] if part != "[key]"))
    message, hint = first["msg"].removeprefix("Value error, "), None
    kind = first["type"]
    if kind == "extra_forbidden":
        message, hint = "this key is not known", _nearest(place, root)
    elif kind == "missing":
        message = "this key is missing"
    elif kind == "string_type":
        message, hint = "a string is wanted", "put it in quotes"
    elif kind == "string_pattern_mismatch" and "share" in place:
        message = "this is no account, organization or organizational unit to share with"
        hint = "like '123456789012', 'aws-cn:123456789012' or the ARN of an organization"
    if others:
        message += f" (and {len(others)} more)"
    return AwsError(
        message[:1].lower() + message[1:],
        code="ami.config",
        place=place,
        hint=hint or "docs/ami.md lists all keys and their values",
    )


_MODELS: dict[str, type[BaseModel]] = {
    "s3": S3, "ebs": Ebs, "source": Source, "marketplace": Marketplace, "ssm_parameter": SsmParameter,
    "security_groups": SecurityGroup, "message": SnsMessage, "sns": Sns, "images": Image,
}  # fmt: skip


def _nearest(place: Place, root: Place) -> str | None:
    import difflib

    above = [str(part) for part in place[len(root) : -1]]
    model = next((_MODELS[part] for part in reversed(above) if part in _MODELS), Configuration)
    near = difflib.get_close_matches(str(place[-1]), model.model_fields, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(model.model_fields)}"
