"""What all EC2 calls of the emulator stand on: moto's parsing, our world."""

from __future__ import annotations

from typing import Any

from moto.ec2.responses._base_response import EC2BaseResponse

from .errors import Refused
from .world import Region, World, checked_tags


class Ec2Request(EC2BaseResponse):
    """One request to EC2."""

    world: World
    """Set on the class that the server makes, see `ec2`."""

    @property
    def here(self) -> Region:
        """The region that was asked."""
        return self.world.region(self.region)

    def tags_for(self, *kinds: str) -> dict[str, str]:
        """Return the tags of the first of ``kinds`` in TagSpecifications; see `all_tags`."""
        return self.all_tags(*kinds)[kinds[0]]

    def all_tags(self, *kinds: str) -> dict[str, dict[str, str]]:
        """Return the tags of TagSpecifications for each of ``kinds``.

        Raises: Refused for a kind that this call cannot tag, or that is there twice.
        """
        found: dict[str, dict[str, str]] = {}
        specifications: list[dict[str, Any]] = self._get_param("TagSpecifications", [])
        for item in specifications:
            kind = item.get("ResourceType")
            if kind not in kinds:
                text = f"'{kind}' is not a valid taggable resource type for this operation."
                raise Refused("InvalidParameterValue", text)
            if kind in found or not item.get("Tags"):
                raise Refused("InvalidParameterValue", "Tag specification is repeated or has no tags")
            found[kind] = checked_tags(item["Tags"])
        return {kind: found.get(kind, {}) for kind in kinds}
