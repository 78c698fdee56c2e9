"""EC2 as a whole: our calls in front of moto's."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.responses import EC2Response

from .errors import Refused
from .images import ImageCalls
from .images import get as image_of
from .imports import ImportCalls
from .request import Ec2Request
from .snapshots import SnapshotCalls
from .snapshots import get as snapshot_of
from .world import World, checked_tags, pairs


class RegionAndTagCalls(Ec2Request):
    """Regions, and tags of what there is."""

    def describe_regions(self) -> ActionResult:
        settings, every = self.world.settings, self._get_bool_param("AllRegions", False)
        names = self._get_param("RegionNames", [])
        for name in set(names) - set(settings.regions):
            raise Refused("InvalidParameterValue", f"Invalid values found for regions: {name}")
        shown = [
            {
                "RegionName": name,
                "Endpoint": f"ec2.{name}.amazonaws.com",
                "OptInStatus": "not-opted-in" if name in settings.not_opted_in else "opt-in-not-required",
            }
            for name in settings.regions
            if (every or name not in settings.not_opted_in) and (not names or name in names)
        ]
        return ActionResult({"Regions": shown})

    def _tagged(self, identifier: str) -> dict[str, str]:
        """Return the tags of a thing, to be changed."""
        if identifier.startswith("ami-"):
            return image_of(self.here, identifier, self.world.clock.now()).tags
        if identifier.startswith("snap-"):
            return snapshot_of(self.here, identifier).tags
        if identifier in self.here.tasks:
            return self.here.tasks[identifier].tags
        raise Refused("InvalidID", f"The ID '{identifier}' is not valid")

    def create_tags(self) -> EmptyResult:
        self.error_on_dryrun()
        ids, given = self._get_param("Resources", []), self._get_param("Tags", [])
        if not ids or not given:
            raise Refused("MissingParameter", "The request must contain resources and tags")
        with self.world.lock:
            present = [self._tagged(identifier) for identifier in ids]
            changes = [checked_tags(given, tags) for tags in present]
            for tags, change in zip(present, changes, strict=True):
                tags.update(change)
        return EmptyResult()

    def delete_tags(self) -> EmptyResult:
        self.error_on_dryrun()
        with self.world.lock:
            for tags in [self._tagged(identifier) for identifier in self._get_param("Resources", [])]:
                for item in self._get_param("Tags", pairs(tags)):
                    if tags.get(item["Key"]) == item.get("Value", tags.get(item["Key"])):
                        tags.pop(item["Key"], None)
        return EmptyResult()

    def describe_tags(self) -> ActionResult:
        raise Refused("InvalidAction", "DescribeTags is not emulated")

    def _absent(self) -> Any:
        """What moto would do with images and snapshots that are not ours."""
        raise Refused("InvalidAction", "This call is not emulated")

    create_image = create_snapshot = create_snapshots = create_volume = modify_snapshot_tier = _absent
    restore_snapshot_tier = describe_snapshot_tier_status = reset_image_attribute = _absent
    run_instances = reset_snapshot_attribute = _absent


def ec2_class(world: World) -> type[EC2Response]:
    """Return the class that answers EC2's requests on ``world``."""

    class Ec2(ImageCalls, SnapshotCalls, ImportCalls, RegionAndTagCalls, EC2Response):
        pass

    Ec2.world = world
    return Ec2
