"""What AWS would refuse later, after the upload: found before anything is sent."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from osbuild_core.exports.ami.drift import wanted_deprecation
from osbuild_core.exports.ami.names import KEEP_TAG, SENT_TAG
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.model.errors import Path as Place

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Configuration, Image

TAGS = 50
TAG_KEY = 128
TAG_VALUE = 256
SOURCE_TAGS = 3
"""Tags that every resource gets beside those of the configuration: file name, architecture, digest. A snapshot
has a name as well."""

DESCRIPTION = 255
GIB = 1 << 30


def check(configuration: Configuration, root: Place) -> None:
    """Raise AwsError ``ami.config`` for the first thing in ``configuration`` that cannot work."""
    if not configuration.images:
        raise _bad("there is no image", (*root, "images"), "add one: NAME: {boot_mode: uefi}")
    _check_tags(configuration.tags, (*root, "tags"))
    if configuration.upload == "s3" and configuration.s3 is None:
        raise _bad("upload is s3, but no bucket is named", (*root, "upload"), "add s3: bucket_name: NAME")
    for name, image in configuration.images.items():
        _check_image(configuration, name, image, (*root, "images", name))


def _bad(message: str, place: Place, hint: str) -> AwsError:
    return AwsError(message, code="ami.config", place=place, hint=hint)


def _check_image(configuration: Configuration, name: str, image: Image, place: Place) -> None:
    if re.fullmatch(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}", name) is None:
        raise _bad(
            "this cannot be the name of an AMI",
            place,
            "3 to 128 letters, digits, spaces and ( ) [ ] . / - ' @ _",
        )
    if len(image.description or "") > DESCRIPTION:
        raise _bad(f"it is longer than {DESCRIPTION} characters", (*place, "description"), "shorten it")
    if image.tpm_support is not None and image.boot_mode != "uefi":
        raise _bad(
            "a TPM needs boot_mode uefi", (*place, "tpm_support"), "set boot_mode: uefi, or leave it out"
        )
    if configuration.source.architecture == "arm64" and image.boot_mode != "uefi":
        raise _bad("arm64 boots by uefi only", (*place, "boot_mode"), "set boot_mode: uefi")
    if image.uefi_data is not None and image.boot_mode == "legacy-bios":
        raise _bad("UEFI data needs a boot_mode with uefi", (*place, "uefi_data"), "set boot_mode: uefi")
    both = sorted(set(image.regions or ()) & set(image.regions_denylist or ()))
    if both:
        raise _bad(f"{both[0]} is in regions as well", (*place, "regions_denylist"), "name it in one of them")
    if image.public and image.kms_key_id is not None:
        raise _bad("an encrypted image cannot be public", (*place, "kms_key_id"), "leave out one of them")
    if image.keep is not None and not image.groups:
        raise _bad(
            "keep counts the images of a group, and this one is in none",
            (*place, "keep"),
            "add groups: [NAME]",
        )
    _check_tags(image.tags, (*place, "tags"))
    for index, topic, sns in image.topics():
        again = sorted(set(sns.regions or ()) & set(sns.regions_denylist or ()))
        if again:
            raise _bad(
                f"{again[0]} is in regions as well",
                (*place, "sns", index, topic, "regions_denylist"),
                "name it in one of them",
            )
    extra = [f"{KEEP_TAG}{group}" for group in (image.groups or ()) if image.keep is not None]
    extra += [f"{SENT_TAG}{topic}" for _, topic, _ in image.topics()]
    for key in extra:
        if len(key) > TAG_KEY:
            raise _bad(f"{key[:40]}… is too long for a tag", place, "shorten the name of the group or topic")
    total = len({*configuration.tags, *image.tags, *extra}) + SOURCE_TAGS
    if total > TAGS:
        raise _bad(
            f"{total} tags are more than the {TAGS} that a resource may have",
            (*place, "tags"),
            "leave some out",
        )


def _check_tags(tags: Mapping[str, str], place: Place) -> None:
    for key, value in tags.items():
        if not 1 <= len(key) <= TAG_KEY:
            raise _bad(f"a tag's key has 1 to {TAG_KEY} characters", (*place, key), "shorten it")
        if len(value) > TAG_VALUE:
            raise _bad(f"a tag's value has at most {TAG_VALUE} characters", (*place, key), "shorten it")
        if key.lower().startswith("aws:"):
            raise _bad("keys that begin with aws: are AWS's own", (*place, key), "take another prefix")
    if len(tags) > TAGS - SOURCE_TAGS - 1:
        raise _bad(
            f"{len(tags)} tags are more than the {TAGS - SOURCE_TAGS - 1} that are left",
            place,
            "leave some out",
        )


def read_uefi_data(image: Image, place: Place) -> str | None:
    """Return the UEFI data of ``image``, checked to be base64. Raises AwsError ``ami.config``."""
    if image.uefi_data is None:
        return None
    place = (*place, "uefi_data")
    try:
        text = image.uefi_data.read_text(encoding="ascii").strip()
        base64.b64decode(text, validate=True)
    except OSError as error:
        raise _bad(
            f"cannot read {image.uefi_data}: {error.strerror}",
            place,
            "is the path right, and readable for you?",
        ) from error
    except (ValueError, binascii.Error) as error:
        raise _bad(
            f"{image.uefi_data} is not base64", place, "make it with uefivars or python-uefivars"
        ) from error
    return text


def check_dates(images: Mapping[str, Image], now: datetime, root: Place) -> None:
    """Raise AwsError for an image that would be deprecated before it is made, which EC2 refuses."""
    for name, image in images.items():
        when = wanted_deprecation(image)
        if when is not None and when <= now:
            raise _bad(
                f"{when:%Y-%m-%d %H:%M} UTC is over",
                (*root, "images", name, "deprecate_at"),
                "take a date in the future",
            )


def check_sizes(images: Mapping[str, Image], virtual_size: int, root: Place) -> None:
    """Raise AwsError for an image whose root volume is smaller than the disk that goes onto it."""
    for name, image in images.items():
        if virtual_size > image.root_device_volume_size * GIB:
            needed = -(-virtual_size // GIB)
            raise _bad(
                f"the disk does not fit into {image.root_device_volume_size} GiB",
                (*root, "images", name, "root_device_volume_size"),
                f"it takes {needed}",
            )


def check_regions(
    names: Iterable[str],
    enabled: Iterable[str],
    disabled: Iterable[str],
    elsewhere: Iterable[str],
    place: Place,
) -> tuple[list[str], list[str]]:
    """Sort the regions of a configuration: return (not enabled in this account, of another partition).

    Raises AwsError ``aws.region`` for one that exists nowhere.
    """
    here, off, other = set(enabled), set(disabled), set(elsewhere)
    closed, foreign = [], []
    for index, name in enumerate(names):
        if name in here:
            continue
        if name in off:
            closed.append(name)
        elif name in other:
            foreign.append(name)
        else:
            near = difflib.get_close_matches(name, sorted(here | off), n=1)
            raise AwsError(
                f"there is no region {name!r}",
                code="aws.region",
                hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(here))}",
                place=(*place, index),
            )
    return closed, foreign
