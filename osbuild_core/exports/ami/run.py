"""``create`` and ``list``: the plan is carried out, all regions at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.ami import ebs, journal
from osbuild_core.exports.ami.drift import image_tags
from osbuild_core.exports.ami.encryption import check_keys
from osbuild_core.exports.ami.events import RegionFailed, RegionState, Warned
from osbuild_core.exports.ami.names import ROOT, kms_key
from osbuild_core.exports.ami.planning import ImageStep, Key, Plan, SnapshotStep
from osbuild_core.exports.ami.regions import in_each
from osbuild_core.exports.ami.registration import deprecate, register, registration, set_right, wait_available
from osbuild_core.exports.ami.sharing import grants, share
from osbuild_core.exports.ami.snapshot import Snapshot
from osbuild_core.exports.ami.survey import Survey, look, plan_for, preflight, twice
from osbuild_core.exports.ami.validation import check_dates
from osbuild_core.exports.aws.errors import FATAL, AwsError, aws_code, from_aws, of_aws

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Image
    from osbuild_core.exports.ami.context import Context

Images = dict[str, dict[str, str]]
"""{image: {region: id}}."""

Groups = dict[str, Images]


@dataclass(frozen=True)
class Result:
    """What a command has done: the images that there are, and why it failed where it did."""

    images: Images = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    failed: dict[str, tuple[AwsError, ...]] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether all regions did what they should."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Return awspub's output, and {region: error} of what failed."""
        return {
            "images": self.images,
            "images-by-group": self.groups,
            "failed": {region: failure_document(errors) for region, errors in self.failed.items()},
        }

    def raise_for_failures(self) -> None:
        """Raise IncompleteError where a region failed."""
        if self.failed:
            raise IncompleteError(self)


class IncompleteError(AwsError):
    """Some regions failed; ``result`` has what became of the others."""

    def __init__(self, result: Result) -> None:
        first = next(iter(result.failed.values()))[0]
        names = ", ".join(result.failed)
        super().__init__(
            f"{len(result.failed)} regions failed ({names}), first: {first.detail}",
            code=first.code,
            hint=first.hint,
            place=first.place,
            retryable=first.retryable,
        )
        self.result = result


def failure_document(errors: tuple[AwsError, ...]) -> dict[str, Any]:
    """Return the errors of one region for JSON: the first, with the others inside."""
    first, *others = (
        {"code": e.code, "message": e.detail, "path": list(e.place), "hint": e.hint} for e in errors
    )
    return {**first, "others": others} if others else first


def grouped(images: Images, configured: dict[str, Image], group: str | None) -> Groups:
    """Return the images by their groups, only those of ``group`` where one is named."""
    groups: Groups = {}
    for name, ids in images.items():
        for one in configured[name].groups or ():
            if group in (None, one):
                groups.setdefault(one, {})[name] = ids
    return groups


def make_result(survey: Survey, ids: Images, failed: dict[str, list[AwsError]], group: str | None) -> Result:
    """Return the result, with regions in the order of the configuration."""
    images = {
        name: {region: ids[name][region] for region in survey.regions[name] if region in ids.get(name, {})}
        for name in survey.images
    }
    errors = {region: tuple(found) for region, found in sorted(failed.items()) if found}
    return Result(images, grouped(images, survey.images, group), errors)


def observed_ids(survey: Survey) -> Images:
    """Return the images that were found."""
    return {
        name: {
            region: seen.images[name].id for region, seen in survey.observed.items() if name in seen.images
        }
        for name in survey.images
    }


def all_failures(survey: Survey) -> dict[str, list[AwsError]]:
    """Return what went wrong while looking."""
    failed = {region: [error] for region, error in survey.failed.items()}
    for region, errors in twice(survey).items():
        failed.setdefault(region, []).extend(errors)
    return failed


def list_images(context: Context, group: str | None = None) -> Result:
    """Return the images that there are. The image file is not needed."""
    survey = look(context, group)
    return make_result(survey, observed_ids(survey), all_failures(survey), group)


def plan_images(context: Context, group: str | None = None) -> Plan:
    """Return what :func:`create_images` would do; nothing is changed. Raises AwsError."""
    preflight(context, group)
    survey = look(context, group, with_snapshots=True)
    _check_new(context, survey)
    return plan_for(context, survey)


def _check_new(context: Context, survey: Survey) -> None:
    """Raise AwsError for what would be refused of images that are still to be made, somewhere."""
    seen = survey.observed
    new = {
        name: image
        for name, image in survey.images.items()
        if any(region in seen and name not in seen[region].images for region in survey.regions[name])
    }
    check_dates(new, datetime.now(UTC), (ROOT,))
    check_keys(context, survey)


