"""Notifications of a new image. Each is sent once for an image, unless it is to be sent ``always``.

What was sent is remembered by a tag of the image; where a region has none, in the state on this machine. A run
that is killed between the two sends again: better twice than never.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami.events import RegionState
from osbuild_core.exports.ami.names import SENT_TAG, digest
from osbuild_core.exports.aws.errors import from_aws, of_aws
from osbuild_core.exports.aws.tags import tag_list

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Sns
    from osbuild_core.exports.ami.context import Context
    from osbuild_core.exports.ami.observe import FoundImage

SENT_KEPT = 10_000
"""Notifications that are remembered on this machine."""


def applies(notification: Sns, region: str, image_regions: tuple[str, ...]) -> bool:
    """Tell whether ``notification`` is for ``region``: one that it names, else one in which the image is."""
    if region in (notification.regions_denylist or ()):
        return False
    return region in (image_regions if notification.regions is None else notification.regions)


def message(notification: Sns) -> str:
    """Return the message as SNS takes it: JSON with a text for each protocol."""
    texts = {"default": notification.message.default}
    if notification.message.email is not None:
        texts["email"] = notification.message.email
    return json.dumps(texts)


class SNSNotification:
    """The notifications of an image in one region."""

    def __init__(self, context: Context, image_name: str, region_name: str) -> None:
        self._context = context
        self._image_name = image_name
        self._region = region_name

    @property
    def conf(self) -> list[dict[str, Sns]]:
        """The configuration of the image's notifications."""
        return self._context.configuration.images[self._image_name].sns or []

    def publish(self, found: FoundImage | None, images: dict[str, str]) -> list[str]:
        """Send what applies here and was not sent yet; return what was sent.

        ``found`` is the image in this region, ``images`` are {region: id} of it everywhere. Raises AwsError.
        """
        sent = []
        for index, topic, notification in self._context.configuration.images[self._image_name].topics():
            if not applies(notification, self._region, tuple(images)):
                continue
            try:
                if self._send(topic, notification, found, images):
                    sent.append(f"notified {topic}")
            except Exception as error:
                if not from_aws(error):
                    raise
                place = ("awspub", "images", self._image_name, "sns", index, topic)
                hint = f"create the topic in {self._region}, or correct its name"
                raise of_aws(error, f"notify {topic}", region=self._region, place=place, hint=hint) from error
        return sent

    def _send(self, topic: str, notification: Sns, found: FoundImage | None, images: dict[str, str]) -> bool:
        context, region = self._context, self._region
        text = message(notification)
        what = digest(json.dumps([notification.subject, text]))[:32]
        kept = digest(json.dumps([topic, region, sorted(images.items()), what]))
        tag = f"{SENT_TAG}{topic}"
        if not notification.always:
            before = found.tags.get(tag) == what if found else context.state.read("sent", kept) is not None
            if before:
                return False
        arn = f"arn:{context.partition}:sns:{region}:{context.account}:{topic}"
        context.clients("sns", region).publish(
            TopicArn=arn, Subject=notification.subject, Message=text, MessageStructure="json"
        )
        if found is None:
            context.state.write("sent", kept, b"", kept=SENT_KEPT)
        elif found.tags.get(tag) != what:
            context.clients("ec2", region).create_tags(Resources=[found.id], Tags=tag_list({tag: what}))
        context.emit(RegionState(region, f"notified {topic}", self._image_name))
        return True


def regions_of(
    context: Context, image_name: str, images: dict[str, str], enabled: tuple[str, ...]
) -> list[str]:
    """Return the regions in which something may have to be sent, in order."""
    conf: Any = context.configuration.images[image_name]
    return [
        region
        for region in enabled
        if any(applies(notification, region, tuple(images)) for _, _, notification in conf.topics())
    ]
