"""The marketplace catalog: entities and change sets, which moto does not have."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult, BaseResponse

from .errors import Refused
from .world import ACCOUNT, World

CATALOG = "AWSMarketplace"
REGION = "us-east-1"


class CatalogCalls(BaseResponse):
    """One request to the marketplace catalog."""

    world: World

    def __init__(self) -> None:
        super().__init__(service_name="marketplace-catalog")
        self.automated_parameter_parsing = True

    def _entity(self, identifier: str) -> dict[str, Any]:
        if self._get_param("Catalog") != CATALOG:
            raise Refused("ValidationException", "The catalog has to be AWSMarketplace")
        found = self.world.settings.entities.get(identifier)
        if found is None:
            raise Refused("ResourceNotFoundException", f"There is no entity {identifier}")
        self._apply()
        return found

    def _apply(self) -> None:
        """Add the versions of the change sets that are done by now to their entities."""
        for item in self.world.change_sets.values():
            if item["applied"] or self.world.clock.now() < item["done_at"]:
                continue
            item["applied"] = True
            for change in item["changes"]:
                version = change["details"]["Version"]
                entity = self.world.settings.entities[change["entity"]]
                entity.setdefault("Versions", []).append(
                    {
                        "Id": change["id"],
                        "VersionTitle": version["VersionTitle"],
                        "ReleaseNotes": version["ReleaseNotes"],
                    }
                )

    def describe_entity(self) -> ActionResult:
        with self.world.lock:
            identifier = self._get_param("EntityId")
            details = self._entity(identifier)
            return ActionResult(
                {
                    "EntityType": "AmiProduct@1.0",
                    "EntityIdentifier": f"{identifier}@1",
                    "EntityArn": f"arn:aws:aws-marketplace:{REGION}:{ACCOUNT}:{CATALOG}/AmiProduct/{identifier}",
                    "LastModifiedDate": "2025-01-01T00:00:00Z",
                    "Details": json.dumps(details),
                    "DetailsDocument": details,
                }
            )

    def start_change_set(self) -> ActionResult:
        token, asked = self._get_param("ClientRequestToken"), {"ChangeSet": self._get_param("ChangeSet")}
        with self.world.lock:
            here = self.world.region(REGION)
            known = self.world.once(here, "StartChangeSet", token, asked, "ResourceInUseException")
            if known is None:
                changes = [self._change(change) for change in self._get_param("ChangeSet", [])]
                if not changes:
                    raise Refused("ValidationException", "A change set needs a change")
                known = self.world.new_id("cs-")
                self.world.change_sets[known] = {
                    "name": self._get_param("ChangeSetName"),
                    "changes": changes,
                    "done_at": self.world.clock.now() + self.world.settings.pending.get("change-set", 0.0),
                    "applied": False,
                }
                self.world.remember(here, "StartChangeSet", token, asked, known)
        return ActionResult({"ChangeSetId": known, "ChangeSetArn": f"arn:aws:aws-marketplace:::{known}"})

    def _change(self, change: dict[str, Any]) -> dict[str, Any]:
        """Return a change that is well formed and whose entity nobody else changes, or refuse."""
        entity = change.get("Entity", {})
        identifier = str(entity.get("Identifier", "")).split("@")[0]
        if change.get("ChangeType") != "AddDeliveryOptions" or entity.get("Type") != "AmiProduct@1.0":
            raise Refused("ValidationException", "Only AddDeliveryOptions of AmiProduct@1.0 is emulated")
        self._entity(identifier)
        for item in self.world.change_sets.values():
            if not item["applied"] and any(other["entity"] == identifier for other in item["changes"]):
                raise Refused("ResourceInUseException", f"The entity {identifier} is being changed")
        details = change.get("DetailsDocument") or json.loads(change.get("Details") or "{}")
        self._check(details, identifier)
        return {"id": self.world.new_id("version-"), "entity": identifier, "details": details}

    def _check(self, details: dict[str, Any], identifier: str) -> None:
        try:
            title, _notes = details["Version"]["VersionTitle"], details["Version"]["ReleaseNotes"]
            for option in details["DeliveryOptions"]:
                given = option["Details"]["AmiDeliveryOptionDetails"]
                source = given["AmiSource"]
                names = "AccessRoleArn", "UserName", "OperatingSystemName", "OperatingSystemVersion"
                assert all(isinstance(source[name], str) for name in names)
                assert all(
                    isinstance(given[name], str) for name in ("UsageInstructions", "RecommendedInstanceType")
                )
                for group in given["SecurityGroups"]:
                    assert group["IpProtocol"] in ("tcp", "udp")
                    assert isinstance(group["IpRanges"], list)
                    assert 0 <= group["FromPort"] <= group["ToPort"] <= 65535
                if source["AmiId"] not in self.world.region(REGION).images:
                    raise Refused("ValidationException", f"There is no image {source['AmiId']} in {REGION}")
        except (KeyError, TypeError, AssertionError) as error:
            raise Refused("ValidationException", f"The details are not well formed: {error!r}") from None
        versions = self.world.settings.entities[identifier].get("Versions", [])
        if any(version["VersionTitle"] == title for version in versions):
            raise Refused("ValidationException", f"There is a version {title} already")

    def describe_change_set(self) -> ActionResult:
        with self.world.lock:
            identifier = self._get_param("ChangeSetId")
            item = self.world.change_sets.get(identifier)
            if item is None:
                raise Refused("ResourceNotFoundException", f"There is no change set {identifier}")
            self._apply()
            return ActionResult(
                {
                    "ChangeSetId": identifier,
                    "ChangeSetName": item["name"],
                    "Status": "SUCCEEDED" if item["applied"] else "APPLYING",
                    "ChangeSet": [
                        {
                            "ChangeType": "AddDeliveryOptions",
                            "Entity": {"Type": "AmiProduct@1.0", "Identifier": change["entity"]},
                            "Details": json.dumps(change["details"]),
                            "DetailsDocument": change["details"],
                            "ErrorDetailList": [],
                        }
                        for change in item["changes"]
                    ],
                }
            )

    def list_change_sets(self) -> ActionResult:
        with self.world.lock:
            self._apply()
            shown = [
                {
                    "ChangeSetId": identifier,
                    "ChangeSetName": item["name"],
                    "Status": "SUCCEEDED" if item["applied"] else "APPLYING",
                    "EntityIdList": [change["entity"] for change in item["changes"]],
                }
                for identifier, item in self.world.change_sets.items()
            ]
        return ActionResult({"ChangeSetSummaryList": shown})


def catalog_class(world: World) -> type[CatalogCalls]:
    """Return the class that answers the catalog's requests on ``world``."""

    class Catalog(CatalogCalls):
        pass

    Catalog.world = world
    return Catalog
