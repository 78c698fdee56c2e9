"""``publish`` and ``unpublish``: images become public, are named in SSM, offered in the Marketplace, announced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami import ssm
from osbuild_core.exports.ami.changes import Changes, Record
from osbuild_core.exports.ami.events import RegionFailed, RegionState, Warned
from osbuild_core.exports.ami.marketplace import PARTITION, REGION, ImageMarketplace
from osbuild_core.exports.ami.observe import FoundImage
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.ami.registration import missing, wait_available
from osbuild_core.exports.ami.run import all_failures
from osbuild_core.exports.ami.sharing import EVERYBODY, check_public_access, grants, share, unshare
from osbuild_core.exports.ami.sns import SNSNotification, regions_of
from osbuild_core.exports.ami.survey import Survey, look
from osbuild_core.exports.aws.errors import FATAL, AwsError, from_aws, of_aws

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image
    from osbuild_core.exports.ami.context import Context

_Work = Callable[[Any, str, str, "Image", FoundImage], list[str]]


def publish_images(context: Context, group: str | None = None) -> Changes:
    """Publish the images, as far as their configuration says so; temporary ones never.

    An image that is missing in a region is an error of that region. Raises AwsError for what concerns all.
    """
    survey = look(context, group)
    record = Record()
    lasting = {name: image for name, image in survey.images.items() if not image.temporary}
    for name in survey.images.keys() - lasting.keys():
        context.emit(Warned(f"{name} is temporary and is not published"))
    for name in lasting:
        for region in survey.regions[name]:
            seen = survey.observed.get(region)
            if seen is not None and name not in seen.images and name not in seen.twice:
                record.failed(region, missing(name, region))
    failed = _each_image(context, survey, lasting, record, _publish_one(context))
    for name, image in lasting.items():
        there = {
            region: seen.images[name]
            for region, seen in survey.observed.items()
            if name in seen.images and (region, name) not in failed
        }
        _offer(context, name, image, survey, there, record)
        _announce(context, name, image, survey, there, record)
    return record.changes()


def _publish_one(context: Context) -> _Work:
    def work(client: Any, region: str, name: str, image: Image, found: FoundImage) -> list[str]:
        done = []
        if image.public:
            if not found.public:
                check_public_access(context.clients("ec2", region, once=True), region)
            if share(client, found.id, found.snapshot, EVERYBODY):
                done.append("made public")
        if image.ssm_parameter:
            tags = {key: value for key, value in found.tags.items() if not key.startswith("osbuild-core:")}
            done += ssm.put(context.clients("ssm", region), image.ssm_parameter, found.id, tags)
        return done

    return work


def _each_image(
    context: Context, survey: Survey, images: Mapping[str, Image], record: Record, work: _Work
) -> set[tuple[str, str]]:
    """Call ``work`` for each image in each region; return (region, image) of those for which it failed."""
    failed: set[tuple[str, str]] = set()

    def in_region(region: str) -> None:
        client = context.clients("ec2", region)
        found = {name: one for name, one in survey.observed[region].images.items() if name in images}
        wait_available(context.pace, client, region, list(found.values()))
        for name, one in found.items():
            try:
                done = work(client, region, name, images[name], one)
            except Exception as error:
                if not isinstance(error, AwsError) and not from_aws(error):
                    raise
                place = ("awspub", "images", name)
                failure = of_aws(error, "change the image", region=region, place=place)
                if failure.code in FATAL or failure.code == "aws.stopped":
                    raise failure from error
                failed.add((region, name))
                _fail(context, record, region, failure)
            else:
                record.done(name, region, *done)
                for what in done:
                    context.emit(RegionState(region, what, name, one.id))

    for region, errors in all_failures(survey).items():
        record.failed(region, *errors)
    outcomes = in_each(survey.observed, in_region, pace=context.pace, doing="change the images")
    for region, error in outcomes.errors.items():
        failed |= {(region, name) for name in images}
        _fail(context, record, region, error)
    return failed


def _fail(context: Context, record: Record, region: str, error: AwsError) -> None:
    record.failed(region, error)
    context.emit(RegionFailed(region, error.code, error.detail))


def _offer(
    context: Context, name: str, image: Image, survey: Survey, there: dict[str, FoundImage], record: Record
) -> None:
    """Request a new version in the Marketplace, where the image is in the region that counts."""
    if image.marketplace is None or context.partition != PARTITION:
        return
    if REGION not in there:
        if REGION not in survey.regions[name]:
            hint = f"add it to regions, since the Marketplace takes images from {REGION} only"
            place = ("awspub", "images", name, "marketplace")
            text = f"the image is not in {REGION}"
            _fail(context, record, REGION, AwsError(text, code="ami.marketplace", hint=hint, place=place))
        return
    try:
        change = ImageMarketplace(context, name).request_new_version(there[REGION].id)
    except AwsError as error:
        if error.code in FATAL:
            raise
        _fail(context, record, REGION, error)
        return
    if change is not None:
        record.done(name, REGION, f"new version requested ({change})")
        context.emit(RegionState(REGION, "new version requested", name, change))


def _announce(
    context: Context, name: str, image: Image, survey: Survey, there: dict[str, FoundImage], record: Record
) -> None:
    if not image.sns or not there:
        return
    ids = {region: found.id for region, found in there.items()}

    regions = regions_of(context, name, ids, survey.account.enabled)

    def work(region: str) -> None:
        sent = SNSNotification(context, name, region).publish(there.get(region), ids)
        if sent:
            record.done(name, region, *sent)

    outcomes = in_each(regions, work, pace=context.pace, doing="send notifications")
    for region, error in outcomes.errors.items():
        _fail(context, record, region, error)


def unpublish_images(context: Context, group: str | None = None, *, shares: bool = False) -> Changes:
    """Take back what can be: images and snapshots are no longer public, SSM parameters that name them go.

    With ``shares`` they are also closed to those that the configuration shares them with. A version in the
    Marketplace and a notification stay. That there is no image is no error. Raises AwsError for what concerns
    all.
    """
    survey = look(context, group)
    record = Record()

    def work(client: Any, region: str, _name: str, image: Image, found: FoundImage) -> list[str]:
        unwanted = EVERYBODY
        if shares:
            unwanted = grants(image.share, context.partition)._replace(everybody=True)
        done = []
        if image.ssm_parameter:
            done += ssm.remove(context.clients("ssm", region), image.ssm_parameter, found.id)
        closed = unshare(client, found.id, found.snapshot, unwanted)
        if closed:
            done.append(f"closed to {', '.join(closed.names())}")
        return done

    _each_image(context, survey, survey.images, record, work)
    return record.changes()