def create_images(context: Context, group: str | None = None) -> Result:
    """Make what is missing in any region; what failed is in the result.

    Raises AwsError for what concerns all of it: the image, the credentials, the upload.
    """
    uefi_data = preflight(context, group)
    survey = look(context, group, with_snapshots=True)
    _check_new(context, survey)
    failed = all_failures(survey)
    plan, origins = _lay_ground(context, survey, failed)
    worker = _Region(context, survey, plan, origins, uefi_data)
    outcomes = in_each(plan.regions(), worker.carry_out, pace=context.pace, doing="make the images")
    ids: Images = {}
    for region, (made, errors) in outcomes.results.items():
        for name, image_id in made.items():
            ids.setdefault(name, {})[region] = image_id
        failed.setdefault(region, []).extend(errors)
    for region, error in outcomes.errors.items():
        failed.setdefault(region, []).append(error)
        context.emit(RegionFailed(region, error.code, error.detail))
    # What was there before its region failed is there still.
    for name, there in observed_ids(survey).items():
        for region, image_id in there.items():
            ids.setdefault(name, {}).setdefault(region, image_id)
    return make_result(survey, ids, failed, group)


def _lay_ground(
    context: Context, survey: Survey, failed: dict[str, list[AwsError]]
) -> tuple[Plan, dict[Key, str]]:
    """Make the snapshots that the others are copied from; return the plan and their ids.

    An upload by EBS direct may go to any region: where the first refuses it, the next is tried.
    """
    avoid: frozenset[str] = frozenset()
    while True:
        plan = plan_for(context, survey, avoid)
        ids: dict[Key, str] = {}
        for origin in plan.origins:
            try:
                ids[origin.key] = _obtain(context, survey, origin)
            except AwsError as error:
                left = survey.observed.keys() - avoid - {origin.region}
                elsewhere = error.code in ("aws.denied", "aws.credentials-invalid", "aws.unreachable")
                if origin.action != "upload" or not left or not elsewhere:
                    raise
                failed.setdefault(origin.region, []).append(error)
                context.emit(RegionFailed(origin.region, error.code, error.detail))
                avoid |= {origin.region}
                break
        else:
            return plan, ids


def _obtain(context: Context, survey: Survey, origin: SnapshotStep) -> str:
    """Return the id of the snapshot that ``origin`` names; it is completed."""
    region = origin.region
    client = context.clients("ec2", region)
    snapshots = Snapshot(context)
    keys = (i.kms_key_id for n, i in survey.images.items() if context.snapshot_name(n) == origin.name)
    key = kms_key(next(keys, None), region)
    try:
        remove_failed(context, survey, region)
        if origin.action in ("upload", "resume"):
            snapshot = ebs.upload(context, origin.name, region, kms_key_id=key, adopt=origin.id or None)
            snapshots.wait(client, region, {origin.name: snapshot})
            journal.remove(context.state, region, origin.name)
            return snapshot
        if origin.action == "import":
            from osbuild_core.exports.ami.s3 import S3

            snapshots.check_role()
            S3(context).upload_file()
            return snapshots.create(client, origin.name, kms_key_id=key)
        if origin.action == "wait":
            snapshots.wait(client, region, {origin.name: origin.id})
        return origin.id
    except Exception as error:
        if not from_aws(error):
            raise
        raise of_aws(error, "make the snapshot", region=region) from error


def remove_failed(context: Context, survey: Survey, region: str) -> None:
    """Delete snapshots of our names that came to nothing."""
    seen = survey.observed.get(region)
    for snapshot in seen.failed if seen else ():
        try:
            context.clients("ec2", region).delete_snapshot(SnapshotId=snapshot.id)
        except Exception as error:
            if aws_code(error) != "InvalidSnapshot.NotFound":
                raise
            continue
        context.emit(RegionState(region, "failed snapshot deleted", snapshot.name, snapshot.id))


