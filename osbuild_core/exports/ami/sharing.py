"""Who may use an image and its snapshot: accounts, organizations, everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from osbuild_core.exports.aws.errors import FATAL, AwsError, from_aws, of_aws


class Grants(NamedTuple):
    """To whom something is open. Organizations and units can be given images, but no snapshots."""

    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    everybody: bool = False

    def __bool__(self) -> bool:
        return any(self)

    def minus(self, other: Grants) -> Grants:
        """Return what is not in ``other``."""
        return Grants(
            tuple(one for one in self.accounts if one not in other.accounts),
            tuple(one for one in self.organizations if one not in other.organizations),
            tuple(one for one in self.units if one not in other.units),
            self.everybody and not other.everybody,
        )

    def names(self) -> list[str]:
        """Return all of them, in words."""
        return [*self.accounts, *self.organizations, *self.units, *(["everybody"] if self.everybody else [])]


EVERYBODY = Grants(everybody=True)


def grants(share: Iterable[str] | None, partition: str) -> Grants:
    """Return what the entries of ``share`` mean in ``partition``; those of others are left out."""
    accounts: list[str] = []
    organizations: list[str] = []
    units: list[str] = []
    for entry in share or ():
        if entry.startswith("arn:"):
            _, where, _, _, _, resource = entry.split(":", 5)
            if where == partition:
                (organizations if resource.startswith("organization/") else units).append(entry)
            continue
        where, _, account = entry.rpartition(":")
        if where in ("", partition):
            accounts.append(account)
    return Grants(
        tuple(dict.fromkeys(accounts)), tuple(dict.fromkeys(organizations)), tuple(dict.fromkeys(units))
    )


def image_grants(client: Any, image_id: str) -> Grants:
    """Return to whom an image is open."""
    answer = client.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    entries = answer.get("LaunchPermissions") or []
    return Grants(
        tuple(one["UserId"] for one in entries if one.get("UserId")),
        tuple(one["OrganizationArn"] for one in entries if one.get("OrganizationArn")),
        tuple(one["OrganizationalUnitArn"] for one in entries if one.get("OrganizationalUnitArn")),
        any(one.get("Group") == "all" for one in entries),
    )


def snapshot_grants(client: Any, snapshot_id: str) -> Grants:
    """Return to whom a snapshot is open."""
    answer = client.describe_snapshot_attribute(SnapshotId=snapshot_id, Attribute="createVolumePermission")
    entries = answer.get("CreateVolumePermissions") or []
    return Grants(
        tuple(one["UserId"] for one in entries if one.get("UserId")),
        everybody=any(one.get("Group") == "all" for one in entries),
    )


def _image_entries(wanted: Grants) -> list[dict[str, str]]:
    return [
        *({"UserId": one} for one in wanted.accounts),
        *({"OrganizationArn": one} for one in wanted.organizations),
        *({"OrganizationalUnitArn": one} for one in wanted.units),
        *([{"Group": "all"}] if wanted.everybody else []),
    ]


def _snapshot_entries(wanted: Grants) -> list[dict[str, str]]:
    return [*({"UserId": one} for one in wanted.accounts), *([{"Group": "all"}] if wanted.everybody else [])]


def share(client: Any, image_id: str, snapshot_id: str, wanted: Grants) -> Grants:
    """Open an image and its snapshot to ``wanted``; return what the image was not open to before."""
    lacking = wanted.minus(image_grants(client, image_id))
    # The snapshot first: an image that can be started by those who cannot read its disk is of no use.
    on_snapshot = Grants(wanted.accounts, everybody=wanted.everybody)
    entries = (
        _snapshot_entries(on_snapshot.minus(snapshot_grants(client, snapshot_id))) if on_snapshot else []
    )
    if entries:
        client.modify_snapshot_attribute(
            SnapshotId=snapshot_id,
            Attribute="createVolumePermission",
            CreateVolumePermission={"Add": entries},
        )
    if lacking:
        client.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": _image_entries(lacking)})
    return lacking


def unshare(client: Any, image_id: str, snapshot_id: str, unwanted: Grants) -> Grants:
    """Close an image and its snapshot to ``unwanted``; return what of it the image was open to."""
    there = image_grants(client, image_id)
    closing = unwanted.minus(unwanted.minus(there))
    if closing:
        client.modify_image_attribute(ImageId=image_id, LaunchPermission={"Remove": _image_entries(closing)})
    if snapshot_id:
        on_snapshot = Grants(unwanted.accounts, everybody=unwanted.everybody)
        open_to = on_snapshot.minus(on_snapshot.minus(snapshot_grants(client, snapshot_id)))
        if open_to:
            client.modify_snapshot_attribute(
                SnapshotId=snapshot_id,
                Attribute="createVolumePermission",
                CreateVolumePermission={"Remove": _snapshot_entries(open_to)},
            )
    return closing


def check_public_access(client: Any, region: str) -> None:
    """Raise AwsError ``ami.public-access-blocked`` where the account lets nothing become public in ``region``.

    Whoever may not ask learns it from the attempt. ``client`` is one that does not try again.
    """
    checks = (
        ("images", client.get_image_block_public_access_state, "ImageBlockPublicAccessState"),
        ("snapshots", client.get_snapshot_block_public_access_state, "State"),
    )
    for what, ask, key in checks:
        try:
            state = str(ask().get(key, ""))
        except Exception as error:
            if not from_aws(error):
                raise
            failure = of_aws(error, "ask about public access", region=region)
            if failure.code in FATAL:
                raise failure from error
            continue
        if state.startswith("block-"):
            raise AwsError(
                f"public {what} are blocked in {region} ({state})",
                code="ami.public-access-blocked",
                hint=f"an administrator may allow them: aws ec2 disable-{what[:-1]}-block-public-access",
            )
