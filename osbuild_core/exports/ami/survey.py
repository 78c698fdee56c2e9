"""The first look of every command: which images in which regions, and what is there of them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from osbuild_core.exports.ami import journal
from osbuild_core.exports.ami.drift import Drift, compare, image_tags
from osbuild_core.exports.ami.events import RegionFailed, Warned
from osbuild_core.exports.ami.names import ROOT
from osbuild_core.exports.ami.observe import Observed, duplicate, observe
from osbuild_core.exports.ami.planning import Plan, WantedImage, make_plan
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.ami.sharing import grants
from osbuild_core.exports.ami.validation import check_regions, check_sizes, read_uefi_data
from osbuild_core.exports.aws.errors import AwsError, from_aws, of_aws

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image
    from osbuild_core.exports.ami.context import Context


class AccountRegions(NamedTuple):
    """The regions of a partition: those that the account has enabled, the others, and those of other partitions."""

    enabled: tuple[str, ...]
    disabled: tuple[str, ...]
    elsewhere: frozenset[str]


class Survey(NamedTuple):
    """``regions`` is {image: its regions}, ``observed`` {region: what is there}, ``failed`` {region: why not}."""

    images: dict[str, Image]
    regions: dict[str, tuple[str, ...]]
    observed: dict[str, Observed]
    failed: dict[str, AwsError]
    account: AccountRegions


def account_regions(context: Context) -> AccountRegions:
    """Return the regions that there are. Raises AwsError."""
    try:
        found = context.clients("ec2", context.home_region).describe_regions(AllRegions=True)["Regions"]
    except Exception as error:
        if not from_aws(error):
            raise
        failure = of_aws(error, "list the regions", region=context.home_region)
        wrong = (
            _unknown_home(context) if failure.code in ("aws.unreachable", "aws.credentials-invalid") else None
        )
        raise (wrong or failure) from error
    off = {one["RegionName"] for one in found if one.get("OptInStatus") == "not-opted-in"}
    names = sorted(one["RegionName"] for one in found)
    return AccountRegions(
        tuple(name for name in names if name not in off),
        tuple(name for name in names if name in off),
        context.clients.regions_elsewhere(context.partition),
    )


def _unknown_home(context: Context) -> AwsError | None:
    """Return the error for a default region that nobody knows, which explains why it does not answer."""
    region = context.home_region
    known = context.clients.regions_of(context.partition)
    if region in known:
        return None
    near = difflib.get_close_matches(region, sorted(known), n=1)
    return AwsError(
        f"the region {region!r} does not answer as AWS",
        code="aws.region",
        hint=f"did you mean {near[0]!r}?" if near else "check AWS_DEFAULT_REGION and the profile",
    )


def image_regions(
    context: Context, name: str, image: Image, account: AccountRegions
) -> tuple[tuple[str, ...], dict[str, AwsError]]:
    """Return the regions of an image, and errors for those that the account has not enabled.

    Regions of other partitions are left out with a warning. Raises AwsError ``aws.region``.
    """
    place = (ROOT, "images", name)
    check_regions(image.regions_denylist or (), *account, (*place, "regions_denylist"))
    denied = set(image.regions_denylist or ())
    if image.regions is None:
        return tuple(region for region in account.enabled if region not in denied), {}
    closed, foreign = check_regions(image.regions, *account, (*place, "regions"))
    for region in foreign:
        context.emit(Warned(f"{name}: {region} is not in the partition {context.partition} and is left out"))
    errors = {
        region: AwsError(
            f"the region {region} is not enabled in this account",
            code="aws.region-disabled",
            hint=f"enable it: aws account enable-region --region-name {region}",
            place=(*place, "regions"),
        )
        for region in closed
    }
    enabled = set(account.enabled)
    return tuple(dict.fromkeys(region for region in image.regions if region in enabled)), errors


def look(context: Context, group: str | None = None, *, with_snapshots: bool = False) -> Survey:
    """Look at all regions at once. With ``with_snapshots`` the image file is read. Raises AwsError."""
    images = context.selected(group)
    account = account_regions(context)
    regions: dict[str, tuple[str, ...]] = {}
    failed: dict[str, AwsError] = {}
    for name, image in images.items():
        regions[name], closed = image_regions(context, name, image, account)
        failed.update(closed)
    wanted = [region for names in regions.values() for region in names]
    snapshots: list[str] = []
    if with_snapshots:
        if context.method == "s3" and wanted:
            from osbuild_core.exports.ami.s3 import S3

            wanted.append(S3(context).bucket_region)
        snapshots = list(dict.fromkeys(context.snapshot_name(name) for name in images))

    def work(region: str) -> Observed:
        here = [name for name in images if region in regions[name]]
        return observe(context.clients("ec2", region), here, snapshots)

    outcomes = in_each(wanted, work, pace=context.pace, doing="look for images")
    failed.update(outcomes.errors)
    for region, error in failed.items():
        context.emit(RegionFailed(region, error.code, error.detail))
    for region, seen in outcomes.results.items():
        if seen.spare:
            ids = ", ".join(one.id for one in seen.spare)
            context.emit(Warned(f"{region}: {ids} have the same name as a snapshot that is used"))
    return Survey(images, regions, outcomes.results, failed, account)


def twice(survey: Survey) -> dict[str, list[AwsError]]:
    """Return {region: errors} for images that are there more than once."""
    return {
        region: [duplicate(name, found, region) for name, found in seen.twice.items()]
        for region, seen in survey.observed.items()
        if seen.twice
    }


def differences(context: Context, survey: Survey) -> dict[tuple[str, str], tuple[Drift, ...]]:
    """Return {(region, image): how what is there differs from the configuration}."""
    architecture = context.configuration.source.architecture
    found = {}
    for region, seen in survey.observed.items():
        for name, there in seen.images.items():
            image = survey.images[name]
            tags = image_tags(context.tags_dict, image)
            expected = seen.snapshots.get(context.snapshot_name(name))
            drift = list(compare(name, image, there, tags=tags, architecture=architecture))
            if expected is None or expected.id != there.snapshot:
                drift.append(_other_snapshot(expected.id if expected else "a new snapshot", there.snapshot))
            found[region, name] = tuple(drift)
    return found


def _other_snapshot(wanted: str, there: str) -> Drift:
    from osbuild_core.exports.ami.drift import ImageVerificationErrors

    return Drift(ImageVerificationErrors.ROOT_DEVICE_SNAPSHOT, wanted, there)


def preflight(context: Context, group: str | None) -> dict[str, str | None]:
    """Check all that can be checked without asking AWS; return {image: its UEFI data}. Raises AwsError."""
    images = context.selected(group)
    _ = context.method
    check_sizes(images, context.source.virtual_size, (ROOT,))
    return {name: read_uefi_data(image, (ROOT, "images", name)) for name, image in images.items()}


def unfinished(context: Context, survey: Survey) -> frozenset[str]:
    """Return the ids of snapshots to which blocks are still to be written."""
    found = set()
    for region, seen in survey.observed.items():
        for name, snapshot in seen.snapshots.items():
            record = journal.read(context.state, region, name)
            if record is not None and record.header.snapshot == snapshot.id:
                if not record.sealed:
                    found.add(snapshot.id)
            elif snapshot.direct and snapshot.state == "pending":
                found.add(snapshot.id)
    return frozenset(found)


def source_region(
    context: Context, survey: Survey, half: frozenset[str], avoid: frozenset[str] = frozenset()
) -> str:
    """Return where the image is uploaded to: the bucket's region; else where an upload was begun; else the
    default region, if an image is to be there; else the first of an image. Raises AwsError."""
    if context.method == "s3":
        from osbuild_core.exports.ami.s3 import S3

        return S3(context).bucket_region
    usable = [region for region in survey.observed if region not in avoid]
    begun = [
        region for region in usable for one in survey.observed[region].snapshots.values() if one.id in half
    ]
    digest = context.source_sha256
    begun += [
        header.region
        for header in journal.headers(context.state)
        if header.sha256 == digest and header.region in usable
    ]
    for region in (*begun, context.home_region, *usable):
        if region in usable:
            return region
    raise next(
        iter(survey.failed.values()),
        AwsError("there is no region to upload to", code="aws.region", hint="give an image regions"),
    )


def plan_for(context: Context, survey: Survey, avoid: frozenset[str] = frozenset()) -> Plan:
    """Return the plan of ``create``."""
    half = unfinished(context, survey)
    wanted = [
        WantedImage(
            name,
            context.snapshot_name(name),
            survey.regions[name],
            image.kms_key_id is not None,
            tuple(image.billing_products or ()),
            tuple(grants(image.share, context.partition).names()),
        )
        for name, image in survey.images.items()
    ]
    failed = {region: error.detail for region, error in survey.failed.items()}
    failed |= {region: errors[0].detail for region, errors in twice(survey).items()}
    upload_to = source_region(context, survey, half, avoid) if survey.observed else ""
    return make_plan(
        wanted,
        survey.observed,
        method=context.method,
        source_region=upload_to,
        unfinished=half,
        drift=differences(context, survey),
        failed=failed,
    )