class _Region:
    """Carries out a plan in one region after the other, or in many at once."""

    def __init__(
        self,
        context: Context,
        survey: Survey,
        plan: Plan,
        origins: dict[Key, str],
        uefi_data: dict[str, str | None],
    ) -> None:
        self._context = context
        self._survey = survey
        self._plan = plan
        self._origins = origins
        self._uefi_data = uefi_data

    def carry_out(self, region: str) -> tuple[dict[str, str], list[AwsError]]:
        """Do what the plan has for ``region``; return {image: id} and the errors of single images."""
        context = self._context
        snapshots = self._snapshots(region)
        made: dict[str, str] = {}
        errors: list[AwsError] = []
        steps = [step for step in self._plan.images if step.region == region]

        def attempt(step: ImageStep, what: Callable[[], None]) -> None:
            try:
                what()
            except Exception as error:
                if not isinstance(error, AwsError) and not from_aws(error):
                    raise
                place = ("awspub", "images", step.name)
                failure = of_aws(error, "set up the image", region=region, place=place)
                if failure.code in FATAL or failure.code == "aws.stopped":
                    raise failure from error
                errors.append(failure)
                context.emit(RegionFailed(region, failure.code, failure.detail))

        def make(step: ImageStep) -> None:
            made[step.name] = self._image(step, snapshots)

        for step in steps:
            attempt(step, functools.partial(make, step))
        unfinished = [step for step in steps if step.name in made and self._is_unfinished(step)]
        try:
            client = context.clients("ec2", region)
            there = self._survey.observed[region].images
            new = [there.get(step.name, made[step.name]) for step in unfinished]
            wait_available(context.pace, client, region, new)
        except AwsError as error:
            return made, [*errors, error]
        for step in unfinished:
            attempt(step, functools.partial(self._finish, step, made[step.name], snapshots))
        return made, errors

    def _is_unfinished(self, step: ImageStep) -> bool:
        """Tell whether the image is to be given what registration cannot give it."""
        return bool(step.share) or self._survey.images[step.name].deprecate_at is not None

    def _snapshots(self, region: str) -> dict[str, str]:
        """Get the snapshots that the region needs; return {name: id}, all completed."""
        context = self._context
        handler = Snapshot(context)
        client = context.clients("ec2", region)
        steps = [step for step in self._plan.snapshots if step.region == region]
        if any(step.action == "copy" for step in steps):
            remove_failed(context, self._survey, region)
        keys = {context.snapshot_name(name): image.kms_key_id for name, image in self._survey.images.items()}
        ids: dict[str, str] = {}
        unready: dict[str, str] = {}
        for step in steps:
            if step.key in self._origins:
                ids[step.name] = self._origins[step.key]
                continue
            if step.origin is not None:
                origin = self._origins[step.origin]
                key = kms_key(keys[step.name], region)
                ids[step.name] = handler.start_copy(region, step.name, step.origin[0], origin, kms_key_id=key)
            else:
                ids[step.name] = step.id
            if step.action != "exists":
                unready[step.name] = ids[step.name]
        handler.wait(client, region, unready)
        return ids

    def _image(self, step: ImageStep, snapshots: dict[str, str]) -> str:
        context = self._context
        client = context.clients("ec2", step.region)
        image = self._survey.images[step.name]
        tags = image_tags(context.tags_dict, image)
        if step.action == "exists":
            found = self._survey.observed[step.region].images[step.name]
            changed = set_right(client, found, image, tags) if any(d.correctable for d in step.drift) else []
            state = f"set right: {', '.join(changed)}" if changed else "exists"
            context.emit(RegionState(step.region, state, step.name, step.id))
            for drift in step.drift:
                if not drift.correctable:
                    what = f"{drift.error.value}: {drift.wanted} wanted, {drift.found} found"
                    context.emit(Warned(f"{step.name} in {step.region}: {what}"))
            return step.id
        request = registration(
            step.name,
            image,
            architecture=context.configuration.source.architecture,
            snapshot=snapshots[step.snapshot],
            tags=tags,
            uefi_data=self._uefi_data[step.name],
        )
        image_id = register(context.pace, client, request, step.region)
        context.emit(RegionState(step.region, "registered", step.name, image_id))
        return image_id

    def _finish(self, step: ImageStep, image_id: str, snapshots: dict[str, str]) -> None:
        """Share the image, and give it its date of deprecation, which registration cannot."""
        context = self._context
        client = context.clients("ec2", step.region)
        image = self._survey.images[step.name]
        stale = any(drift.error.name == "DEPRECATION" for drift in step.drift)
        if image.deprecate_at is not None and (step.action == "register" or stale):
            deprecate(client, image_id, image)
        wanted = grants(image.share, context.partition)
        if wanted:
            found = self._survey.observed[step.region].images.get(step.name)
            snapshot = found.snapshot if found else snapshots[step.snapshot]
            opened = share(client, image_id, snapshot, wanted)
            if opened:
                context.emit(
                    RegionState(step.region, f"shared with {', '.join(opened.names())}", step.name, image_id)
                )
